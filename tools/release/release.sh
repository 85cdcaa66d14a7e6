#!/usr/bin/env bash
# Makes what is shipped, from the sources that are committed here and the registries alone: release.sh [OUT], by default
# target/release-files. README.md beside this file says what comes out.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
mkdir -p "${1:-target/release-files}"
out=$(cd "${1:-target/release-files}" && pwd)

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export VERSION SOURCE_DATE_EPOCH

"$here/setup.sh"
for machine in x86_64 aarch64; do
  "$here/build.sh" "$machine"
  "$here/check-symbols.sh" "target/$machine-unknown-linux-gnu/dist/"{vlm-benchmark,vlm-server}
done

docs=target/release-docs
rm -rf "$docs"
"$here/docs.sh" target/x86_64-unknown-linux-gnu/dist "$docs"
for machine in x86_64 aarch64; do
  python3 "$here/licenses.py" "$machine-unknown-linux-gnu" > "$docs/THIRD-PARTY-LICENSES-$machine.txt"
  target/release-tools/bin/python "$here/pack.py" "$machine" "$docs" "$out"
done
"$here/vendor.sh" "$out"
(cd "$out" && sha256sum -- *.tar.gz *.whl > SHA256SUMS && cat SHA256SUMS)
