"""Two answers side by side, and Markdown of many. Pure."""

from dataclasses import dataclass


@dataclass
class Agreement:
    """How far two greedy answers go together."""

    # Tokens before the first that differs, and all.
    common: int
    tokens: int
    # Over those, the greatest difference of a log probability of the likeliest tokens, rank by rank.
    logprob_max: float
    # Where they part: how much likelier the reference holds its token than the next one.
    margin: float | None

    def __str__(self):
        close = f"{self.logprob_max:.1e}"
        if self.margin is None:
            return f"{self.common} of {self.tokens}, Δ {close}"
        return f"**{self.common}** of {self.tokens}, Δ {close}, margin {self.margin:.1e}"


def agreement(reference, other):
    """Of two answers with `tokens` and `top`. The step at which they part is compared too: its logits still come from equal
    tokens."""
    pairs = list(zip(reference.tokens, other.tokens, strict=True))
    common = next((at for at, (one, two) in enumerate(pairs) if one != two), len(pairs))
    alike = list(zip(reference.top, other.top, strict=True))[: common + 1]
    far = max(abs(one - two) for here, there in alike for one, two in zip(here, there))
    parted = common < len(pairs)
    margin = reference.top[common][0] - reference.top[common][1] if parted else None
    return Agreement(common, len(pairs), far, margin)


def least_margin(answer):
    """The smallest distance of the two likeliest tokens over all steps."""
    return min(step[0] - step[1] for step in answer.top)


def table(head, rows):
    """Markdown; a cell is text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
