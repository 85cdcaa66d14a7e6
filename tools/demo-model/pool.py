"""A training pool as `vlm-benchmark scenes --pool` writes it: pictures, what each cell shows, sentences.

Shards may appear while training runs: after the last one that is there the first follows again. What comes next depends
only on the seed and on a place (visit, shard, block), so that a resumed training goes on with the very next block.
"""

import json
import pathlib
import random
import time

import numpy as np
import torch

BLOCK = 32


class Pool:
    """Blocks of `BLOCK` pictures of one size, shard by shard, each shard in an order of its own."""

    def __init__(self, folder, seed):
        self.folder, self.seed = pathlib.Path(folder), seed
        self.facts = json.loads((self.folder / "pool.json").read_text())
        if self.facts["version"] != 2:
            raise SystemExit(f"{folder}/pool.json: version {self.facts['version']}; this trainer reads version 2")
        self.atoms = len(self.facts["atoms"])
        self.place = {"visit": 0, "shard": 0, "block": 0}
        self.loaded = None

    def next(self):
        """The next block: a list of records, pictures (B, height, width, 3) uint8, cells (B, cells, atoms) float."""
        if self.loaded is None:
            self.loaded = self.load(self.place["visit"], self.place["shard"])
        block = self.loaded[self.place["block"]]
        self.place = self.after(self.place)
        if self.place["block"] == 0:
            self.loaded = None
        return block

    def after(self, place):
        """The place that follows; the number of shards is looked up anew."""
        if place["block"] + 1 < len(self.loaded):
            return {**place, "block": place["block"] + 1}
        if (self.folder / name(place["shard"] + 1, "jsonl")).exists():
            return {"visit": place["visit"], "shard": place["shard"] + 1, "block": 0}
        return {"visit": place["visit"] + 1, "shard": 0, "block": 0}

    def load(self, visit, shard):
        """All blocks of a shard: pictures of one size are mixed, then the blocks."""
        path = self.folder / name(shard, "jsonl")
        while not path.exists():
            time.sleep(1)
        records = [json.loads(line) for line in path.read_text().splitlines()]
        pixels = np.memmap(self.folder / name(shard, "rgb"), np.uint8, "r")
        by_size, at = {}, 0
        for record in records:
            record["at"] = at
            at += record["width"] * record["height"] * 3
            by_size.setdefault((record["width"], record["height"]), []).append(record)
        if at != len(pixels):
            raise SystemExit(f"{path}: its lines stand for {at} bytes of pictures, the .rgb file has {len(pixels)}")
        order = random.Random(f"{self.seed}/{visit}/{shard}")
        blocks = []
        for group in by_size.values():
            order.shuffle(group)
            blocks += [group[i:i + BLOCK] for i in range(0, len(group), BLOCK)]
        order.shuffle(blocks)
        return [Block(block, pixels, self.atoms) for block in blocks]


class Block:
    """Pictures of one size with their records."""

    def __init__(self, records, pixels, atoms):
        self.records, self.pixels, self.atoms = records, pixels, atoms

    def __len__(self):
        return len(self.records)

    @property
    def grid(self):
        """(rows, columns) of 28×28 cells."""
        return self.records[0]["height"] // 28, self.records[0]["width"] // 28

    def parts(self, count):
        """The block cut into at most `count` blocks."""
        size = -(-len(self) // count)
        return [Block(self.records[i:i + size], self.pixels, self.atoms) for i in range(0, len(self), size)]

    def images(self):
        """uint8 (B, height, width, 3)."""
        height, width = self.records[0]["height"], self.records[0]["width"]
        size = height * width * 3
        pictures = [self.pixels[record["at"]:record["at"] + size] for record in self.records]
        return torch.from_numpy(np.stack(pictures).reshape(-1, height, width, 3))

    def shown(self):
        """float (B, cells, atoms): 1 where a cell shows an atom."""
        out = torch.zeros(len(self), self.grid[0] * self.grid[1], self.atoms)
        for i, record in enumerate(self.records):
            for cell, atoms in enumerate(record["cells"]):
                out[i, cell, atoms] = 1
        return out


def name(shard, ending):
    """File name of a shard."""
    return f"shard-{shard:05d}.{ending}"


def texts(folder):
    """Every sentence of the first shard and of pool.json: what the tokenizer is made of."""
    facts = json.loads((pathlib.Path(folder) / "pool.json").read_text())
    yield from ["system\n", "user\n", "assistant\n", "Picture 1:"]
    yield from facts["systems"]
    yield from facts["no_image"].values()
    with (pathlib.Path(folder) / name(0, "jsonl")).open() as lines:
        for line in lines:
            record = json.loads(line)
            for chat in record["descriptions"] + record["questions"]:
                yield chat["prompt"]
                yield chat["answer"]
