"""Trains the model on a pool of drawn scenes, on a CPU, counted in steps.

    train.py POOL OUT --steps N                    from scratch
    train.py POOL OUT --steps N --init FOLDER      from a checkpoint's weights, with its tokenizer
    train.py POOL OUT --steps N --resume           goes on where OUT/checkpoint.pt stands

OUT is a checkpoint's folder that servers can load whenever `checkpoint.pt` has been written; `log.jsonl` in it is the
loss curve. What a step trains on depends only on --seed and its number, so a resumed training makes the same steps,
bit for bit.
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import shutil
import sys
import time

# Parts of a batch are computed side by side, each on one thread: they meet once a step, not once an operation, which on
# a machine that others use too is much faster.
os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer

import heldout
import model as qwen
import pool as pools
import tokenizer as tokens
from muon import Muon
from rows import RowBuilder

CELLS_WEIGHT, CELLS_WEIGHT_ALONE = 6.0, 30.0
RATE_FLOOR = 0.01
ATOMS_LR = 2e-3
WINDOW = 50
PARTS = 2


def main():
    """One training from the command line."""
    arguments = parse()
    torch.manual_seed(arguments.seed)
    trainer = Trainer(arguments)
    if arguments.resume:
        trainer.resume()
    trainer.run()


class Trainer:
    """The model, its optimisers, and where the training stands."""

    def __init__(self, arguments):
        self.arguments, self.out = arguments, pathlib.Path(arguments.out)
        self.pool = pools.Pool(arguments.pool, arguments.seed)
        self.model = prepare(arguments)
        config = self.model.config
        # What each cell shows, read off its feature: thrown away at the end, but without it little is learnt. It
        # begins at zero, so that it learns before it pulls at features which the language model reads already.
        self.atoms = nn.Linear(config["hidden_size"], self.pool.atoms)
        nn.init.zeros_(self.atoms.weight)
        nn.init.constant_(self.atoms.bias, -3.0)
        self.optimisers = optimisers(self.model, self.atoms, arguments)
        self.rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self.tokenizer = Tokenizer.from_file(str(self.out / "tokenizer.json"))
        weights = [(re.compile(pattern), float(weight)) for pattern, weight in arguments.ask]
        image = config["image_token_id"]
        self.builder = RowBuilder(self.tokenizer, image, self.pool.facts, weights, arguments.length)
        self.step, self.pictures, self.seconds = 0, 0, 0.0
        self.parameters = [*self.model.parameters(), *self.atoms.parameters()]
        self.workers = concurrent.futures.ThreadPoolExecutor(PARTS)
        self.window = []

    def run(self):
        """All steps that are left, with log lines and checkpoints."""
        if self.arguments.held_out and self.step == 0:
            self.log(heldout.measure(self, self.arguments.held_out))
        end = min(self.arguments.steps, self.arguments.stop_after or self.arguments.steps)
        while self.step < end:
            begun = time.monotonic()
            self.window.append(self.one_step())
            self.seconds += time.monotonic() - begun
            last = self.step == end
            if self.step % WINDOW == 0 or last:
                self.log(self.averages())
            held = self.arguments.held_out
            if held and (self.step % self.arguments.held_out_every == 0 or last):
                self.log(heldout.measure(self, held))
            if self.step % self.arguments.checkpoint_every == 0 or last:
                self.save()

    def one_step(self):
        """Trains on one block. → what is to be averaged for the log."""
        block = self.pool.next()
        share = self.rate_share()
        for optimiser, rates in zip(self.optimisers, self.rates):
            for group, rate in zip(optimiser.param_groups, rates):
                group["lr"] = rate * share
        dice = random.Random(f"{self.arguments.seed}/{self.step}")
        text_first = dice.random() < self.arguments.text_first
        parts = [(part, random.Random(dice.random())) for part in block.parts(PARTS)]
        results = list(self.workers.map(lambda part: self.one_part(*part, text_first), parts))
        # The parts count by their pictures.
        shares = [len(part) / len(block) for part, _ in parts]
        for i, parameter in enumerate(self.parameters):
            gradients = [result["gradients"][i] * share for result, share in zip(results, shares)]
            parameter.grad = sum(gradients[1:], gradients[0])
        gradient = nn.utils.clip_grad_norm_(self.parameters, 1.0)
        list(self.workers.map(lambda optimiser: optimiser.step(), self.optimisers))
        self.step += 1
        self.pictures += len(block)
        means = {name: None if results[0][name] is None else sum(r[name] * s for r, s in zip(results, shares))
                 for name in ("words", "cells")}
        return {**means, "gradient": gradient.item(), "share": share}

    def one_part(self, block, dice, text_first):
        """Losses and gradients of a part of a block."""
        pixels = qwen.patches(block.images())
        with torch.autocast("cpu", torch.bfloat16, enabled=self.arguments.bf16):
            if self.step < self.arguments.vision_first * self.arguments.steps:
                cells = self.cells_loss(self.model.visual(pixels, block.grid), block)
                words, loss = None, CELLS_WEIGHT_ALONE * cells
            else:
                rows = self.builder.rows(block.records, block.grid, dice, text_first)
                features, logits = self.model(pixels, block.grid, rows)
                words, cells = words_loss(logits, rows), self.cells_loss(features, block)
                loss = words + CELLS_WEIGHT * cells
        gradients = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        return {"words": None if words is None else words.item(), "cells": cells.item(), "gradients": gradients}

    def rate_share(self):
        """Share of the full learning rate: a linear start, then a cosine."""
        start = min(1.0, (self.step + 1) / self.arguments.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / self.arguments.steps))
        return start * (RATE_FLOOR + (1 - RATE_FLOOR) * cosine)

    def cells_loss(self, features, block):
        """Cross entropy of what the cells show, in nats for each cell and atom."""
        return F.binary_cross_entropy_with_logits(self.atoms(features).float(), block.shown())

    def averages(self):
        """A log line of the steps since the last one."""
        line = {"step": self.step, "pictures": self.pictures, "seconds": round(self.seconds, 1)}
        for name in ("words", "cells", "gradient", "share"):
            values = [entry[name] for entry in self.window if entry[name] is not None]
            line[name] = round(sum(values) / len(values), 5) if values else None
        self.window = []
        return line

    def log(self, line):
        """A line in log.jsonl, and a readable one on stderr."""
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        left = (self.arguments.steps - self.step) * self.seconds / max(1, self.step)
        talk = ", ".join(f"{name} {value}" for name, value in line.items() if name not in ("step", "wrong"))
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        now = time.strftime("%H:%M:%S")
        print(f"{now} step {self.step}/{self.arguments.steps}, {talk}, ends about {end}", file=sys.stderr, flush=True)

    def save(self):
        """The weights for a server, then everything that a resumed training needs, whole or not at all."""
        qwen.save(self.model, self.out)
        state = {"model": self.model.state_dict(), "atoms": self.atoms.state_dict(),
                 "optimisers": [optimiser.state_dict() for optimiser in self.optimisers], "place": self.pool.place,
                 "step": self.step, "pictures": self.pictures, "seconds": self.seconds,
                 "arguments": {**vars(self.arguments), "resume": False}, "torch": torch.get_rng_state()}
        torch.save(state, self.out / "checkpoint.part")
        os.replace(self.out / "checkpoint.part", self.out / "checkpoint.pt")

    def resume(self):
        """Goes back to the last checkpoint; log lines after it are dropped."""
        state = torch.load(self.out / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.atoms.load_state_dict(state["atoms"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        torch.set_rng_state(state["torch"])
        self.pool.place = state["place"]
        self.step, self.pictures, self.seconds = state["step"], state["pictures"], state["seconds"]
        log = self.out / "log.jsonl"
        lines = [line for line in log.read_text().splitlines(True) if json.loads(line)["step"] <= self.step]
        log.write_text("".join(lines))
        asked = vars(self.arguments)
        for name, value in state["arguments"].items():
            if name in ("steps", "seed", "lr", "muon", "warmup", "vision_first", "text_first") and value != asked[name]:
                print(f"--{name} was {value}, is {asked[name]} from step {self.step} on", file=sys.stderr)


def prepare(arguments):
    """The folder OUT with tokenizer and settings, and the model before its first step."""
    out = pathlib.Path(arguments.out)
    if (out / "checkpoint.pt").exists() and not arguments.resume:
        raise SystemExit(f"{out} holds a training already: --resume to go on with it, or another folder")
    if arguments.resume:
        return qwen.Qwen2VL(json.loads((out / "config.json").read_text()))
    out.mkdir(parents=True, exist_ok=True)
    (out / "log.jsonl").write_text("")
    if arguments.init:
        for path in pathlib.Path(arguments.init).glob("*"):
            if path.suffix in (".json", ".txt"):
                shutil.copyfile(path, out / path.name)
        return qwen.load(arguments.init)
    first = tokens.write(pools.texts(arguments.pool), out)
    whole = first + len(tokens.SPECIALS)
    model = qwen.Qwen2VL(qwen.settings(-(-whole // 64) * 64, first))
    model.initialise()
    return model


def optimisers(model, atoms, arguments):
    """Muon for the hidden matrices, AdamW for the rest. The merger's large square matrix would be a third of Muon's
    time, so AdamW has it."""
    hidden, decayed, rest = [], [], []
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and not re.search("embed_tokens|lm_head|merger", name):
            hidden.append(parameter)
        elif parameter.ndim >= 2 and "embed_tokens" not in name:
            decayed.append(parameter)
        else:
            rest.append(parameter)
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0},
              {"params": list(atoms.parameters()), "weight_decay": 0.0, "lr": ATOMS_LR}]
    adamw = torch.optim.AdamW(groups, lr=arguments.lr, betas=(0.9, 0.98), fused=True)
    kind = torch.bfloat16 if arguments.bf16 else torch.float32
    return [adamw, *(Muon(part, arguments.muon, dtype=kind) for part in (hidden[::2], hidden[1::2]))]


def words_loss(logits, rows):
    """Cross entropy of the next tokens, in nats for each token, weighted."""
    losses = F.cross_entropy(logits.flatten(0, 1).float(), rows.targets.flatten(), ignore_index=-100, reduction="none")
    weights = rows.weights.flatten() * (rows.targets.flatten() >= 0)
    return (losses * weights).sum() / weights.sum()


def has_bf16():
    """Whether this CPU multiplies bf16 itself."""
    try:
        return "avx512_bf16" in pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", help="folder that `vlm-benchmark scenes --pool` writes")
    parser.add_argument("out", help="folder of the checkpoint")
    parser.add_argument("--steps", type=int, required=True, help="one step is 32 pictures")
    parser.add_argument("--stop-after", type=int, metavar="STEPS", help="end early at this step, to go on with --resume")
    parser.add_argument("--init", help="start from the weights of this folder and keep its tokenizer")
    parser.add_argument("--resume", action="store_true", help="go on with OUT/checkpoint.pt")
    parser.add_argument("--lr", type=float, help="of AdamW: 1e-3, with --init 3e-4")
    parser.add_argument("--muon", type=float, help="of Muon: 6e-3, with --init 2e-3")
    parser.add_argument("--warmup", type=int, help="steps to the full rate: 150, with --init 50")
    parser.add_argument("--vision-first", type=float, help="share of the steps for the tower alone: 0.1, with --init 0")
    parser.add_argument("--text-first", type=float, default=0.6, help="share of the steps whose prompt comes first")
    parser.add_argument("--length", type=int, default=112, help="tokens of a row beside the picture's")
    parser.add_argument("--ask", nargs=2, action="append", default=[], metavar=("PATTERN", "WEIGHT"),
                        help="questions with PATTERN in `prompt<tab>answer` are asked WEIGHT times as often")
    parser.add_argument("--held-out", help="pool of other scenes, to be measured on")
    parser.add_argument("--held-out-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--checkpoint-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=has_bf16())
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    defaults = {"lr": (1e-3, 3e-4), "muon": (6e-3, 2e-3), "warmup": (150, 50), "vision_first": (0.1, 0.0)}
    for name, values in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, values[bool(arguments.init)])
    return arguments


if __name__ == "__main__":
    main()
