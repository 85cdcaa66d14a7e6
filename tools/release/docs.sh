#!/usr/bin/env bash
# Man pages and completions, as the programs write them of themselves, where a PREFIX has them: docs.sh PROGRAMS DIR.
set -euo pipefail
programs=$1 share=$2/share
mkdir -p "$share"/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
"$programs/vlm-benchmark" man "$share/man/man1" --lang en
"$programs/vlm-benchmark" man "$share/man/zh_CN/man1" --lang zh
"$programs/vlm-server" man "$share/man/man1"
for program in vlm-benchmark vlm-server; do
  "$programs/$program" completions bash > "$share/bash-completion/completions/$program"
  "$programs/$program" completions zsh > "$share/zsh/site-functions/_$program"
  "$programs/$program" completions fish > "$share/fish/vendor_completions.d/$program.fish"
done
