"""Qwen2-VL written for training: batches of pictures of one size, no cache, only the positions that are trained.

Its parameters are those of Qwen2VLForConditionalGeneration under the published names (`visual.*`, `model.*`,
`lm_head`), so that what is saved is an ordinary checkpoint; `check.py` holds it against transformers. It knows
nothing of pools, rows or optimisers.
"""

import json
import math
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

PATCH, MERGE, CHANNELS = 14, 2, 3
CELL = PATCH * MERGE
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def settings(vocab_size, first_special):
    """config.json of the model. `first_special` is the id of <|endoftext|>; the others follow in Qwen2-VL's order.

    A small theta, because with 64 values a head 1e6 leaves the slow axes of M-RoPE blind to single columns."""
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl",
        "torch_dtype": "bfloat16", "transformers_version": "4.41.2", "vocab_size": vocab_size,
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 16384,
        "rms_norm_eps": 1e-06, "rope_theta": 10.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 14, 14]}, "initializer_range": 0.02,
        "use_sliding_window": False, "sliding_window": 2048, "max_window_layers": 4,
        "attention_dropout": 0.0, "use_cache": True, "tie_word_embeddings": False,
        "bos_token_id": first_special, "eos_token_id": first_special + 2,
        "vision_start_token_id": first_special + 9, "vision_end_token_id": first_special + 10,
        "vision_token_id": first_special + 11, "image_token_id": first_special + 12,
        "video_token_id": first_special + 13,
        "vision_config": {"depth": 4, "embed_dim": 192, "mlp_ratio": 4, "num_heads": 3, "in_chans": CHANNELS,
                          "hidden_size": 256, "patch_size": PATCH, "spatial_merge_size": MERGE,
                          "spatial_patch_size": PATCH, "temporal_patch_size": 2},
    }


