#!/usr/bin/env bash
# Unpacks the archive of sources and compiles it with nothing else, cargo's caches included: check-vendor.sh ARCHIVE [PACKAGE…], by
# default all.
set -euo pipefail
archive=$(readlink -f "$1")
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xzf "$archive" -C "$work"
cd "$work"/vlm-benchmark-*
packages=(--workspace)
[ $# -eq 0 ] || packages=("${@/#/--package=}")
CARGO_HOME=$work/cargo RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} cargo check --offline --locked "${packages[@]}"
echo "$(basename "$archive"): compiles offline" >&2
