#!/usr/bin/env bash
# Installs what the scripts beside it need, from PyPI and Debian by their ordinary clients. What is there is left as it is.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

tools=target/release-tools
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --disable-pip-version-check -r tools/release/requirements.txt
fi

# The standard library of aarch64 with a compiler of the same make, objdump, and what runs such programs here.
packages=(rustc-web cargo-web libstd-rust-web-dev:arm64 binutils gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | head -n 1)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit
commands="dpkg --add-architecture arm64 && apt-get update && apt-get install -y --no-install-recommends --no-remove ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "error: ${missing[*]} not installed; as root, run: $commands" >&2
  exit 2
fi
sh -c "$commands" >&2
