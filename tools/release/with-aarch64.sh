#!/usr/bin/env bash
# Runs a command where programs for aarch64 run too, by qemu: with-aarch64.sh COMMAND…. The system stays as it is: qemu is known
# in a namespace of the command's own (Linux 6.7 or newer; no root needed).
set -euo pipefail
rule=/usr/lib/binfmt.d/qemu-aarch64.conf
if [ ! -f "$rule" ]; then
  echo "error: no $rule; run tools/release/setup.sh" >&2
  exit 2
fi
export RULE=$rule
exec unshare --user --map-root-user --mount bash -c '
  set -e
  mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
  tail -n 1 "$RULE" > /proc/sys/fs/binfmt_misc/register
  exec "$@"' bash "$@"
