"""Writes the golden set of the pixels module from the real tools.

Usage: pixels.py OUTPUT_FOLDER [RAW_FOLDER]

`files/` gets small pictures of every format and mode (pixels_files.py draws them).
`files.json` says for each what vLLM's own image loader makes of it: size and SHA-256
of the RGB bytes, or its error; `damaged` where Pillow's decoder fails and vLLM goes on
with the part that was decoded. `resize.json` and `patches.json` hold, for pictures
that reader and writer both draw by the formula of `noise`, the SHA-256 of what
torchvision's resize and transformers' image processor make of them.
RAW_FOLDER, if given, gets the RGB bytes themselves, to look into a difference.
"""

import hashlib
import io
import json
import pathlib
import re
import sys
import warnings

import numpy
import PIL
import pixels_files
import torch
import torchvision
import transformers
import vllm
from PIL import Image
from torchvision.transforms.v2 import functional
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from vllm.multimodal.image import open_image
from vllm.multimodal.media.image import ImageMediaIO

# Width, height -> width, height.
RESIZES = [
    (30, 20, 28, 28), (28, 28, 28, 28), (28, 28, 56, 28), (28, 28, 28, 56), (70, 70, 84, 84), (98, 98, 84, 84),
    (126, 126, 112, 112), (1, 1, 28, 28), (1, 2, 56, 84), (2, 1, 84, 56), (3, 3, 7, 5), (5, 4, 2, 1), (7, 9, 3, 2),
    (1, 200, 28, 112), (200, 1, 112, 28), (1, 2000, 28, 784), (2000, 11, 784, 28), (11, 2000, 28, 1988), (101, 67, 28, 28),
    (97, 61, 97, 56), (97, 61, 84, 61), (64, 64, 63, 65), (64, 64, 32, 32), (64, 64, 128, 128), (333, 100, 332, 99),
    (640, 480, 644, 476), (480, 640, 28, 28), (300, 300, 28, 280), (57, 55, 560, 28), (255, 257, 252, 252), (13, 29, 196, 420),
    (900, 40, 40, 900), (16, 16, 15, 17), (31, 17, 30, 16), (500, 3, 7, 3), (3, 500, 3, 7), (1023, 5, 1024, 6),
]
# Width, height, then min_pixels and max_pixels of the processor.
PATCHES = [
    (28, 28, 3136, 12845056), (70, 70, 3136, 12845056), (98, 98, 3136, 12845056), (126, 126, 3136, 12845056),
    (1, 1, 3136, 12845056), (1, 2, 3136, 12845056), (3, 5, 3136, 12845056), (3, 3, 3136, 12845056), (1, 150, 3136, 12845056), (11, 2000, 3136, 12845056), (2000, 11, 3136, 12845056), (57, 131, 3136, 12845056),
    (300, 200, 3136, 12845056), (300, 200, 3136, 20000), (301, 199, 200704, 1003520), (640, 480, 3136, 12845056),
]
# Other settings of the processor: patch, merge, temporal patch, mean, std.
VARIANTS = [
    (14, 2, 2, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]), (16, 2, 2, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    (14, 1, 1, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), (8, 3, 3, [0.1, 0.2, 0.3], [0.7, 0.8, 0.9]),
]


def noise(width, height):
    """Every byte from its place alone: levels that turn slowly, quickly, and not smoothly at all."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3].astype(numpy.uint64)
    mixed = (x * 2654435761 + y * 40503 + c * 977) % 4294967296
    mixed = (mixed ^ (mixed >> 15)) * 2246822519 % 4294967296
    smooth = (x * 5 + y * 3 + c * 80) % 256
    rough = (mixed >> 13) % 256
    edge = ((x // 9 + y // 7 + c) % 2) * 255
    return numpy.choose(((y // 16 + x // 16) % 3).astype(int), [smooth, rough, edge]).astype(numpy.uint8)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def loaded(data):
    """What vLLM's loader makes of the bytes of a file."""
    try:
        image = ImageMediaIO().load_bytes(data).media
    except Exception as error:
        words = re.sub(r" <_io.BytesIO object at \w+>", "", str(error))
        return {"error": f"{type(error).__name__}: {words}"}, b""
    assert image.mode == "RGB", image.mode
    rgb = numpy.asarray(image).tobytes()
    row = {"width": image.width, "height": image.height, "rgb_sha256": sha(rgb)}
    try:
        open_image(io.BytesIO(data)).load()
    except Exception:
        # The decoder failed; a second load of the same object gives what it had by then.
        row["damaged"] = True
    return row, rgb


def resized(width, height, new_width, new_height):
    tensor = torch.from_numpy(noise(width, height)).permute(2, 0, 1)[None].contiguous()
    mode = functional.InterpolationMode.BICUBIC
    result = functional.resize(tensor, [new_height, new_width], interpolation=mode, antialias=True)
    rgb = result[0].permute(1, 2, 0).contiguous().numpy().tobytes()
    return [width, height, new_width, new_height, sha(rgb)]


def patched(width, height, settings, **options):
    processor = Qwen2VLImageProcessor(**settings, **options)
    out = processor(images=[Image.fromarray(noise(width, height))], return_tensors="pt")
    values = out["pixel_values"].contiguous().numpy().astype("<f4")
    grid = [int(n) for n in out["image_grid_thw"][0]]
    row = {"width": width, "height": height, "preprocessor": settings} | options
    return row | {"grid": grid, "shape": list(values.shape), "sha256": sha(values.tobytes())}


def patch_rows():
    base = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    for width, height, least, most in PATCHES:
        yield patched(width, height, base | {"min_pixels": least, "max_pixels": most})
    for patch, merge, temporal, mean, std in VARIANTS:
        settings = {"patch_size": patch, "merge_size": merge, "temporal_patch_size": temporal, "min_pixels": 3136, "max_pixels": 12845056}
        yield patched(150, 100, settings, image_mean=mean, image_std=std)


def written(path, rows):
    """One row a line, so that a change can be read."""
    tools = f"vLLM {vllm.__version__}, transformers {transformers.__version__}, torch {torch.__version__}, "
    tools += f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    path.write_text('{"tools": "%s",\n "rows": [\n%s\n ]}\n' % (tools, lines), encoding="utf-8")


def main():
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1])
    raw = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    for place in [folder / "files", raw]:
        if place:
            place.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, data in pixels_files.files():
        (folder / "files" / name).write_bytes(data)
        row, rgb = loaded(data)
        if raw:
            (raw / name).write_bytes(rgb)
        rows.append({"name": name} | row)
    written(folder / "files.json", rows)
    written(folder / "resize.json", [resized(*case) for case in RESIZES])
    written(folder / "patches.json", list(patch_rows()))


if __name__ == "__main__":
    main()
