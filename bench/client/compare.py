#!/usr/bin/env python3
"""How wrong load generators are and what they cost: raw reader, ours and its peers in turn against a server whose send times
are known. Prints one Markdown table and leaves it, the single runs and a plot in --out. Sends to loopback only.

    bench/client/compare.py FOLDER        # FOLDER as setup.sh made it; without peers in it, ours and the raw reader
"""

import argparse
import contextlib
import datetime
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass

# No caches of compiled scripts beside them in the tree.
sys.dont_write_bytecode = True

import table
from processes import Background, run
from tools import TOOLS, Job
from truth import Script, TruthServer, errors, token_writes

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


@dataclass
class Case:
    """A kind of load, and who takes part in it."""

    name: str
    streams: int
    script: Script
    tools: tuple = tuple(TOOLS)
    image: bool = False
    # Another process spins on the tool's core.
    stolen: bool = False


class Places:
    """Where programs are."""

    def __init__(self, folder, built):
        self.folder, self.tokenizer = os.path.abspath(folder), os.path.join(os.path.abspath(folder), "tokenizer")
        self.server, self.ours = os.path.join(built, "vlm-server"), os.path.join(built, "vlm-benchmark")
        self.raw = os.path.join(HERE, "raw-reader/target/release/raw-reader")

    def peer(self, environment, program):
        return os.path.join(self.folder, environment, "bin", program)

    def version(self, name):
        """What is installed, by its own word."""
        if name == "raw":
            return None
        if name == "ours":
            return subprocess.run([self.ours, "--version"], capture_output=True, text=True).stdout.strip()
        ask = f"import importlib.metadata as m; print('{name}', m.version('{name}'))"
        answer = subprocess.run([self.peer(name, "python"), "-c", ask], capture_output=True, text=True)
        return answer.stdout.strip() or f"{name}, version unknown"


def main():
    args = arguments()
    places = Places(args.folder, args.built)
    tools = {name: TOOLS[name](places) for name in args.tools}
    for name, tool in list(tools.items()):
        if not os.access(tool.program, os.X_OK):
            how = "cargo build --release" if name in ("raw", "ours") else "setup.sh"
            say(f"{name} is left out: {tool.program} is not there ({how} makes it)")
            del tools[name]
    os.makedirs(args.out, exist_ok=True)
    log = os.path.join(args.out, "runs.jsonl")
    with open(log, "w") as out:
        out.write(json.dumps({"machine": machine([places.version(name) for name in tools])}) + "\n")
    # The tool's core is better shared with nobody, this script included, where there is a third.
    os.sched_setaffinity(0, {(args.cores[2:] or args.cores[1:])[0]})
    for number in range(args.runs):
        for case in cases(args):
            for name, tool in tools.items():
                if name in case.tools:
                    one(case, tool, places, args, number, log)
        # After every run, so that one that is cut short leaves the runs before it.
        results(places, log, args.out)
    with open(os.path.join(args.out, "comparison.md")) as markdown:
        print(markdown.read(), end="")


def results(places, log, out):
    """The table and the plot of the runs so far."""
    with open(os.path.join(out, "comparison.md"), "w") as markdown:
        markdown.write(table.markdown(*table.read(log)))
    plot(places, log, os.path.join(out, "comparison.svg"))


def arguments():
    words = lambda text: text.split(",")
    numbers = lambda text: [int(word) for word in text.split(",")]
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="where setup.sh installed the peers")
    parser.add_argument("--runs", type=int, default=3, help="times everything is repeated; the table has the medians")
    parser.add_argument("--streams", type=numbers, default=[1, 64, 256, 1024], help="requests at once (1,64,256,1024)")
    parser.add_argument("--tools", type=words, default=list(TOOLS), help=",".join(TOOLS))
    parser.add_argument("--cases", type=words, default=["burst", "image", "stolen", "rate"], help="burst,image,stolen,rate")
    parser.add_argument("--cores", type=numbers, default=[0, 1], help="server's core, tools' core, this script's core (0,1)")
    parser.add_argument("--built", default=os.path.join(target, "release"), help="where vlm-server and vlm-benchmark are")
    parser.add_argument("--out", default=os.path.join(HERE, "results"), help="folder of the results")
    args = parser.parse_args()
    unknown = set(args.tools) - set(TOOLS)
    if unknown:
        parser.error(f"no such tool: {', '.join(sorted(unknown))}; there are {', '.join(TOOLS)}")
    return args


