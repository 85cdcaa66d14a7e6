#!/bin/sh
# How right a checkpoint is on scenes that it was not trained on: draws them, asks `vlm-server` over HTTP, and prints what
# the client counts.
#
#     exam.sh MODEL FOLDER [COUNT]
#
# FOLDER is made and must not exist. COUNT (500) scenes as they are, with short questions; a fifth of them in other light,
# moved, and in other shapes. $VLM_BENCHMARK is the client, if `vlm-benchmark` is not to be found.
set -eu
client=${VLM_BENCHMARK:-vlm-benchmark}
model=${1:?the folder of a checkpoint} folder=${2:?a folder for the scenes} count=${3:-500}
mkdir "$folder"

# examine NAME COUNT FLAGS-OF-SCENES…
examine() {
    name=$1 number=$2
    shift 2
    "$client" scenes "$folder/$name" --count "$number" "$@" 2>/dev/null
    echo "== $name: $number scenes $*"
    "$client" --embedded --embedded-model "$model" --image_dir "$folder/$name" --expect "$folder/$name/expect.jsonl" \
        --no-save 2>&1 >"$folder/$name.answers" | grep -E '^graded:|^  [a-z ]+ [0-9]+ of [0-9]+ \('
}

examine usual "$count" --questions 2
few=$((count / 5))
examine darker "$few" --brightness 0.75
examine brighter "$few" --brightness 1.25
examine right-and-down "$few" --shift 40,40
examine left-and-up "$few" --shift=-40,-40
examine 16:9 "$few" --size 1440x810
examine 3:2 "$few" --size 1080x720
examine 1:1 "$few" --size 900x900
