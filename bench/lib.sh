# What the scripts here share: release binaries, a scripted server on a free port of loopback, and its end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --release --quiet
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

# start_server WORD...: a scripted server with these flags; $url is where it listens.
start_server() {
  target/release/vlm-server --scripted --port 0 "$@" 2>"$work/log" &
  server=$!
  for _ in $(seq 100); do
    grep -q listening "$work/log" && break
    sleep 0.05
  done
  url=$(sed -n 's/^listening on //p' "$work/log")
}

# resident PID: resident memory now, MB.
resident() { awk '/VmRSS/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }
