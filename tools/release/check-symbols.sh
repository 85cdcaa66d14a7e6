#!/usr/bin/env bash
# Fails unless every program named runs on glibc 2.17: no symbol of a later one, no library but glibc's.
set -euo pipefail
for program in "$@"; do
  highest=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
  libraries=$(objdump -p "$program" | awk '$1 == "NEEDED" { print $2 }' | sort | xargs)
  echo "$program: $highest, needs $libraries" >&2
  if [ "$(printf '%s\n' GLIBC_2.17 "$highest" | sort -V | tail -n 1)" != GLIBC_2.17 ]; then
    echo "error: $program needs $highest; allowed is GLIBC_2.17: build it with tools/release/build.sh" >&2
    exit 1
  fi
  for library in $libraries; do
    case $library in
      libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | libutil.so.1 | ld-linux*) ;;
      *) echo "error: $program needs $library; allowed is what glibc brings" >&2; exit 1 ;;
    esac
  done
done
