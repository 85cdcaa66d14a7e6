"""Writes the golden file of the geometry crate from Hugging Face transformers.

Usage: geometry.py OUTPUT.json

Every expected value comes from transformers: the size from `smart_resize`, the
number of patches from the image processor, and the grid of small pictures from
running the image processor on a picture of that size. Nothing is computed here
that the crate computes too.
"""

import json
import sys

import numpy
import transformers
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

# As in the published preprocessor_config.json of each family.
FAMILIES = {
    "qwen2_vl": {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056},
    "qwen2_5_vl": {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 12845056},
    "qwen3_vl": {"patch_size": 16, "merge_size": 2, "min_pixels": 65536, "max_pixels": 16777216},
}
# Limits that people set by hand; the processor is the Qwen2-VL one.
LIMITED = {
    "limit_1280": {"patch_size": 14, "merge_size": 2, "min_pixels": 200704, "max_pixels": 1003520},
    "limit_tight": {"patch_size": 14, "merge_size": 2, "min_pixels": 3136, "max_pixels": 3136},
}
# Pictures up to this area really go through the processor.
PROCESSED_PIXELS_MAX = 1_300_000


def sizes():
    """Width and height of each case: everyday sizes, ties, limits, extremes, a seeded scatter."""
    found = [
        (1080, 810), (810, 1080), (640, 480), (800, 600), (1024, 768), (1280, 720), (1920, 1080),
        (2560, 1440), (3840, 2160), (7680, 4320), (4032, 3024), (3024, 4032), (224, 224), (336, 336),
        (448, 448), (512, 512), (1000, 1000), (1024, 1024), (1708, 2184), (1695, 2187), (2000, 11),
        (595, 842), (1240, 1754), (2480, 3508), (4961, 7016), (1092, 812), (1003, 1001), (997, 1009),
    ]
    # Halves of a multiple of 28 and of 32: the ties of round-half-to-even.
    ties = [14, 42, 70, 98, 126, 154, 16, 48, 80, 112, 144, 176, 240, 272, 1078, 1106, 1008, 1040]
    found += [(tie, 280) for tie in ties] + [(320, tie) for tie in ties] + [(tie, tie) for tie in ties]
    found += [(tie + step, 300) for tie in (70, 98, 80, 112) for step in (-1, 1)]
    # Tiny pictures, and the lower limits of both families (56 x 56, 256 x 256).
    found += [(1, 1), (1, 2), (2, 1), (1, 100), (3, 7), (10, 10), (13, 13), (15, 15), (27, 27), (28, 28), (29, 29)]
    found += [(31, 31), (32, 32), (33, 33), (55, 55), (55, 57), (56, 56), (57, 57), (28, 112), (40, 30), (30, 40)]
    found += [(255, 255), (255, 257), (256, 256), (257, 257), (128, 512), (64, 1024), (20, 3000)]
    # Ratios around 200, in both directions.
    for short in (1, 2, 5, 7, 14, 28, 32, 100, 333):
        for long in (199 * short, 200 * short - 1, 200 * short, 200 * short + 1, 201 * short):
            found += [(long, short), (short, long)]
    # The upper limits: 12845056 = 3584 x 3584 and 16777216 = 4096 x 4096.
    for side in (3583, 3584, 3585, 3597, 3598, 3599, 4095, 4096, 4097, 4111, 4112, 4113):
        found += [(side, side), (side, side - 1)]
    found += [(12000, 1100), (1100, 12000), (50000, 257), (257, 50000), (20000, 20000), (65535, 65535)]
    found += [(65535, 400), (1000000, 5000), (5000, 1000000), (1000000, 1000000), (30000, 150), (13379, 13379)]
    random = numpy.random.default_rng(20)
    for bound in (100, 700, 3000, 9000):
        found += [(int(width), int(height)) for width, height in random.integers(bound // 20, bound, (15, 2))]
    return list(dict.fromkeys(found))


def case(processor, settings, width, height):
    """One row: width, height, then resized width and height, patches, grid (or null); or "refused"."""
    factor = settings["patch_size"] * settings["merge_size"]
    try:
        resized = smart_resize(height, width, factor, settings["min_pixels"], settings["max_pixels"])
    except ValueError:
        return [width, height, "refused"]
    patches = processor.get_number_of_image_patches(height, width)
    grid = None
    if max(resized[0] * resized[1], width * height) <= PROCESSED_PIXELS_MAX:
        picture = Image.new("RGB", (width, height), (90, 120, 200))
        grid = [int(n) for n in processor(images=[picture], return_tensors="np")["image_grid_thw"][0]]
    return [width, height, resized[1], resized[0], int(patches), grid]


def main():
    families = {}
    for name, settings in (FAMILIES | LIMITED).items():
        processor = Qwen2VLImageProcessorPil(
            patch_size=settings["patch_size"],
            merge_size=settings["merge_size"],
            size={"shortest_edge": settings["min_pixels"], "longest_edge": settings["max_pixels"]},
        )
        wanted = sizes() if name in FAMILIES else sizes()[::3]
        families[name] = (settings, [case(processor, settings, *size) for size in wanted])
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write('{"tool": "transformers %s",\n "families": [\n' % transformers.__version__)
        blocks = []
        for name, (settings, cases) in families.items():
            rows = ",\n".join("   " + json.dumps(row) for row in cases)
            blocks.append('  {"name": "%s", "preprocessor": %s, "cases": [\n%s\n  ]}' % (name, json.dumps(settings), rows))
        file.write(",\n".join(blocks) + "\n]}\n")
    print({name: len(cases) for name, (_, cases) in families.items()})


main()
