"""The loss curve of a training as a picture.

    plot.py OUT/log.jsonl CURVE.png
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(log, picture):
    """Loss for each token over the pictures seen, while training and on scenes held out; shares right beneath."""
    lines = [json.loads(line) for line in open(log)]
    seen = {line["step"]: line["pictures"] for line in lines if "pictures" in line} | {0: 0}
    trained = [(line["pictures"], line["words"]) for line in lines if line.get("words") is not None]
    held = [line for line in lines if "held_out" in line]
    figure, (loss, right) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), dpi=90, layout="constrained")
    loss.plot(*zip(*trained), label="training", linewidth=1)
    loss.plot([seen[line["step"]] for line in held], [line["held_out"] for line in held], "o-", label="held out")
    loss.set(yscale="log", ylabel="cross entropy for each token (nats)")
    for name in ("descriptions", "answers"):
        shares = [100 * (1 - line[name]) for line in held]
        right.plot([seen[line["step"]] for line in held], shares, "o-", label=name)
    right.set(yscale="log", ylabel="wrong, held out (%)", xlabel="pictures")
    for axes in (loss, right):
        axes.legend()
        axes.grid(True, which="both", alpha=0.3)
    figure.savefig(picture)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
