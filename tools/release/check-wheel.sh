#!/usr/bin/env bash
# Installs a wheel into an empty environment, without a network, and runs the three commands of the script with it, as they were
# always typed: check-wheel.sh WHEEL. It has a network of its own with nothing but loopback in it, where port 8001 is free. A wheel for
# aarch64 is unpacked by pip into a folder, and its programs run by qemu.
set -euo pipefail
if [[ ${1:?a wheel} == *aarch64* && ${QEMU:-} != yes ]]; then
  exec env QEMU=yes "$(dirname "$(readlink -f "$0")")/with-aarch64.sh" "$(readlink -f "$0")" "$@"
fi
if [ "${OWN_NETWORK:-}" != yes ]; then
  exec env OWN_NETWORK=yes unshare --user --map-root-user --net "$(readlink -f "$0")" "$@"
fi
ip link set lo up
root=$(cd "$(dirname "$(readlink -f "$0")")/../.." && pwd)
wheel=$(readlink -f "$1")
work=$(mktemp -d)
server=
end() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap end EXIT

python3 -m venv "$work/env"
site=$work/env into=()
if [ "${QEMU:-}" = yes ]; then
  site=$work/wheel into=(--target "$work/wheel" --platform manylinux_2_17_aarch64 --only-binary=:all:)
  export PYTHONPATH=$site
fi
"$work/env/bin/pip" install --quiet --disable-pip-version-check --no-index "${into[@]}" "$wheel"
export PATH=$site/bin:$work/env/bin:/usr/bin:/bin HOME=$work LANG=C.UTF-8
cd "$work"
cp "$root/examples/test.png" .
cp "$(python -c 'import vlm_benchmark; print(vlm_benchmark.__file__)')" .

vlm-server --model "$site/share/vlm-benchmark/models/road-works" \
  --served-model-name /data/models/Qwen2-VL-7B-Instruct Qwen2-VL-7B-Instruct \
  --dtype bfloat16 --max_num_seqs 256 --max-model-len 16384 --port 8001 --host 127.0.0.1 2> server.log &
server=$!
until grep -q '^listening on ' server.log; do
  kill -0 "$server" 2>/dev/null || { echo "error: vlm-server ended: $(cat server.log)" >&2; exit 1; }
  sleep 0.1
done

echo '== accuracy run'
python vlm_benchmark.py \
--image_path ./test.png  \
--prompt "请描述图片"      \
--model /data/models/Qwen2-VL-7B-Instruct \
--batch_size 1 \
--port 8001 \
--host 127.0.0.1 | tee accuracy.log

echo '== performance run'
python vlm_benchmark.py \
--image_path ./test.png  \
--prompt "请描述图片"      \
--model /data/models/Qwen2-VL-7B-Instruct \
--batch_size 1 \
--port 8001 \
--host 127.0.0.1 \
--ignore-eos \
--output_len 512 | tee performance.log

echo '== served name'
python vlm_benchmark.py  \
--image_path ./test.png  \
--prompt "请描述图片" \
--model /data/models/Qwen2-VL-7B-Instruct \
--served-model-name Qwen2-VL-7B-Instruct \
--batch_size 1 \
--port 8001 \
--host 127.0.0.1 | tee name.log

echo '== the model that comes with it'
vlm-benchmark --embedded --image_path ./test.png --prompt "请描述图片" --no-save | tee embedded.log

python - "$root/examples/test.json" <<'END'
import json, sys
truth = json.load(open(sys.argv[1], encoding="utf-8"))["zh"].split("。", 1)[1]
for name in ("accuracy", "name", "embedded"):
    text = open(name + ".log", encoding="utf-8").read()
    answer = text.split("输出结果： ", 1)[1].split("\n", 1)[0]
    assert text.startswith("image size:  (1080, 810)\n") and answer.split("。", 1)[1] == truth, (name, answer)
text = open("performance.log", encoding="utf-8").read()
assert "输出结果" not in text and "Total generated tokens:                  512 " in text, text
END
echo "$(basename "$wheel"): all four runs are as they should be" >&2
