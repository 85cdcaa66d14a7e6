"""Tests of the recipe, on pictures of noise: `python -m unittest` in this folder, half a minute."""

import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import torch
from tokenizers import Tokenizer

import model as qwen
import muon
import pool as pools
import rows as packing
import tokenizer as tokens

HERE = pathlib.Path(__file__).parent
SIZES = [(84, 56), (56, 56)]
DESCRIPTION = {"zh": ("请描述图片", "现场有一辆车，是一台蓝色压路机。"), "en": ("Describe the image.", "There is a road roller.")}
QUESTIONS = {"zh": ("有几棵树？", "有两棵树。"), "en": ("How many trees are there?", "There are two trees.")}


def write_pool(folder, pictures):
    """A pool of one shard: blocks of two sizes, noise for pictures."""
    dice = random.Random(1)
    folder.mkdir(parents=True)
    facts = {"version": 2, "atoms": ["tree", "cone"], "systems": ["You are a helpful assistant.", "你描述图片。"],
             "no_image": {"zh": "没有收到图片。", "en": "There is no image."}, "shard": pictures}
    (folder / "pool.json").write_text(json.dumps(facts))
    lines, pixels = [], b""
    for seed in range(pictures):
        width, height = SIZES[seed // pools.BLOCK % len(SIZES)]
        pixels += dice.randbytes(width * height * 3)
        cells = [[dice.randrange(2)] for _ in range(width * height // 28**2)]

        def chats(pairs):
            return [{"language": k, "prompt": prompt, "answer": answer} for k, (prompt, answer) in pairs.items()]

        lines.append(json.dumps({"seed": seed, "width": width, "height": height, "facts": {}, "cells": cells,
                                 "descriptions": chats(DESCRIPTION), "questions": chats(QUESTIONS)}))
    (folder / "shard-00000.rgb").write_bytes(pixels)
    (folder / "shard-00000.jsonl").write_text("\n".join(lines) + "\n")


class Recipe(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        write_pool(self.folder / "pool", 2 * pools.BLOCK)

    def builder(self):
        """(builder, tokenizer, model) over the pool."""
        torch.manual_seed(0)
        first = tokens.write(pools.texts(self.folder / "pool"), self.folder / "model")
        model = qwen.Qwen2VL(qwen.settings(first + len(tokens.SPECIALS), first))
        model.initialise()
        tokenizer = Tokenizer.from_file(str(self.folder / "model/tokenizer.json"))
        facts = json.loads((self.folder / "pool/pool.json").read_text())
        return packing.RowBuilder(tokenizer, model.config["image_token_id"], facts, length=200), tokenizer, model

    def test_the_tokenizer_gives_every_text_back(self):
        _, tokenizer, model = self.builder()
        for text in [*pools.texts(self.folder / "pool"), "Grüße 😀 未知字龘", "a\n\n b"]:
            self.assertEqual(tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False), text)
        self.assertEqual(len(tokenizer.encode(" roller").ids), 1)
        self.assertEqual(tokenizer.encode("<|image_pad|>").ids, [model.config["image_token_id"]])

    def test_a_chat_in_a_packed_row_is_the_chat_alone(self):
        builder, _, model = self.builder()
        block = pools.Pool(self.folder / "pool", 0).next().parts(8)[0]
        pixels = qwen.patches(block.images())
        for text_first in (False, True):
            packed = builder.rows(block.records, block.grid, random.Random(2), text_first)
            _, logits = model(pixels, block.grid, packed)
            compared = 0
            for i, chats in enumerate(packed.chats):
                self.assertGreater(len(chats), 1)
                for _, answer, first, end in chats:
                    alone = self.alone(packed, i, first)
                    _, expected = model(pixels[i:i + 1], block.grid, alone)
                    apart = (logits[i, first:end] - expected[0, :end - first]).abs().max().item()
                    self.assertLess(apart, 2e-4, answer)
                    compared += end - first
            self.assertGreater(compared, 30)

    def alone(self, packed, i, first):
        """The row with only the tokens that the chat at `first` sees or holds, under an ordinary causal mask."""
        count = int((packed.targets[i] >= 0).sum())
        at = packed.trained[i, :count]
        ends = [end for *_, start, end in packed.chats[i] if start == first]
        last = int(at[ends[0] - 1])
        seen = (packed.mask[i, last] == 0).nonzero()[:, 0]
        mask = torch.zeros(1, len(seen), len(seen)).masked_fill_(~torch.ones(len(seen), len(seen)).tril().bool(),
                                                                 float("-inf"))
        trained = torch.searchsorted(seen, at[first:ends[0]])[None]
        return packing.Rows(packed.ids[i:i + 1, seen], packed.positions[:, i:i + 1, seen], mask,
                            packed.cells[i:i + 1, seen], trained, packed.targets[i:i + 1, first:ends[0]],
                            packed.weights[i:i + 1, first:ends[0]], [])

    def test_a_resumed_training_makes_the_same_steps(self):
        def train(out, *more):
            command = [sys.executable, HERE / "train.py", self.folder / "pool", self.folder / out, "--steps", "4",
                       "--checkpoint-every", "2", "--warmup", "2", "--no-bf16", *more]
            return subprocess.run([str(word) for word in command], capture_output=True, text=True)

        whole = train("whole")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        stopped = train("stopped", "--stop-after", "2")
        self.assertEqual(stopped.returncode, 0, stopped.stderr)
        self.assertIn("holds a training already", train("stopped").stderr)
        resumed = train("stopped", "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        one, other = (torch.load(self.folder / out / "checkpoint.pt", weights_only=True) for out in ("whole", "stopped"))
        self.assertEqual((one["step"], other["step"]), (4, 4))
        for name, value in one["model"].items():
            self.assertTrue(torch.equal(value, other["model"][name]), name)
        saved = qwen.load(self.folder / "stopped")
        for name, value in saved.state_dict().items():
            self.assertTrue(torch.equal(value, one["model"][name].bfloat16().float()), name)

    def test_an_update_of_muon_is_nearly_orthogonal(self):
        torch.manual_seed(0)
        for shape in ((8, 24), (24, 8), (16, 16)):
            values = torch.linalg.svdvals(muon.orthogonal(torch.randn(2, *shape), torch.float32))
            self.assertTrue(((values > 0.4) & (values < 1.3)).all(), values)


if __name__ == "__main__":
    unittest.main()
