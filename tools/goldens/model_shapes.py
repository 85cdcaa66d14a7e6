"""Writes the names and shapes of every tensor of Qwen2-VL 2B, 7B and 72B as transformers builds them.

Usage: model_shapes.py OUTPUT.json

The models are built on the meta device: no weights are needed. Layers that are alike are folded: `layers.*.` stands
for all of them. `config` is the flat config.json of the published checkpoint.
"""

import collections
import json
import re
import sys
import tempfile

import torch
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

SIZES = {
    "2b": dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
               num_key_value_heads=2, vocab_size=151936, tie_word_embeddings=True, max_window_layers=28),
    "7b": dict(hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28,
               num_key_value_heads=4, vocab_size=152064, tie_word_embeddings=False, max_window_layers=28),
    "72b": dict(hidden_size=8192, intermediate_size=29568, num_hidden_layers=80, num_attention_heads=64,
                num_key_value_heads=8, vocab_size=152064, tie_word_embeddings=False, max_window_layers=80),
}
COMMON = dict(
    architectures=["Qwen2VLForConditionalGeneration"], attention_dropout=0.0, bos_token_id=151643,
    eos_token_id=151645, vision_start_token_id=151652, vision_end_token_id=151653, vision_token_id=151654,
    image_token_id=151655, video_token_id=151656, hidden_act="silu", initializer_range=0.02,
    max_position_embeddings=32768, model_type="qwen2_vl", rms_norm_eps=1e-06, rope_theta=1000000.0,
    sliding_window=32768, torch_dtype="bfloat16", transformers_version="4.41.2", use_cache=True,
    use_sliding_window=False, rope_scaling={"type": "mrope", "mrope_section": [16, 24, 24]},
)


def main():
    found = {}
    for name, size in SIZES.items():
        vision = dict(depth=32, embed_dim=1280, mlp_ratio=4, num_heads=16, in_chans=3, hidden_size=size["hidden_size"],
                      patch_size=14, spatial_merge_size=2, spatial_patch_size=14, temporal_patch_size=2)
        config = COMMON | size | {"vision_config": vision}
        found[name] = {"config": config} | shapes(config)
    with open(sys.argv[1], "w") as file:
        json.dump(found, file, indent=1)
        file.write("\n")


def shapes(config):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/config.json", "w") as file:
            json.dump(config, file)
        read = Qwen2VLConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(read)
    tensors = collections.defaultdict(lambda: [0, []])
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        entry = tensors[re.sub(r"\.(layers|blocks)\.\d+\.", r".\1.*.", name)]
        entry[0] += 1
        entry[1] = list(value.shape)
    return {"parameters": sum(value.numel() for value in model.parameters()), "tensors": dict(tensors)}


if __name__ == "__main__":
    main()
