"""Writes small pictures in many formats, and index.json, for tests of reading image files.

Usage: draw_formats.py OUTPUT_FOLDER

Each is 40x30 (the EXIF one is stored 40x30 and shown 30x40). index.json holds for
each file what Pillow says of it: name, width, height, mode, mime, orientation, valid;
and `note` for what is special. Values that do not exist are null.
"""

import io
import json
import pathlib
import sys

from PIL import Image, ImageDraw

SIZE = (40, 30)


def drawing(mode="RGB", shift=0):
    """Sky, ground, a box and a sun, so that a turned or cut picture would be seen."""
    image = Image.new("RGB", SIZE, (120, 180, 240))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 20, 39, 29), fill=(90, 160, 70))
    draw.rectangle((6 + shift, 12, 20 + shift, 22), fill=(247, 190, 28))
    draw.ellipse((29, 3, 36, 10), fill=(255, 216, 80))
    if mode in ("RGBA", "LA"):
        alpha = Image.new("L", SIZE, 255)
        ImageDraw.Draw(alpha).rectangle((0, 0, 39, 8), fill=64)
        image.putalpha(alpha)
    return image.convert(mode)


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def deep_grey():
    """16-bit grey, brighter from left to right over the whole range."""
    image = Image.new("I;16", SIZE)
    for x in range(SIZE[0]):
        for y in range(SIZE[1]):
            image.putpixel((x, y), x * 65535 // (SIZE[0] - 1))
    return image


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(drawing(), format="JPEG", quality=85, exif=exif)


def files():
    """Name, bytes and note of each file."""
    png = encoded(drawing(), format="PNG")
    clear = drawing("P")
    for mode in ("RGB", "RGBA", "LA", "L", "P", "1"):
        yield f"png_{mode.lower()}.png", encoded(drawing(mode), format="PNG"), f"PNG, mode {mode}"
    yield "png_p_transparent.png", encoded(clear, format="PNG", transparency=0), "PNG, palette with a tRNS chunk"
    yield "png_grey16.png", encoded(deep_grey(), format="PNG"), "PNG, 16-bit grey"
    yield "jpeg_rgb.jpg", encoded(drawing(), format="JPEG", quality=85), "JPEG, baseline"
    yield "jpeg_grey.jpg", encoded(drawing("L"), format="JPEG", quality=85), "JPEG, grey"
    yield "jpeg_cmyk.jpg", encoded(drawing("CMYK"), format="JPEG", quality=85), "JPEG, CMYK (Adobe marker, inverted)"
    yield "jpeg_progressive.jpeg", encoded(drawing(), format="JPEG", quality=85, progressive=True), "JPEG, progressive"
    yield "jpeg_exif6.JPG", turned(), "JPEG, EXIF orientation 6: stored 40x30, shown 30x40; name in capitals"
    yield "webp_lossy.webp", encoded(drawing(), format="WEBP", quality=80), "WebP, lossy"
    yield "webp_lossless_alpha.webp", encoded(drawing("RGBA"), format="WEBP", lossless=True), "WebP, lossless with alpha"
    yield "gif.gif", encoded(drawing("P"), format="GIF"), "GIF, one frame"
    frames = [drawing(shift=3 * step).convert("P") for step in range(3)]
    options = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0}
    yield "gif_animated.gif", encoded(frames[0], format="GIF", **options), "GIF, three frames"
    yield "bmp.bmp", encoded(drawing(), format="BMP"), "BMP, 24 bit"
    yield "tiff.tiff", encoded(drawing(), format="TIFF", compression="tiff_lzw"), "TIFF, LZW"
    yield "png_named.jpg", png, "a PNG whose name says JPEG"
    yield "png_truncated.png", png[: len(png) // 2], "the first half of a PNG: its header can be read, its pixels cannot"
    yield "fake.png", b"this is text, not a picture\n", "a text file whose name says PNG"
    yield "empty.jpg", b"", "no bytes at all"


def described(name, data, note):
    """What Pillow says of the file; nulls where it can say nothing."""
    row = {"name": name, "width": None, "height": None, "mode": None, "mime": None, "orientation": None, "valid": False}
    try:
        image = Image.open(io.BytesIO(data))
        row |= {"width": image.width, "height": image.height, "mode": image.mode, "mime": Image.MIME[image.format]}
        row["orientation"] = image.getexif().get(0x0112)
        image.load()
        row["valid"] = True
    except OSError:
        pass
    return row | {"bytes": len(data), "note": note}


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, data, note in files():
        (folder / name).write_bytes(data)
        rows.append(described(name, data, note))
    lines = ",\n".join(" " + json.dumps(row) for row in rows)
    (folder / "index.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    for row in rows:
        print("| {name} | {bytes} | {width}×{height} | {mode} | {mime} | {orientation} | {valid} | {note} |".format(**row))


main()
