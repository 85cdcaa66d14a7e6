#!/bin/sh
# Builds the programs and does the accuracy run and the performance run for real: client, server, model and picture are all here. No
# GPU, no Python, no network beyond cargo's.
set -eu
cd "$(dirname "$0")"

cargo build --release
bin=${CARGO_TARGET_DIR:-target}/release

run() {
    echo
    echo "\$ vlm-benchmark $*"
    "$bin/vlm-benchmark" "$@"
}

echo
echo "=== Accuracy run: the answer, then the block ==="
run --embedded --image_path examples/test.png --prompt "请描述图片" --batch_size 1 --no-save

echo
echo "=== Performance run: exactly 512 tokens ==="
run --embedded --image_path examples/test.png --prompt "请描述图片" --batch_size 1 --ignore-eos --output_len 512 --no-save
