#!/usr/bin/env python3
"""Single runs (runs.jsonl) to medians and one Markdown table. Measures nothing.

    bench/client/table.py RUNS.jsonl      # prints the table of runs that are already there
"""

import json
import statistics
import sys

NAMES = {"raw": "raw reader", "ours": "vlm-benchmark", "vllm": "vllm bench serve", "aiperf": "AIPerf", "guidellm": "GuideLLM"}
CLOCKS = {"kernel": ", kernel's time", "user": ", own reads", "own": ""}
CASES = {
    "burst": "{}",
    "image": "{}, one 3 MB image each",
    "stolen": "{}, another process spins on the core",
    "rate": "{}, back to back",
}
FIGURES = (
    "ttft_us.mean", "ttft_us.p50", "ttft_us.p99", "tpot_us.mean", "itl_us.mean", "itl_us.p99", "shared_reads", "cpu_s",
    "cpu_us_per_event", "cpu_loading_us_per_event", "rss_mb", "processes", "start_ms", "burst_ms", "events_per_s", "events_per_cpu_s",
)
HEAD = (
    "streams", "tool", "TTFT error µs, mean / p99", "TPOT error µs, mean", "abs. ITL error µs, mean / p99", "CPU s, whole job",
    "CPU µs an event, whole job", "× raw reader", "CPU µs an event, while loading", "RSS MB (processes)",
    "start → first request ms", "first → last request ms",
)
NOTES = """
TTFT and TPOT error: reported less true, mean with its sign, p99 of the size. True TTFT: from the kernel's receive time of the
request's last byte to the stamp before the write of its first token. ITL error: the size of the error of every single gap.
The server plays on one core, the tool runs on another, one closed burst; 128 tokens, 20 ms apart, first after 200 ms (at 1,024
streams 48 tokens, 100 ms apart). CPU of the whole job holds everything from the start of the process to its end; while loading:
from the first request's arrival to the last token (sampled four times a second, so rough where the load is short; of raw reader
and vlm-benchmark not sampled, their whole job is the upper bound). First → last request: as the server's kernel received them.
vlm-benchmark sends one request by itself before the burst, which is its first request here and in its CPU time.
Requests are lined up by x-request-id (raw reader, vlm-benchmark, vllm, AIPerf) or by the reply's id (GuideLLM, which tells no
single gaps). vllm bench serve counts the role's event as a token: one gap of nothing too many a request, left out here.
With images vlm-benchmark's TTFT is net of upload, vllm's is not: upload and encoding are in its error.
Resident sizes start from that of the script that starts the tools, 15 MB: less cannot be seen.
"""


def read(path):
    """The machine, and the rows."""
    with open(path) as log:
        lines = [json.loads(line) for line in log]
    return lines[0]["machine"], lines[1:]


def medians(rows):
    """One row for each case, number of streams, tool and clock, in the order of their first appearance."""
    groups = {}
    for row in rows:
        groups.setdefault((row["case"], row["streams"], row["tool"], row["clock"]), []).append(row)
    order = list(dict.fromkeys((case, streams) for case, streams, _, _ in groups))
    for key in sorted(groups, key=lambda key: order.index(key[:2])):
        good = [row for row in groups[key] if "failure" not in row and row["status"] in (0, None)]
        middle = dict(zip(("case", "streams", "tool", "clock"), key), runs=len(good), failed=len(groups[key]) - len(good))
        for figure in FIGURES:
            values = [value for value in (_value(row, figure) for row in good) if value is not None]
            middle[figure] = statistics.median(values) if values else None
        middle["requests"] = min((row["requests"] for row in good), default=0)
        middle["verdicts"] = list(dict.fromkeys(row["verdict"] for row in good if row.get("verdict")))
        yield middle


def markdown(machine, rows):
    """The table with what is to be said of it."""
    rows = list(rows)
    middles = list(medians(rows))
    floor = {(row["case"], row["streams"]): row["cpu_us_per_event"] for row in middles if row["tool"] == "raw"}
    loads = [row["load_average"] for row in rows]
    text = [
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, Linux {machine['system']}; medians of "
        f"{len({row['run'] for row in rows})} runs, tools in turn; {', '.join(machine['versions'])}; commit "
        f"{machine['commit']}; load average during the runs {min(loads):.1f} to {max(loads):.1f}.",
        "",
        *_shared(machine, loads),
        "| " + " | ".join(HEAD) + " |",
        "| " + " | ".join("---" for _ in HEAD) + " |",
    ]
    for row in middles:
        if row["case"] != "rate":
            text.append("| " + " | ".join(_cells(row, floor.get((row["case"], row["streams"])))) + " |")
    text.append(NOTES.rstrip())
    for remarks in (_images, _back_to_back, _verdicts, _lacks):
        text += remarks(middles)
    return "\n".join(text) + "\n"


def _shared(machine, loads):
    """A warning where other work ran: server and tool alone make a load of about two."""
    if statistics.median(loads) > 2.5 or machine["cores"] < 2:
        yield (
            "**Other work ran on these cores.** Whatever stamps by its own reads (the peers, and the rows “own reads”) errs more "
            "here than on a quiet machine, and the peers' start takes longer; the kernel's times suffer least. Figures to be "
            "quoted want a quiet machine."
        )
        yield ""


def line(row):
    """One run in one line, for the terminal."""
    if "failure" in row:
        return f"{row['tool']} {row['case']} {row['streams']}: {row['failure']}"
    error = lambda name: "–" if not row.get(name) else f"{row[name]['mean']:.1f} / {row[name]['p99']:.1f}"
    return (
        f"{row['case']:7} {row['streams']:5} {row['tool']:9} {row['clock']:7} requests {row['requests']:5} "
        f"TTFT {error('ttft_us')} µs, TPOT {error('tpot_us')} µs, ITL {error('itl_us')} µs, {row['cpu_s']:.2f} s CPU, "
        f"{row['cpu_us_per_event']:.1f} µs an event, {row['rss_mb']:.0f} MB, start {row['start_ms']:.0f} ms, "
        f"burst {row['burst_ms']:.1f} ms"
    )


def _value(row, figure):
    for name in figure.split("."):
        row = row and row.get(name)
    return row


def _cells(row, floor):
    pair = lambda name: " / ".join(_number(row[f"{name}.{part}"]) for part in ("mean", "p99"))
    per_event = row["cpu_us_per_event"]
    # Costs do not depend on the clock: they stand once.
    again = row["clock"] == "user"
    costs = [
        _number(row["cpu_s"], 2), _number(per_event), _number(per_event / floor) if per_event and floor else "–",
        _number(row["cpu_loading_us_per_event"]), f"{_number(row['rss_mb'])} ({_number(row['processes'], 0)})",
        _number(row["start_ms"]), _number(row["burst_ms"]),
    ]
    return [
        CASES[row["case"]].format(f"{row['streams']:,}"), NAMES[row["tool"]] + CLOCKS[row["clock"]], pair("ttft_us"),
        _number(row["tpot_us.mean"]), pair("itl_us"), *(["″"] * len(costs) if again else costs),
    ]


def _number(value, digits=None):
    """Three figures or so; thousands apart."""
    if value is None:
        return "–"
    if digits is None:
        digits = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def _images(middles):
    for row in middles:
        if row["case"] == "image" and row["clock"] != "user" and row["ttft_us.p50"] is not None:
            yield (
                f"\n{NAMES[row['tool']]}, {CASES['image'].format(row['streams'])}: half of the TTFT errors are at most "
                f"{_number(row['ttft_us.p50'])} µs."
            )


def _back_to_back(middles):
    for row in middles:
        if row["case"] == "rate" and row["clock"] != "user" and row["events_per_s"]:
            yield (
                f"\n{NAMES[row['tool']]}, {row['streams']} streams of 4,000 tokens back to back on one core: "
                f"{row['events_per_s']:,.0f} events/s as the server wrote them, {row['events_per_cpu_s']:,.0f} events per CPU "
                f"second of the whole job ({_number(row['cpu_us_per_event'])} µs an event)."
            )


def _verdicts(middles):
    for row in middles:
        if row["tool"] == "ours" and row["clock"] == "kernel" and row["verdicts"]:
            yield f"\nvlm-benchmark of itself, {CASES[row['case']].format(row['streams'])}: “{row['verdicts'][0]}”."


def _lacks(middles):
    for row in middles:
        what = f"{NAMES[row['tool']]}{CLOCKS[row['clock']]}, {CASES[row['case']].format(row['streams'])}"
        if row["failed"]:
            yield f"\n{what}: {row['failed']} of {row['failed'] + row['runs']} runs failed and are left out."
        if row["case"] == "burst" and (row["shared_reads"] or 0) > 0.01:
            yield f"\n{what}: {row['shared_reads']:.0%} of the gaps are reported as nothing: those events shared a read."
        if row["runs"] and row["requests"] < row["streams"]:
            yield f"\n{what}: only {row['requests']} of {row['streams']} requests could be compared."


if __name__ == "__main__":
    print(markdown(*read(sys.argv[1])), end="")
