#!/usr/bin/env python3
"""Single runs (runs.jsonl) to one picture: error and CPU against streams. Wants matplotlib (setup.sh installs it).

    FOLDER/plot/bin/python bench/client/plot.py RUNS.jsonl OUT.svg
"""

import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from table import CLOCKS, NAMES, medians, read

COLOURS = {"raw": "#888888", "ours": "#0072b2", "vllm": "#d55e00", "aiperf": "#009e73", "guidellm": "#cc79a7"}


def main(log, out):
    machine, rows = read(log)
    bursts = [row for row in medians(rows) if row["case"] == "burst"]
    lines = list(dict.fromkeys((row["tool"], row["clock"]) for row in bursts))
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "comparison", "font.size": 9})
    figure, (error, cpu) = plt.subplots(1, 2, figsize=(9.5, 4.2))
    for tool, clock in lines:
        points = [row for row in bursts if (row["tool"], row["clock"]) == (tool, clock)]
        style = {"color": COLOURS[tool], "marker": "o", "markersize": 3.5, "linestyle": "--" if clock == "user" else "-"}
        draw(error, points, lambda row: abs(row["ttft_us.mean"]), NAMES[tool] + CLOCKS[clock], style)
        if clock != "user":
            draw(cpu, points, lambda row: row["cpu_s"], NAMES[tool], style)
    label(error, "mean TTFT error, size (µs)", bursts)
    label(cpu, "CPU of the whole job (s)", bursts)
    figure.legend(*error.get_legend_handles_labels(), fontsize=8, loc="lower center", ncols=4, frameon=False)
    figure.suptitle(f"One closed burst against a server of known send times; {machine['cpu']}, {machine['date']}", fontsize=9)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    figure.savefig(out, metadata={"Date": None})


def draw(axes, points, value, name, style):
    known = [row for row in points if row["cpu_s"] is not None and row["ttft_us.mean"] is not None]
    axes.plot([row["streams"] for row in known], [value(row) for row in known], label=name, **style)


def label(axes, what, rows):
    streams = sorted({row["streams"] for row in rows})
    axes.set(xscale="log", yscale="log", xlabel="requests at once", ylabel=what)
    axes.set_xticks(streams, [f"{count:,}" for count in streams])
    axes.minorticks_off()
    axes.grid(True, linewidth=0.3)


if __name__ == "__main__":
    main(*sys.argv[1:])