class Qwen2VL(nn.Module):
    """The whole model, float32 parameters."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.visual = Vision(config["vision_config"], config["hidden_size"])
        self.model = Text(config)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    def forward(self, pixels, grid, rows):
        """Picture features (B, cells, hidden) and logits (B, K, vocabulary) of the K positions `rows.trained`.

        `pixels` are `patches(...)` of B pictures, `grid` their (rows, columns) of cells."""
        features = self.visual(pixels, grid)
        x = self.model.embed_tokens(rows.ids)
        of_picture = rows.cells >= 0
        index = rows.cells.clamp(min=0)[..., None].expand(-1, -1, x.shape[-1])
        x = torch.where(of_picture[..., None], features.gather(1, index).to(x.dtype), x)
        return features, self.lm_head(self.model(x, rows.positions, rows.mask, rows.trained))

    def initialise(self):
        """Random weights to train from scratch; what adds to the residual stream begins smaller."""
        twice = {"proj": len(self.visual.blocks), "fc2": len(self.visual.blocks),
                 "o_proj": len(self.model.layers), "down_proj": len(self.model.layers)}
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear):
                depth = 2 * twice.get(name.split(".")[-1], 0.5)
                nn.init.normal_(module.weight, 0, 1 / math.sqrt(module.in_features * depth))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.visual.patch_embed.proj.weight, 0, 0.5 / math.sqrt(2 * CHANNELS * PATCH**2))
        nn.init.normal_(self.model.embed_tokens.weight, 0, 0.3)
        nn.init.normal_(self.lm_head.weight, 0, 0.02)


class Vision(nn.Module):
    """The vision tower: patches of a picture → one feature for each cell of 2×2 patches."""

    def __init__(self, config, hidden):
        super().__init__()
        width = config["embed_dim"]
        frame = (config["temporal_patch_size"], PATCH, PATCH)
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv3d(CHANNELS, width, frame, frame, bias=False)
        self.blocks = nn.ModuleList(
            [VisionBlock(width, config["num_heads"], config["mlp_ratio"]) for _ in range(config["depth"])])
        self.merger = nn.Module()
        self.merger.ln_q = nn.LayerNorm(width, eps=1e-6)
        merged = width * MERGE**2
        self.merger.mlp = nn.Sequential(nn.Linear(merged, merged), nn.GELU(), nn.Linear(merged, hidden))
        self.head_size = width // config["num_heads"]
        self.angles = {}

    def forward(self, pixels, grid):
        """(B, patches, 3·14·14) → (B, cells, hidden). Both frames are the one picture, so their kernels are added."""
        x = F.linear(pixels, self.patch_embed.proj.weight.sum(2).flatten(1))
        if grid not in self.angles:
            self.angles[grid] = vision_angles(grid, self.head_size)
        for block in self.blocks:
            x = block(x, *self.angles[grid])
        batch, count, width = x.shape
        return self.merger.mlp(self.merger.ln_q(x).view(batch, count // MERGE**2, width * MERGE**2))


class VisionBlock(nn.Module):
    """Attention of all patches of a picture among themselves, then a two-layer MLP with quick GELU."""

    def __init__(self, width, heads, ratio):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = nn.Module(), nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, width * ratio), nn.Linear(width * ratio, width)

    def forward(self, x, cos, sin):
        """(B, patches, width) → the same."""
        batch, count, width = x.shape
        qkv = self.attn.qkv(self.norm1(x)).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.attn.proj(mixed.transpose(1, 2).reshape(batch, count, width))
        y = self.mlp.fc1(self.norm2(x))
        return x + self.mlp.fc2(y * torch.sigmoid(1.702 * y))


class Text(nn.Module):
    """The language model. Its last layer computes only the positions that are asked for."""

    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList([Layer(config) for _ in range(config["num_hidden_layers"])])
        self.norm = RootMeanSquare(config["hidden_size"], config["rms_norm_eps"])
        self.head_size = config["hidden_size"] // config["num_attention_heads"]
        self.theta, self.sections = config["rope_theta"], config["rope_scaling"]["mrope_section"]

    def forward(self, x, positions, mask, wanted):
        """(B, L, hidden), positions (3, B, L), mask (B, L, L) to add, wanted (B, K) → (B, K, hidden)."""
        angles = self.rope(positions)
        for layer in self.layers[:-1]:
            x = layer(x, angles, mask[:, None])
        return self.norm(self.layers[-1](x, angles, mask[:, None], wanted))

    def rope(self, positions):
        """Positions on three axes (3, B, L) → cos and sin (B, 1, L, head size)."""
        exponent = torch.arange(0, self.head_size, 2).float() / self.head_size
        angles = positions[..., None].float() * self.theta**-exponent
        parts = [part[i % 3] for i, part in enumerate(angles.split(self.sections, -1))]
        angles = torch.cat(parts * 2, -1)[:, None]
        return angles.cos(), angles.sin()


class Layer(nn.Module):
    """Grouped-query attention and a gated MLP."""

    def __init__(self, config):
        super().__init__()
        width, inner, eps = config["hidden_size"], config["intermediate_size"], config["rms_norm_eps"]
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_size = width // self.heads
        self.input_layernorm = RootMeanSquare(width, eps)
        self.post_attention_layernorm = RootMeanSquare(width, eps)
        attention, mlp = nn.Module(), nn.Module()
        attention.q_proj = nn.Linear(width, self.heads * self.head_size)
        attention.k_proj = nn.Linear(width, self.kv_heads * self.head_size)
        attention.v_proj = nn.Linear(width, self.kv_heads * self.head_size)
        attention.o_proj = nn.Linear(self.heads * self.head_size, width, bias=False)
        mlp.gate_proj, mlp.up_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        mlp.down_proj = nn.Linear(inner, width, bias=False)
        self.self_attn, self.mlp = attention, mlp

    def forward(self, x, angles, mask, wanted=None):
        """(B, L, width) → the same, or (B, K, width) for the positions `wanted` (B, K)."""
        y, at = self.input_layernorm(x), angles
        k = rotate(self.split(self.self_attn.k_proj(y), self.kv_heads), *angles)
        v = self.split(self.self_attn.v_proj(y), self.kv_heads)
        if wanted is not None:
            x, y, mask = take(x, wanted), take(y, wanted), take(mask[:, 0], wanted)[:, None]
            at = [take(angle[:, 0], wanted)[:, None] for angle in angles]
        q = rotate(self.split(self.self_attn.q_proj(y), self.heads), *at)
        group = self.heads // self.kv_heads
        mixed = attend(q, k.repeat_interleave(group, 1), v.repeat_interleave(group, 1), mask)
        x = x + self.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        y = self.post_attention_layernorm(x)
        return x + self.mlp.down_proj(F.silu(self.mlp.gate_proj(y)) * self.mlp.up_proj(y))

    def split(self, x, heads):
        """(B, L, heads · size) → (B, heads, L, size)."""
        return x.view(*x.shape[:2], heads, self.head_size).transpose(1, 2)


class RootMeanSquare(nn.Module):
    """x / rms(x) · weight, in float32."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        """(…, width) → the same."""
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype) * self.weight


def take(x, wanted):
    """Rows `wanted` (B, K) of x (B, L, n) → (B, K, n)."""
    return x.gather(1, wanted[..., None].expand(-1, -1, x.shape[-1]))


def rotate(x, cos, sin):
    """Rotary embedding, first half against second half; angles in float32, the result as x."""
    (a, b), c, s = x.chunk(2, -1), cos.chunk(2, -1)[0], sin.chunk(2, -1)[0]
    return torch.cat((a * c - b * s, b * c + a * s), -1).to(x.dtype)


def attend(q, k, v, mask=None):
    """Attention (B, heads, L, size). In bf16 plain products are several times faster than the CPU's fused kernel."""
    if q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with torch.autocast("cpu", enabled=False):
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
        return torch.matmul(torch.softmax(scores if mask is None else scores + mask.to(q.dtype), -1), v)


def vision_angles(grid, head_size):
    """cos and sin (patches, head size) for a picture of `grid` cells, patches in merge order."""
    frequency = 10000.0 ** -(torch.arange(0, head_size // 2, 2).float() / (head_size // 2))
    down, across = (torch.arange(cells * MERGE) for cells in grid)
    place = torch.stack(torch.meshgrid(down, across, indexing="ij"))
    place = place.view(2, grid[0], MERGE, grid[1], MERGE).transpose(2, 3).reshape(2, -1)
    angles = torch.cat([place[0][:, None] * frequency, place[1][:, None] * frequency], 1)
    angles = torch.cat([angles, angles], 1)
    return angles.cos(), angles.sin()


def patches(images):
    """uint8 (B, height, width, 3) → normalised float32 (B, patches, 3·14·14) in merge order, one frame."""
    batch, height, width, _ = images.shape
    x = images.view(batch, height // CELL, MERGE, PATCH, width // CELL, MERGE, PATCH, CHANNELS)
    x = x.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, -1, CHANNELS, PATCH**2).float()
    mean, std = torch.tensor(MEAN).view(3, 1), torch.tensor(STD).view(3, 1)
    return ((x / 255 - mean) / std).flatten(2)


def save(model, folder):
    """config.json and model.safetensors (bf16) of the model."""
    from safetensors.torch import save_file
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    (folder / "config.json").write_text(json.dumps(model.config, indent=2) + "\n")


def load(folder):
    """The model of a folder that `save` wrote, in float32."""
    from safetensors.torch import load_file
    folder = pathlib.Path(folder)
    model = Qwen2VL(json.loads((folder / "config.json").read_text()))
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    return model
