#!/usr/bin/env bash
# Resident memory of the client over a long run: soak.sh [SECONDS] [STREAMS]. 215 streams of an event each 20 ms, 128 tokens
# and 20 ms before the first are 10,000 events a second. Prints a line every tenth of the time. Sends to loopback.
. "$(dirname "$0")/lib.sh"
seconds=${1:-600} streams=${2:-215}
start_server --prefill-ms 20 --interval-ms 20 --tokens 128
target/release/vlm-benchmark --no-image --base-url "$url" --batch_size "$streams" --duration "$seconds" --ignore-eos \
  --output_len 128 --output-dir "$work/run" >"$work/out" 2>"$work/err" &
client=$!
for part in $(seq 10); do
  sleep "$(awk "BEGIN { print $seconds / 10 }")"
  [ -d "/proc/$client" ] || break
  printf '%4d s: client %s MB, run.jsonl %s MB\n' $((part * seconds / 10)) "$(resident "$client")" \
    "$(du -m "$work/run/run.jsonl" | cut -f1)"
done
wait "$client" || { cat "$work/err" >&2; exit 1; }
grep -h '^client' "$work/err" || true
python3 - "$work/run/summary.json" "$work/run/run.jsonl" <<'PY'
import collections, json, sys
summary = json.load(open(sys.argv[1]))
footer = json.loads(collections.deque(open(sys.argv[2]), 1)[0])
tokens, seconds = summary["totals"]["output_tokens"], summary["duration_s"]
print(f"{summary['counts']['complete']} requests, {summary['counts']['failed']} failed, {tokens / seconds:.0f} tokens/s, "
      f"client RSS while measuring at most {footer['client_rss_bytes_max'] / 1e6:.0f} MB, "
      f"CPU {footer['client_cpu_ns'] / 1e9 / seconds * 100:.0f} % of a core")
PY
