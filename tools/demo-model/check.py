"""The checkpoint against transformers: token ids, pixels, logits, and the answers of a server.

    check.py MODEL SCENES [--url http://127.0.0.1:8000] [--count 20]

MODEL is the checkpoint's folder, SCENES a folder of pictures with `expect.jsonl`. With --url a `vlm-server` that serves
MODEL is asked too; where its answer differs from that of transformers in bf16, both are printed with the two best
logits at the first token that differs: a near-tie is no error, anything else is.
"""

import argparse
import base64
import json
import pathlib
import urllib.request

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessor

import model as qwen
from rows import Row, stack


def main():
    """Prints what was the same and what was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", metavar="SCENES", type=pathlib.Path)
    parser.add_argument("--url")
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    reference = Reference(arguments.model)
    own = qwen.load(arguments.model).eval()
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    same, logits_apart, pixels_apart = {"token ids": 0, "f32 and bf16": 0, "server and bf16": 0}, 0.0, 0.0
    lines = [json.loads(line) for line in (arguments.folder / "expect.jsonl").open()]
    lines = [line for line in lines if "facts" in line]
    for line in lines[:arguments.count]:
        picture = Image.open(arguments.folder / line["image"]).convert("RGB")
        text, ids, pixels, grid = reference.inputs(line["prompt"], picture)
        same["token ids"] += tokenizer.encode(text).ids == ids[0].tolist()
        pixels_apart = max(pixels_apart, pixels_difference(picture, pixels, grid))
        logits_apart = max(logits_apart, logits_difference(own, reference, ids, pixels, grid))
        exact = reference.answer(reference.exact, ids, pixels, grid)
        half = reference.answer(reference.half, ids, pixels, grid)
        same["f32 and bf16"] += exact == half
        if arguments.url:
            served = ask(arguments.url, arguments.folder, line)
            same["server and bf16"] += served == half
            if served != half:
                print(f"{line['image']} {line['prompt']}\n  server {served}\n  bf16   {half}")
                print(f"  {reference.first_difference(served, half, ids, pixels, grid)}")
    print(json.dumps({"pictures": len(lines[:arguments.count]), "the same": same,
                      "largest difference of a logit, f32": logits_apart,
                      "largest difference of a normalised pixel": pixels_apart}, indent=1))


def ask(url, folder, line):
    """The greedy answer of a server to a prompt that comes before its picture."""
    with urllib.request.urlopen(url + "/v1/models", timeout=30) as reply:
        model = json.load(reply)["data"][0]["id"]
    picture = base64.b64encode((folder / line["image"]).read_bytes()).decode()
    content = [{"type": "text", "text": line["prompt"]},
               {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 200}
    request = urllib.request.Request(url + "/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        return json.load(reply)["choices"][0]["message"]["content"]


class Reference:
    """transformers' model in float32 and bfloat16."""

    def __init__(self, folder):
        load = Qwen2VLForConditionalGeneration.from_pretrained
        self.exact, self.half = (load(folder, dtype=kind).eval() for kind in (torch.float32, torch.bfloat16))
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = Qwen2VLImageProcessor.from_pretrained(folder)

    def inputs(self, prompt, picture):
        """(text, ids (1, L), pixel values, grid) of a chat whose text comes before its picture."""
        content = [{"type": "text", "text": prompt}, {"type": "image"}]
        text = self.tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False,
                                                  add_generation_prompt=True)
        seen = self.processor(images=[picture], return_tensors="pt")
        grid = seen["image_grid_thw"]
        text = text.replace("<|image_pad|>", "<|image_pad|>" * (int(grid.prod()) // qwen.MERGE**2))
        return text, self.tokenizer(text, return_tensors="pt")["input_ids"], seen["pixel_values"], grid

    def arguments(self, model, ids, pixels, grid):
        """Named arguments of a call of the model."""
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels.to(model.dtype),
                "image_grid_thw": grid, "mm_token_type_ids": (ids == model.config.image_token_id).int()}

    @torch.no_grad()
    def answer(self, model, ids, pixels, grid):
        """The greedy answer."""
        out = model.generate(**self.arguments(model, ids, pixels, grid), do_sample=False, max_new_tokens=200)
        return self.tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True)

    @torch.no_grad()
    def first_difference(self, served, half, ids, pixels, grid):
        """What bf16 thinks of the two tokens at which two answers part."""
        one, other = (self.tokenizer(text)["input_ids"] + [self.tokenizer.eos_token_id] for text in (served, half))
        at = next(i for i, pair in enumerate(zip(one, other)) if pair[0] != pair[1])
        ids = torch.cat([ids, torch.tensor([other[:at]], dtype=torch.long)], 1)
        logits = self.half(**self.arguments(self.half, ids, pixels, grid)).logits[0, -1].float()
        said = [f"{self.tokenizer.decode([token])!r} {logits[token].item():.3f}" for token in (one[at], other[at])]
        return f"token {at}: server {said[0]}, bf16 {said[1]}"


def pixels_difference(picture, pixels, grid):
    """Largest difference between our patches of a picture and the processor's."""
    _, down, across = grid[0].tolist()
    small = picture.resize((across * qwen.PATCH, down * qwen.PATCH), Image.BICUBIC)
    own = qwen.patches(torch.from_numpy(np.asarray(small)[None].copy()))[0]
    theirs = pixels.view(-1, qwen.CHANNELS, 2, qwen.PATCH**2)[:, :, 0].flatten(1)
    return (own - theirs).abs().max().item()


@torch.no_grad()
def logits_difference(own, reference, ids, pixels, grid):
    """Largest difference between our logits and those of transformers, both in float32, over all positions."""
    cells = tuple(size // qwen.MERGE for size in grid[0, 1:].tolist())
    tokens, image = ids[0].tolist(), own.config["image_token_id"]
    begin, count = tokens.index(image), tokens.count(image)
    row = Row(cells)
    end = row.picture(image, 0, row.text(tokens[:begin], 0, 0))
    row.text(tokens[begin + count:], 0, end)
    row.labels = [0] * len(row.labels)
    frame = pixels.view(1, -1, qwen.CHANNELS, 2, qwen.PATCH**2)[:, :, :, 0].flatten(2)
    _, logits = own(frame, cells, stack([row]))
    theirs = reference.exact(**reference.arguments(reference.exact, ids, pixels, grid)).logits[0]
    return (logits[0, :len(tokens)] - theirs).abs().max().item()


if __name__ == "__main__":
    main()
