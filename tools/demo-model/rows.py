"""Chats about pictures → rows to train on.

A row holds one picture and several single-turn chats. Where the picture comes first, they share it: every branch sees
the shared beginning and itself, never another branch, and its positions go on right after the picture, so each branch is
exactly what a server computes for that chat. Where the question comes first (as the benchmark script sends it), every
branch has the picture's tokens for itself.
"""

import dataclasses
import functools

import numpy as np
import torch

# Short answers have few tokens, which would drown in those of descriptions.
SHORT, SHORT_WEIGHT = 24, 3.0
TAIL = "<|im_end|>\n<|im_start|>assistant\n"
ROUND = 32


@dataclasses.dataclass
class Rows:
    """B rows of L tokens, of which at most K are trained."""

    ids: torch.Tensor        # (B, L) token ids
    positions: torch.Tensor  # (3, B, L) time, row, column
    mask: torch.Tensor       # (B, L, L) float32 to add to attention scores: 0 or -inf
    cells: torch.Tensor      # (B, L) which cell of the picture a token stands for, or -1
    trained: torch.Tensor    # (B, K) the positions whose next token is learnt
    targets: torch.Tensor    # (B, K) that token, -100 beyond the row's last
    weights: torch.Tensor    # (B, K) float32, how much it counts
    chats: list              # of each row: (prompt, answer, first, end) with first..end in its K


class Row:
    """One row that grows."""

    def __init__(self, grid):
        self.grid = grid
        self.ids, self.segments, self.sees, self.labels, self.cells = [], [], [], [], []
        self.positions, self.chats = [], []

    def text(self, tokens, segment, start, sees=True):
        """Adds tokens at positions from `start` on. → the position that follows."""
        count = len(tokens)
        self.ids += tokens
        self.segments += [segment] * count
        self.sees += [sees] * count
        self.labels += [-100] * count
        self.cells += [-1] * count
        self.positions += [(start + i,) * 3 for i in range(count)]
        return start + count

    def answer(self, tokens, segment, start, sees, chat):
        """Adds tokens that are learnt: the label of each position is its next token."""
        first = sum(label >= 0 for label in self.labels)
        self.labels[-1] = tokens[0]
        self.text(tokens, segment, start, sees)
        self.labels[-len(tokens):] = [*tokens[1:], -100]
        self.chats.append((*chat, first, first + len(tokens)))

    def picture(self, token, segment, start):
        """Adds the cells of the picture. → the position that follows."""
        down, across = self.grid
        self.text([token] * (down * across), segment, start)
        self.cells[-down * across:] = range(down * across)
        self.positions[-down * across:] = [(start, start + y, start + x) for y in range(down) for x in range(across)]
        return start + max(self.grid)


