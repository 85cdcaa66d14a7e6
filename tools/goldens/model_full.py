"""Writes a tiny random Qwen2-VL checkpoint with the full vocabulary of Qwen2-VL, about 170 MB, for what a cut vocabulary
cannot show: real texts, real servers.

Usage: model_full.py QWEN.TIKTOKEN OUTDIR

QWEN.TIKTOKEN is dashscope/resources/qwen.tiktoken of the PyPI package dashscope 2.0.2 (Apache-2.0). OUTDIR gets the
settings, the weights (bf16), tokenizer.json in Hugging Face's form, and tokenizer_config.json and chat_template.json as
published with Qwen2-VL. The ids of the texts of tests/data/tokenizer are compared with those recorded there.
"""

import json
import os
import shutil
import sys

# No caches of compiled scripts beside them in the tree.
sys.dont_write_bytecode = True

from tokenizers import Tokenizer, normalizers
from transformers.convert_slow_tokenizer import TikTokenConverter

import checkpoint

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/data/tokenizer")
# How Qwen2's tokenizer cuts a text into pieces.
PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
           r"|\s+")
TEXT = dict(
    vocab_size=152064, hidden_size=256, intermediate_size=768, num_hidden_layers=4, num_attention_heads=8,
    num_key_value_heads=2, hidden_act="silu", max_position_embeddings=32768, rms_norm_eps=1e-6, rope_theta=1000000.0,
    rope_scaling={"type": "mrope", "mrope_section": [4, 6, 6]}, initializer_range=0.02, use_sliding_window=False,
    sliding_window=32768, max_window_layers=4, attention_dropout=0.0, use_cache=True, tie_word_embeddings=False,
    bos_token_id=151643, eos_token_id=151645, vision_start_token_id=151652, vision_end_token_id=151653,
    vision_token_id=151654, image_token_id=151655, video_token_id=151656,
)
VISION = dict(depth=2, embed_dim=160, mlp_ratio=4, num_heads=4, in_chans=3, hidden_size=256, patch_size=14,
              spatial_merge_size=2, spatial_patch_size=14, temporal_patch_size=2)


def main():
    vocabulary, out = sys.argv[1:]
    os.makedirs(out, exist_ok=True)
    write_tokenizer(vocabulary, out)
    checkpoint.write(out, TEXT, VISION, ends=[151645, 151643])


def write_tokenizer(vocabulary, out):
    for name in ("tokenizer_config.json", "chat_template.json"):
        shutil.copy(os.path.join(DATA, name), out)
    with open(os.path.join(DATA, "tokenizer_config.json")) as file:
        added = json.load(file)["added_tokens_decoder"]
    special = [added[id]["content"] for id in sorted(added, key=int)]
    made = TikTokenConverter(vocab_file=vocabulary, pattern=PATTERN, extra_special_tokens=special).converted()
    made.normalizer = normalizers.NFC()
    made.save(os.path.join(out, "tokenizer.json"))
    check_ids(Tokenizer.from_file(os.path.join(out, "tokenizer.json")), added)


def check_ids(tokenizer, added):
    """Whether the tokenizer gives the ids that were recorded."""
    assert all(tokenizer.token_to_id(token["content"]) == int(id) for id, token in added.items())
    with open(os.path.join(DATA, "expected_ids.json")) as file:
        for known in json.load(file):
            assert tokenizer.encode(known["text"], add_special_tokens=False).ids == known["ids"], known


if __name__ == "__main__":
    main()
