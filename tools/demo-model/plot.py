"""The loss curve of a training as a picture.

    plot.py OUT/log.jsonl CURVE.png
"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def main(log, picture):
    """Loss for each token over the steps, while training and on scenes held out; beneath, what came out wrong."""
    lines = [json.loads(line) for line in open(log)]
    trained = [(line["step"], line["words"]) for line in lines if line.get("words") is not None]
    held = [line for line in lines if "held_out" in line]
    steps = [line["step"] for line in held]
    figure, (loss, wrong) = plt.subplots(2, 1, sharex=True, figsize=(8, 6), dpi=80, layout="constrained")
    loss.plot(*zip(*trained), label="training")
    loss.plot(steps, [line["held_out"] for line in held], "o-", label="held out")
    loss.set(yscale="log", ylabel="cross entropy for each token (nats)")
    for name in ("descriptions", "answers"):
        wrong.plot(steps, [100 * (1 - line[name]) for line in held], "o-", label=name)
    wrong.set(yscale="log", ylabel="wrong, held out (%)", xlabel="steps of 32 pictures")
    for axes in (loss, wrong):
        axes.legend()
        axes.grid(True, which="both", alpha=0.3)
    figure.savefig(picture)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
