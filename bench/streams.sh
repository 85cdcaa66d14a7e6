#!/usr/bin/env bash
# Streams open at once from one process: streams.sh [STREAMS]. Each has 30 events, one every 2 s. Sends to loopback.
. "$(dirname "$0")/lib.sh"
streams=${1:-10000}
start_server --prefill-ms 10000 --interval-ms 2000 --tokens 30
target/release/vlm-benchmark --no-image --base-url "$url" --batch_size "$streams" --ignore-eos --output_len 30 \
  --output-dir "$work/run" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
grep -h '^client\|open files' "$work/err" || true
python3 - "$work/run/summary.json" "$work/run/run.jsonl" <<'PY'
import collections, json, sys
summary = json.load(open(sys.argv[1]))
footer = json.loads(collections.deque(open(sys.argv[2]), 1)[0])
print(f"{summary['counts']['complete']} complete, {summary['counts']['failed']} failed, at most "
      f"{summary['throughput']['concurrency_max']} at once, sent within {summary['burst_spread_ms']:.0f} ms, "
      f"client RSS at most {footer['client_rss_bytes_max'] / 1e6:.0f} MB, CPU {footer['client_cpu_ns'] / 1e9:.1f} s")
PY
