"""The scripted server as truth: starts it, reads what it did, and holds against it what a tool reports of each request.

True TTFT runs from the kernel's receive time of the request's last byte to the stamp before the write of the first token.
Knows nothing of the tools.
"""

import json
import os
from dataclasses import dataclass

from processes import Background


@dataclass
class Script:
    """What the server plays."""

    tokens: int = 128
    prefill_ms: float = 200
    interval_ms: float = 20


@dataclass
class Reported:
    """One request as a tool reports it, beside the server's record of it. Times in ns."""

    record: dict
    ttft_ns: float
    tpot_ns: float
    # Gaps between tokens; None where the tool does not tell them.
    gaps_ns: list | None = None


class TruthServer:
    """The server on one core, with an address while the block runs and records after it."""

    def __init__(self, program, script, core, folder):
        self.path = os.path.join(folder, "truth.json")
        command = [
            program, "--scripted", "--spin", "--port", "0", "--prefill-ms", str(script.prefill_ms), "--interval-ms",
            str(script.interval_ms), "--tokens", str(script.tokens), "--truth-log", self.path,
        ]
        self.background = Background(command, core, log=os.path.join(folder, "server.log"))

    def __enter__(self):
        self.url = self.background.line("listening on ")
        return self

    def __exit__(self, *failure):
        self.background.__exit__(*failure)

    def records(self):
        """All chat requests, in the order of their numbers."""
        with open(self.path) as log:
            return json.load(log)


def token_writes(record):
    """When each token was written: the stamp before the write, ns."""
    return [write["before_ns"] for write in record["writes"] for _ in range(write["tokens"])]


def errors(reported):
    """Reported less true, µs: a summary of TTFT, TPOT and of every gap; and the share of gaps reported as nothing at all."""
    ttft, tpot, gaps = [], [], []
    for request in reported:
        writes = token_writes(request.record)
        ttft.append((request.ttft_ns - (writes[0] - request.record["received_ns"])) / 1e3)
        if len(writes) > 1:
            tpot.append((request.tpot_ns - (writes[-1] - writes[0]) / (len(writes) - 1)) / 1e3)
        if request.gaps_ns is not None:
            true = [later - earlier for earlier, later in zip(writes, writes[1:])]
            if len(true) != len(request.gaps_ns):
                raise ValueError(f"{len(true)} gaps written, {len(request.gaps_ns)} reported")
            gaps += [abs(gap - was) / 1e3 for gap, was in zip(request.gaps_ns, true)]
    told = [gap for request in reported for gap in request.gaps_ns or []]
    shared = sum(gap == 0 for gap in told) / len(told) if told else None
    return {"ttft_us": spread(ttft), "tpot_us": spread(tpot), "itl_us": spread(gaps), "shared_reads": shared}


def spread(values):
    """The mean with its sign, and what half and 99 of 100 do not exceed in size; None of nothing."""
    if not values:
        return None
    sizes = sorted(map(abs, values))
    at = lambda share: sizes[min(len(sizes) - 1, int(len(sizes) * share))]
    return {"mean": sum(values) / len(values), "p50": at(0.5), "p99": at(0.99), "max": sizes[-1]}
