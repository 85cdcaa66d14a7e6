"""Starts programs on one core each and says what they cost. Knows nothing of load generators or of truth."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SAMPLE_S = 0.25


@dataclass
class Cost:
    """What a program and the processes beneath it used."""

    # Just before the program took the place of the script's copy.
    started_ns: int = 0
    ended_ns: int = 0
    status: int = 0
    cpu_s: float = 0.0
    rss_bytes_max: int = 0
    processes_max: int = 1
    # (monotonic ns, CPU seconds so far) while it ran; empty where it was not watched.
    samples: list = field(default_factory=list)

    def cpu_between(self, from_ns, to_ns):
        """CPU seconds between two times; None where it was not watched."""
        if not self.samples:
            return None
        at = lambda ns: min(self.samples, key=lambda sample: abs(sample[0] - ns))[1]
        return at(to_ns) - at(from_ns)


def pinned(core, began=None):
    """For `preexec_fn`: the child runs on this core only, and its start goes to `began` where that is given."""

    def before():
        os.sched_setaffinity(0, {core})
        if began is not None:
            os.write(began, str(time.monotonic_ns()).encode())

    return before


def run(command, core, *, log, env=None, watch=False, limit_s=180):
    """Runs a command to its end on one core.

    CPU time is what `wait4` tells of it and of all it waited for. A single process is not watched while it runs, since
    watching takes time on a core; then its largest resident size is the kernel's too. With `watch` its whole tree is
    looked at four times a second, for the sum of the resident sizes and for children that nobody waits for.

    The kernel's largest resident size begins with that of the caller, of which the process is a copy first: keep it small.
    """
    cost, (told, began) = Cost(), os.pipe()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, start_new_session=True,
            preexec_fn=pinned(core, began),
        )
    cost.started_ns = int(os.read(told, 32))
    os.close(told)
    os.close(began)
    alarm = threading.Timer(limit_s, os.killpg, (process.pid, signal.SIGKILL))
    alarm.start()
    try:
        status, usage = _watched(process.pid, cost) if watch else os.wait4(process.pid, 0)[1:]
    finally:
        alarm.cancel()
    cost.ended_ns = time.monotonic_ns()
    process.returncode = cost.status = os.waitstatus_to_exitcode(status)
    cost.cpu_s = max([usage.ru_utime + usage.ru_stime] + [cpu_s for _, cpu_s in cost.samples])
    cost.rss_bytes_max = max(cost.rss_bytes_max, usage.ru_maxrss * 1024)
    return cost


def _watched(pid, cost):
    cpu_s = {}
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, usage
        rss_bytes, family = 0, _family(pid)
        for member in family:
            seen = _stat(member)
            if seen:
                cpu_s[member] = seen[0]
                rss_bytes += seen[1]
        cost.rss_bytes_max = max(cost.rss_bytes_max, rss_bytes)
        cost.processes_max = max(cost.processes_max, len(family))
        cost.samples.append((time.monotonic_ns(), sum(cpu_s.values())))
        time.sleep(SAMPLE_S)


def _family(pid):
    """The process and all below it."""
    members, todo = [], [pid]
    while todo:
        member = todo.pop()
        members.append(member)
        try:
            for thread in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{thread}/children") as children:
                    todo += [int(child) for child in children.read().split()]
        except OSError:
            continue
    return members


def _stat(pid):
    """CPU seconds and resident bytes; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(") ", 1)[1].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S, int(fields[21]) * PAGE_BYTES


class Background:
    """A process that runs while the block does, on one core."""

    def __init__(self, command, core, *, log):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=pinned(core)
            )

    def line(self, start, limit_s=10):
        """What follows `start` on the first line that begins so, once it is there."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            with open(self.log) as log:
                for line in log:
                    if line.startswith(start) and line.endswith("\n"):
                        return line[len(start):].strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        with open(self.log) as log:
            raise RuntimeError(f"no line {start!r} from {self.process.args[0]}: {log.read()[-500:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
