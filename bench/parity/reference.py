"""What transformers makes of a case, stage by stage: float32, eager attention, one token at a time."""

import io
import os
import sys

import torch
from PIL import Image
from transformers import AutoProcessor

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/goldens"))
import checkpoint

TOP = 20


class Stages:
    """The values of one case."""

    def __init__(self, text, ids, positions, delta, pictures, tokens, top):
        # The rendered prompt, before the pictures have their tokens.
        self.text = text
        self.ids, self.positions, self.delta = ids, positions, delta
        # Of each picture: grid, patches, image tokens.
        self.pictures = pictures
        self.tokens, self.top = tokens, top


class Reference:
    """The checkpoint in transformers."""

    def __init__(self, folder):
        self.model = checkpoint.reference(folder)
        self.processor = AutoProcessor.from_pretrained(folder)
        self.image_token = self.model.config.image_token_id

    @torch.no_grad()
    def stages(self, case):
        """All stages of a case. A picture that the processor refuses is a ValueError."""
        text = self.processor.apply_chat_template(
            case.messages(lambda _: {"type": "image"}), tokenize=False, add_generation_prompt=True)
        images = [Image.open(io.BytesIO(picture.png())).convert("RGB") for picture in case.pictures]
        made = self.processor(text=[text], images=images or None, return_tensors="pt")
        ids = made["input_ids"]
        inputs = {name: made[name] for name in ("pixel_values", "image_grid_thw") if name in made}
        kinds = {"mm_token_type_ids": (ids == self.image_token).int()} if inputs else {}
        if inputs:
            positions, delta = self.model.model.get_rope_index(ids, image_grid_thw=inputs["image_grid_thw"], **kinds)
        else:
            positions, delta = torch.arange(ids.shape[1]).expand(3, 1, -1), torch.zeros(1, 1, dtype=torch.long)
        tokens, top = self._greedy(ids, positions, delta, inputs | kinds, case.tokens)
        return Stages(text, ids[0], positions[:, 0], delta.item(), self._pictures(inputs), tokens, top)

    def _pictures(self, inputs):
        if not inputs:
            return []
        grids = inputs["image_grid_thw"]
        features = self.model.model.get_image_features(**inputs, return_dict=True).pooler_output
        patches = inputs["pixel_values"].split(grids.prod(1).tolist())
        return list(zip(grids, patches, features, strict=True))

    def _greedy(self, ids, positions, delta, inputs, count):
        self.model.model.rope_deltas = None
        reply = self.model(input_ids=ids, position_ids=positions, use_cache=True, **inputs)
        tokens, top = [], []
        for step in range(count):
            best = reply.logits[0, -1].log_softmax(-1).topk(TOP)
            tokens.append(best.indices[0].item())
            top.append(best.values.tolist())
            place = (ids.shape[1] + step + delta).expand(3, 1, 1)
            reply = self.model(input_ids=best.indices[None, :1], position_ids=place,
                               past_key_values=reply.past_key_values, use_cache=True)
        return tokens, top
