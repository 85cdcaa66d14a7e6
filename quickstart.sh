#!/bin/sh
# Builds both programs and does the accuracy run and the performance run against a SCRIPTED server: no model, no GPU, no
# network beyond cargo's. The server's answers are made-up words at set times, so the figures are those of the script.
set -eu
cd "$(dirname "$0")"

cargo build --release
bin=${CARGO_TARGET_DIR:-target}/release

talk=$(mktemp)
server=
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -f "$talk"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Port 0: the system chooses a free one, and the server says which.
"$bin/vlm-server" --scripted --host 127.0.0.1 --port 0 --prefill-ms 80 --interval-ms 5 --tokens 97 \
    --model scripted-no-model 2>"$talk" &
server=$!

url=
tries=0
while [ -z "$url" ]; do
    url=$(sed -n 's/^listening on \(http[^ ]*\)$/\1/p' "$talk")
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$talk" >&2
        echo "quickstart: the scripted server did not start" >&2
        exit 1
    fi
    [ -n "$url" ] || sleep 0.1
done
cat "$talk" >&2

run() {
    echo
    echo "\$ vlm-benchmark $*"
    "$bin/vlm-benchmark" "$@"
}

echo
echo "=== Accuracy run: the answer, then the block (a script's words, no model's) ==="
run --image_path tests/data/pictures/road_1080x810.png --prompt "请描述图片" --tokenizer tests/data/tokenizer \
    --base-url "$url" --no-save

echo
echo "=== Performance run: exactly 512 tokens (at the script's times) ==="
run --image_path tests/data/pictures/road_1080x810.png --prompt "请描述图片" --tokenizer tests/data/tokenizer \
    --base-url "$url" --ignore-eos --output_len 512 --no-save