def cases(args):
    if "burst" in args.cases:
        for streams in args.streams:
            # 51,000 events a second are more than one core of server writes on time.
            yield Case("burst", streams, Script() if streams < 1024 else Script(tokens=48, interval_ms=100))
    if "image" in args.cases:
        yield Case("image", 64, Script(), tools=("ours", "vllm"), image=True)
    if "stolen" in args.cases:
        yield Case("stolen", 64, Script(), tools=("raw", "ours"), stolen=True)
    if "rate" in args.cases:
        yield Case("rate", 64, Script(tokens=4000, interval_ms=0), tools=("raw", "ours"))


def one(case, tool, places, args, number, log):
    """One tool under one load, with a server of its own: a row in the log for each of its clocks."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if case.stolen:
            spin = [sys.executable, "-c", "while True: pass"]
            stack.enter_context(Background(spin, args.cores[1], log=os.path.join(folder, "spin.log")))
        with TruthServer(places.server, case.script, args.cores[0], folder) as server:
            job = Job(server.url, case.streams, case.script.tokens, case.image, folder)
            cost = run(tool.command(job), args.cores[1], log=job.file("talk.log"), env=environment(tool.name), watch=tool.watch)
        # In a process of its own: what reading the records takes is not to be the next tool's first resident size.
        reader = multiprocessing.get_context("fork").Process(target=compare, args=(case, tool, job, cost, server, number, log))
        reader.start()
        reader.join()
        if reader.exitcode:
            raise SystemExit(f"{tool.name}, {case.name}: the records cannot be read")


def compare(case, tool, job, cost, server, number, log):
    """Holds what the tool reports against the server's records and appends the rows."""
    records = server.records()
    about = {
        "run": number, "case": case.name, "streams": case.streams, "tokens": case.script.tokens,
        "interval_ms": case.script.interval_ms, "tool": tool.name, "status": cost.status, "load_average": os.getloadavg()[0],
        **spent(cost, records),
    }
    with open(log, "a") as out:
        for clock in tool.rows:
            row = {**about, "clock": clock}
            try:
                reported = list(tool.reported(job, records, clock))
                row |= {"requests": len(reported), **errors(reported), "burst_ms": burst_ms(reported)}
                row["verdict"] = tool.verdict(job) if tool.name == "ours" else None
            except (OSError, ValueError, KeyError, IndexError, TypeError) as why:
                with open(job.file("talk.log"), errors="replace") as talk:
                    row["failure"] = f"{why!r}; {talk.read()[-800:]}"
            say(table.line(row))
            out.write(json.dumps(row) + "\n")


def spent(cost, records):
    """What the whole job cost, in whole and for each token event, and when its first request reached the server."""
    writes = [write for record in records for write in token_writes(record)]
    if not writes:
        return {}
    received = sorted(record["received_ns"] for record in records)
    loading_s = cost.cpu_between(received[0], max(writes))
    return {
        "cpu_s": cost.cpu_s,
        "cpu_us_per_event": cost.cpu_s * 1e6 / len(writes),
        "cpu_loading_us_per_event": None if loading_s is None else loading_s * 1e6 / len(writes),
        "rss_mb": cost.rss_bytes_max / 1e6,
        "processes": cost.processes_max,
        "start_ms": (received[0] - cost.started_ns) / 1e6,
        "events_per_s": len(writes) * 1e9 / max(1, max(writes) - min(writes)),
        "events_per_cpu_s": len(writes) / cost.cpu_s,
    }


def burst_ms(reported):
    """From the first request's arrival to the last one's."""
    received = [request.record["received_ns"] for request in reported]
    return (max(received) - min(received)) / 1e6 if received else None


def environment(tool):
    """Peers are to look nothing up and to report to nobody. AIPerf takes a local tokenizer only when it may look on the net."""
    env = dict(os.environ, VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", VLLM_LOGGING_LEVEL="WARNING")
    if tool != "aiperf":
        env["HF_HUB_OFFLINE"] = "1"
    return env


def machine(versions):
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown processor")
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(), "cpu": model, "cores": os.cpu_count(), "system": platform.release(),
        "commit": commit, "versions": [version for version in versions if version],
    }


def plot(places, log, out):
    python = places.peer("plot", "python")
    if os.access(python, os.X_OK):
        subprocess.run([python, os.path.join(HERE, "plot.py"), log, out], check=True)
    else:
        say(f"no plot: {python} is not there (setup.sh makes it)")


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