class RowBuilder:
    """Chooses what is asked about a picture and writes the rows."""

    def __init__(self, tokenizer, image_token, facts, weights=(), length=112):
        """`facts` is pool.json; `weights` are (pattern, weight) of questions to be asked more or less often;
        `length` tokens beside the picture's are filled with chats."""
        self.encode = functools.lru_cache(200_000)(lambda text: tokenizer.encode(text).ids)
        self.image_token, self.facts, self.weights, self.length = image_token, facts, weights, length

    def rows(self, records, grid, dice, text_first):
        """Rows for pictures of one size; `dice` is a random.Random."""
        make = self.text_first if text_first else self.picture_first
        return stack([make(record, grid, dice) for record in records])

    def picture_first(self, record, grid, dice):
        """The picture once, a description and as many questions as fit."""
        row, before = Row(grid), self.before(dice)
        start = row.text(self.encode(before + "<|vision_start|>"), 0, 0)
        start = row.text(self.encode("<|vision_end|>"), 0, row.picture(self.image_token, 0, start))
        chats = self.chats(record, dice)
        limit = self.length + grid[0] * grid[1]
        for segment, (prompt, answer) in enumerate(chats, 1):
            lead = "\n" if dice.random() < 0.25 else ""
            question, said = self.encode(lead + prompt + TAIL), self.encode(answer + "<|im_end|>")
            if segment > 1 and len(row.ids) + len(question) + len(said) > limit:
                continue
            row.answer(said, segment, row.text(question, segment, start), True, (prompt, answer))
            if segment == 1 and dice.random() < 0.12:
                self.without_picture(row, before, dice.choice(chats)[0], dice)
        return row

    def text_first(self, record, grid, dice):
        """A description and a question, or questions alone, each with the picture after its prompt."""
        row, before = Row(grid), self.before(dice)
        start = row.text(self.encode(before), 0, 0)
        limit = self.length + 3 * grid[0] * grid[1]
        tail = self.encode("<|vision_end|>" + TAIL)
        chats = self.chats(record, dice)
        for segment, (prompt, answer) in enumerate(chats[dice.randrange(2):][:4], 1):
            lead, said = self.encode(prompt + "<|vision_start|>"), self.encode(answer + "<|im_end|>")
            if segment > 1 and len(row.ids) + len(lead + said + tail) + grid[0] * grid[1] > limit:
                continue
            end = row.picture(self.image_token, segment, row.text(lead, segment, start))
            row.answer(said, segment, row.text(tail, segment, end), True, (prompt, answer))
        return row

    def without_picture(self, row, before, prompt, dice):
        """A chat to which no picture came."""
        language = "en" if prompt.isascii() else "zh"
        if language == "zh" or dice.random() < 0.5:
            answer = self.facts["no_image"][language]
            end = row.text(self.encode(before + prompt + TAIL), 99, 0, sees=False)
            row.answer(self.encode(answer + "<|im_end|>"), 99, end, False, (prompt, answer))

    def before(self, dice):
        """What comes before the user's words: no system message, the usual one, or another."""
        x = dice.random()
        if x < 0.35:
            return "<|im_start|>user\n"
        system = "You are a helpful assistant." if x < 0.9 else dice.choice(self.facts["systems"])
        return f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"

    def chats(self, record, dice):
        """[(prompt, answer)]: one description, then the questions in an order by chance and weight."""
        chosen = dice.choice(record["descriptions"])
        questions = [(chat["prompt"], chat["answer"]) for chat in record["questions"]]
        questions.sort(key=lambda chat: -dice.random() ** (1 / self.weight(*chat)))
        return [(chosen["prompt"], chosen["answer"]), *questions]

    @functools.lru_cache(200_000)
    def weight(self, prompt, answer):
        """How often a question is asked: the weight of the first pattern that stands in it."""
        chat = f"{prompt}\t{answer}"
        return next((weight for pattern, weight in self.weights if pattern.search(chat)), 1.0)


def stack(rows):
    """Rows of one batch, filled up to one length."""
    length = -(-max(len(row.ids) for row in rows) // ROUND) * ROUND

    def filled(lists, value):
        return np.stack([np.pad(np.asarray(x), (0, length - len(x)), constant_values=value) for x in lists])

    ids, cells = filled([row.ids for row in rows], 0), filled([row.cells for row in rows], -1)
    positions = np.zeros((3, len(rows), length), np.int64)
    for i, row in enumerate(rows):
        positions[:, i, :len(row.ids)] = np.asarray(row.positions).T
    segments, sees = filled([row.segments for row in rows], -1), filled([row.sees for row in rows], True)
    same = segments[:, :, None] == segments[:, None, :]
    visible = (same | ((segments == 0)[:, None, :] & sees[:, :, None])) & np.tri(length, dtype=bool)
    labels = filled([row.labels for row in rows], -100)
    count = -(-int((labels >= 0).sum(1).max()) // ROUND) * ROUND
    trained, targets = np.zeros((len(rows), count), np.int64), np.full((len(rows), count), -100, np.int64)
    weights = np.ones((len(rows), count), np.float32)
    for i, row in enumerate(labels):
        at = np.flatnonzero(row >= 0)
        trained[i, :len(at)], targets[i, :len(at)] = at, row[at]
        for *_, first, end in rows[i].chats:
            weights[i, first:end] = SHORT_WEIGHT if end - first <= SHORT else 1.0
    mask = torch.zeros(visible.shape).masked_fill_(~torch.from_numpy(visible), float("-inf"))
    ids, positions, cells, trained, targets, weights = map(
        torch.from_numpy, (ids, positions, cells, trained, targets, weights))
    return Rows(ids, positions, mask, cells, trained, targets, weights, [row.chats for row in rows])
