#!/usr/bin/env bash
# Resident memory of the client with 1,000 requests in flight that all hold one picture of about 3 MB.
# The picture is made by the client itself (noise, 1000×1000). Sends to loopback.
. "$(dirname "$0")/lib.sh"
start_server --prefill-ms 20000 --interval-ms 5 --tokens 4
target/release/vlm-benchmark --synthetic-image noise:1000x1000 --base-url "$url" --batch_size "${1:-1000}" --ignore-eos --output_len 4 \
  --output-dir "$work/run" | head -3
python3 - "$work/run/run.jsonl" <<'PY'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
image = rows[0]["images"][0]["bytes"]
print(f"picture {image / 1e6:.2f} MB, client RSS at most {rows[-1]['client_rss_bytes_max'] / 1e6:.0f} MB, "
      f"CPU {rows[-1]['client_cpu_ns'] / 1e9:.2f} s")
PY
