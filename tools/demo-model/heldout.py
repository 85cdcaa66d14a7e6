"""How a model in training does on scenes that it was not shown, without generating a token.

If every token of an answer is the likeliest one after the right tokens before it, then greedy decoding gives just this
answer. So one pass over the right answers tells which would come out right. The published figures do not come from
here but from a server (`exam.sh`).
"""

import random
import re

import torch

import model as qwen
import pool as pools

BLOCKS = 16


@torch.no_grad()
def measure(trainer, folder):
    """A log line: loss and shares that are right on the first shard of a pool, and the questions that were missed."""
    pool = pools.Pool(folder, seed=1)
    loss, tokens = 0.0, 0
    counts = {"descriptions": [0, 0], "answers": [0, 0]}
    wrong = []
    trainer.model.eval()
    for number, block in enumerate(pool.load(0, 0)[:BLOCKS]):
        dice = random.Random(number)
        rows = trainer.builder.rows(block.records, block.grid, dice, number % 2 == 1)
        with torch.autocast("cpu", torch.bfloat16, enabled=trainer.arguments.bf16):
            _, logits = trainer.model(qwen.patches(block.images()), block.grid, rows)
        real = rows.targets >= 0
        losses = torch.nn.functional.cross_entropy(logits.float()[real], rows.targets[real], reduction="sum")
        loss, tokens = loss + losses.item(), tokens + int(real.sum())
        best = logits.argmax(-1)
        for i, chats in enumerate(rows.chats):
            descriptions = [chat["answer"] for chat in block.records[i]["descriptions"]]
            for prompt, answer, first, end in chats:
                said = trainer.tokenizer.decode(best[i, first:end].tolist())
                whole = answer in descriptions
                kind = "descriptions" if whole else "answers"
                right = facts(said) == facts(answer) if whole else said == answer
                counts[kind][0] += right
                counts[kind][1] += 1
                if not right:
                    wrong.append([prompt, answer, said])
    trainer.model.train()
    return {"step": trainer.step, "held_out": round(loss / tokens, 5),
            **{name: round(right / asked, 4) for name, (right, asked) in counts.items()}, "wrong": wrong}


def facts(description):
    """A description without its first sentence, which says in one of several ways that a road is being built."""
    return re.split(r"。|\. ", description, maxsplit=1)[-1]
