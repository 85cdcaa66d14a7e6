#!/usr/bin/env bash
# The committed sources with those of every library, for building without a network: vendor.sh OUT.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
out=$1 name=vlm-benchmark-$VERSION-sources
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name"
git archive HEAD | tar -x -C "$work/$name"
mkdir "$work/$name/.cargo"
cargo vendor --quiet --locked --manifest-path "$work/$name/Cargo.toml" "$work/$name/vendor"
# What cargo would print without --quiet, but for the folder, which is relative to the sources here.
cat > "$work/$name/.cargo/config.toml" <<'END'
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
END
tar --sort=name --owner=root:0 --group=root:0 --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -c "$name" | gzip -9 -n > "$out/$name.tar.gz"
