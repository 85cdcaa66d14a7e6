#!/usr/bin/env bash
# The tests for aarch64 under qemu, programs that tests start included: test-aarch64.sh [PACKAGE…], by default all. They show that it
# is right, not how fast it is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
tools/release/setup.sh
source tools/release/toolchain.sh

target=aarch64-unknown-linux-gnu
bin=$(toolchain "$target")
export PATH=$bin:$PATH RUSTC=$bin/rustc CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
packages=(--workspace)
[ $# -eq 0 ] || packages=("${@/#/--package=}")
jobs=${JOBS:-$(nproc)}
cargo test --locked --target "$target" --jobs "$jobs" --no-run "${packages[@]}"
exec tools/release/with-aarch64.sh cargo test --locked --target "$target" --jobs "$jobs" --no-fail-fast "${packages[@]}"
