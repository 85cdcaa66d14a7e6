#!/usr/bin/env bash
# Builds vlm-benchmark and vlm-server for one machine so that they run on glibc 2.17: build.sh x86_64|aarch64. They are then in
# target/MACHINE-unknown-linux-gnu/dist.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
cd "$root"

case ${1:-} in
  x86_64 | aarch64) target=$1-unknown-linux-gnu ;;
  *) echo "error: build.sh '${1:-}': x86_64 or aarch64 is expected" >&2; exit 2 ;;
esac

source tools/release/toolchain.sh
bin=$(toolchain "$target")
export PATH=$root/target/release-tools/bin:$bin:$PATH RUSTC=$bin/rustc
# What is shipped names no folder of the machine that made it.
export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src/=registry/ --remap-path-prefix=$root/="
cargo zigbuild --locked --profile dist --package bench --package serve --target "$target.2.17" --jobs "${JOBS:-$(nproc)}"
