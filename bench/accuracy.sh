#!/usr/bin/env bash
# How far the client's TTFT and TPOT lie from the server's own stamps.
#
# The scripted server (first token after 200 ms, then one each 20 ms, 128 tokens) spins on one core and stamps both sides of
# every write; the client runs on another. At 1, 64 and 256 streams the mean over the requests of (reported − true) is
# printed, in µs. True TTFT is from the kernel's receive time of the request's last byte to just before the write of its first token;
# true TPOT is the span of its token writes divided by the tokens less one. Needs python3 and taskset; sends to loopback.
#
#   bench/accuracy.sh [RUNS]      default 3; the figures of each run are printed
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
runs=${1:-3}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

grep -m1 'model name' /proc/cpuinfo || true
printf '%-8s %-4s %22s %22s %16s\n' streams run 'TTFT error mean/p99 µs' 'TPOT error mean/max µs' 'client CPU s'
for run in $(seq "$runs"); do
  for streams in 1 64 256; do
    rm -rf "$work/run" "$work/truth.json" "$work/log"
    taskset -c 0 target/release/vlm-server --scripted --spin --port 0 --prefill-ms 200 --interval-ms 20 --tokens 128 \
      --truth-log "$work/truth.json" 2> "$work/log" &
    server=$!
    for _ in $(seq 100); do grep -q listening "$work/log" && break; sleep 0.05; done
    url=$(sed -n 's/^listening on //p' "$work/log")
    taskset -c 1 target/release/vlm-benchmark --no-image --base-url "$url" --batch_size "$streams" --ignore-eos --output_len 128 \
      --output-dir "$work/run" > "$work/block" 2> "$work/talk"
    kill -TERM "$server"; wait "$server" || true; server=
    python3 - "$work" "$streams" "$run" <<'PY'
import json, sys
work, streams, run = sys.argv[1:]
truth = {r["request_id"].split("-", 1)[1].rsplit("-", 1)[1]: r for r in json.load(open(work + "/truth.json"))}
ttft, tpot, cpu = [], [], None
for line in open(work + "/run/run.jsonl"):
    row = json.loads(line)
    if row["type"] == "header":
        origin = row["clocks"]["origin_monotonic_ns"]
    if row["type"] == "footer":
        cpu = row["client_cpu_ns"] / 1e9
    if row["type"] != "request" or row["phase"] != "measured":
        continue
    events, times = row["events"], []
    now = 0
    for kind, step, lag in zip(events["kinds"], events["user_ns"], events["lag_ns"]):
        now += step
        if kind in "te":
            times.append(now - (lag or 0))
    true = truth[str(row["index"])]
    writes = [w["before_ns"] for w in true["writes"] if w["tokens"]]
    assert len(writes) == len(times) == 128, (len(writes), len(times))
    ttft.append((times[0] - row["sent_ns"]) - (writes[0] - true["received_ns"]))
    tpot.append(((times[-1] - times[0]) - (writes[-1] - writes[0])) / 127)
ttft.sort()
mean = lambda v: sum(v) / len(v) / 1e3
print(f"{streams:8} {run:4} {mean(ttft):11.1f} / {ttft[int(len(ttft) * .99) - (len(ttft) >= 100)] / 1e3:8.1f} {mean(tpot):11.2f} / {max(map(abs, tpot)) / 1e3:8.2f} {cpu:16.2f}")
PY
  done
done
