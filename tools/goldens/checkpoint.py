"""Qwen2-VL checkpoints with random weights, in the layout that the published ones have (flat config.json, `model.layers...`,
`visual...`). The scripts beside this one say how large they are."""

import json
import os

import torch
from safetensors.torch import save_file
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

PREPROCESSOR = dict(min_pixels=3136, max_pixels=12845056, patch_size=14, temporal_patch_size=2, merge_size=2,
                    image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711],
                    image_processor_type="Qwen2VLImageProcessor", processor_class="Qwen2VLProcessor")


def write(out, text, vision, ends):
    """The settings and the weights (bf16) of a checkpoint; no tokenizer. `ends` are the ids that end an answer."""
    os.makedirs(out, exist_ok=True)
    disk = dict(architectures=["Qwen2VLForConditionalGeneration"], model_type="qwen2_vl", torch_dtype="bfloat16",
                transformers_version="4.41.2", **text, vision_config=vision)
    generation = dict(bos_token_id=text["bos_token_id"], pad_token_id=text["bos_token_id"], do_sample=True,
                      eos_token_id=ends, repetition_penalty=1.0, temperature=0.01, top_p=0.001, top_k=1,
                      transformers_version="4.37.0")
    for name, value in (("config", disk), ("generation_config", generation), ("preprocessor_config", PREPROCESSOR)):
        with open(f"{out}/{name}.json", "w") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
    write_weights(out)


def write_weights(out):
    """Weights wide enough that attention and pictures matter to the best token."""
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_pretrained(out))
    source = torch.Generator().manual_seed(7)

    def normal(shape, std):
        return std * torch.randn(shape, generator=source)

    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if value.ndim > 1:
                value.copy_(normal(value.shape, 1.0 if "embed_tokens" in name else 1.5 / value[0].numel() ** 0.5))
            elif name.endswith("weight"):
                value.copy_(1 + normal(value.shape, 0.05))
            else:
                value.copy_(normal(value.shape, 0.02))
    model = model.to(torch.bfloat16)
    names = {key: key.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
             for key in model.state_dict()}
    save_file({names[k]: v.contiguous() for k, v in model.state_dict().items()}, f"{out}/model.safetensors",
              metadata={"format": "pt"})


def reference(folder, **changes):
    """The checkpoint as transformers computes it in float32 with eager attention."""
    return Qwen2VLForConditionalGeneration.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", **changes).eval()
