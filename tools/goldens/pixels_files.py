"""The small picture files of the golden set of the pixels module: drawn, encoded, broken.

`files()` yields name and bytes. Everything is drawn here from seeded numpy patterns.
What Pillow cannot write (bit depths, interlacing, odd headers) is written byte by byte.
"""

import io
import struct
import zlib

import cv2
import numpy
import tifffile
from PIL import Image


def drawn(width, height, seed=1):
    """Waves, hard edges and noise, so that every table and every rounding of a codec is used."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    channels = [127.5 + 127.5 * numpy.sin(x / (3.1 + c) + y / (5.3 - c) + seed * c) for c in range(3)]
    rgb = numpy.stack(channels, axis=-1)
    rgb[height // 4 : height // 2, width // 4 : width // 2] = (250, 10, 30)
    rgb[height // 2 :, : width // 3] = numpy.random.default_rng(seed).integers(0, 256, (height - height // 2, width // 3, 3))
    rgb[:2, :2] = ((0, 0, 0), (255, 255, 255)) if min(width, height) > 1 else 255
    return numpy.clip(rgb, 0, 255).astype(numpy.uint8)


def alpha_of(width, height):
    """Every level of alpha, clear and opaque included."""
    return (numpy.arange(width * height) * 7 % 256).astype(numpy.uint8).reshape(height, width)


def saved(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return buffer.getvalue()


def picture(mode="RGB", width=37, height=23):
    rgb = Image.fromarray(drawn(width, height))
    if mode in ("RGBA", "LA"):
        image = rgb.convert(mode)
        image.putalpha(Image.fromarray(alpha_of(width, height)))
        return image
    return rgb.convert(mode)


# PNG, written by hand: every colour type, depth and interlacing.

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def packed_rows(samples, depth):
    """Rows of a PNG, each with filter 0 in front."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            data = row.astype(">u2").tobytes()
        else:
            bits = numpy.unpackbits(row.astype(numpy.uint8)[:, None], axis=1)[:, 8 - depth :]
            data = numpy.packbits(bits.reshape(-1)).tobytes()
        rows += b"\0" + data
    return rows


def png(samples, depth, colour, interlaced=False, before=(), after=()):
    """`samples` is height x width x channels; `before` and `after` are chunks around the data."""
    height, width = samples.shape[:2]
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        rows = b"".join(packed_rows(part, depth) for part in passes if part.size)
    else:
        rows = packed_rows(samples, depth)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(rows)), *after, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_files():
    width, height = 21, 13
    random = numpy.random.default_rng(5)
    for colour, channels, depths in ((0, 1, (1, 2, 4, 8, 16)), (2, 3, (8, 16)), (4, 2, (8, 16)), (6, 4, (8, 16))):
        for depth in depths:
            samples = random.integers(0, 1 << depth, (height, width, channels))
            if colour == 0 and depth == 16:
                # Low values too: 16-bit grey is clipped to 255, not scaled.
                samples[::2] %= 300
            for interlaced in (False, True):
                name = f"png_c{colour}_d{depth}{'_adam7' if interlaced else ''}.png"
                yield name, png(samples, depth, colour, interlaced)
            if colour in (0, 2):
                key = struct.pack(f">{channels}H", *samples[0, 0])
                yield f"png_c{colour}_d{depth}_trns.png", png(samples, depth, colour, before=[chunk(b"tRNS", key)])
    for depth in (1, 2, 4, 8):
        count = 1 << depth
        palette = chunk(b"PLTE", random.integers(0, 256, count * 3).astype(numpy.uint8).tobytes())
        samples = random.integers(0, count, (height, width, 1))
        alphas = chunk(b"tRNS", random.integers(0, 256, max(1, count // 2)).astype(numpy.uint8).tobytes())
        one = chunk(b"tRNS", b"\xff\x00")
        yield f"png_c3_d{depth}.png", png(samples, depth, 3, before=[palette])
        yield f"png_c3_d{depth}_adam7.png", png(samples, depth, 3, True, before=[palette])
        yield f"png_c3_d{depth}_alphas.png", png(samples, depth, 3, before=[palette, alphas])
        yield f"png_c3_d{depth}_one_clear.png", png(samples, depth, 3, before=[palette, one])
    short = chunk(b"PLTE", bytes(range(30, 60)))
    yield "png_palette_too_short.png", png(random.integers(0, 16, (height, width, 1)), 4, 3, before=[short])
    yield "png_palette_missing.png", png(random.integers(0, 16, (height, width, 1)), 4, 3)
    yield "png_filters.png", saved(picture("RGB", 61, 43), format="PNG")
    yield "png_filters_rgba.png", saved(picture("RGBA", 61, 43), format="PNG")
    yield "png_1x1.png", png(numpy.full((1, 1, 3), 77), 8, 2)
    # Every level over every alpha.
    grid = numpy.stack(numpy.meshgrid(numpy.arange(256), numpy.arange(256)), axis=-1)
    yield "png_blend.png", png(grid, 8, 4)
    frames = [picture("RGBA", 20, 14), picture("RGBA", 20, 14).transpose(Image.Transpose.ROTATE_180)]
    yield "png_animated.png", saved(frames[0], format="PNG", save_all=True, append_images=frames[1:])
    frames[0].info["default_image"] = True
    yield "png_animated_default.png", saved(frames[0], format="PNG", save_all=True, default_image=True, append_images=frames[1:])
    plain = png(random.integers(0, 256, (8, 8, 3)), 8, 2)
    yield "png_no_iend.png", plain[:-12]
    yield "png_cut_in_iend.png", plain[:-5]
    yield "png_cut_in_idat_crc.png", plain[:-14]
    yield "png_cut_in_idat.png", plain[:-21]
    yield "png_bad_adler.png", plain[:-20] + bytes(4) + plain[-16:]
    yield "png_trailing.png", plain + b"after the end"
    yield "png_bad_idat_crc.png", plain[:-16] + bytes(4) + plain[-12:]
    text = chunk(b"tEXt", b"Comment\0hello")
    bad = text[:-4] + bytes(4)
    yield "png_bad_text_crc.png", png(random.integers(0, 256, (8, 8, 3)), 8, 2, before=[bad])
    yield "png_bad_text_crc_after.png", png(random.integers(0, 256, (8, 8, 3)), 8, 2, after=[bad])
    yield "png_zero_width.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)) + plain[33:]
    wide = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    yield "png_bomb.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", wide) + plain[33:]


# JPEG.


def adobe(data, transform):
    """The same file whose Adobe segment states another colour transform."""
    place = data.index(b"Adobe") + 11
    return data[:place] + bytes([transform]) + data[place + 1 :]


def jpeg(mode="RGB", width=61, height=43, **options):
    return saved(picture(mode, width, height), format="JPEG", **({"quality": 80} | options))


def jpeg_files():
    for quality in (5, 40, 90, 100):
        for subsampling in (0, 1, 2):
            yield f"jpeg_q{quality}_s{subsampling}.jpg", jpeg(quality=quality, subsampling=subsampling)
    for width, height in ((1, 1), (2, 2), (3, 5), (7, 1), (1, 9), (8, 8), (16, 16), (17, 15), (33, 18), (15, 33)):
        for subsampling in (0, 1, 2):
            yield f"jpeg_{width}x{height}_s{subsampling}.jpg", jpeg("RGB", width, height, subsampling=subsampling)
    for subsampling in (0, 1, 2):
        yield f"jpeg_progressive_s{subsampling}.jpg", jpeg(progressive=True, subsampling=subsampling)
        yield f"jpeg_restart_s{subsampling}.jpg", jpeg(restart_marker_blocks=3, subsampling=subsampling)
    yield "jpeg_progressive_restart.jpg", jpeg(progressive=True, restart_marker_rows=1)
    yield "jpeg_optimised.jpg", jpeg(optimize=True)
    bgr = drawn(61, 43)[..., ::-1]
    for name, factor in (("411", 0x411111), ("440", 0x121111), ("420", 0x221111)):
        for progressive in (0, 1):
            flags = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
            data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85, *flags])[1].tobytes()
            yield f"jpeg_cv_{name}{'_progressive' if progressive else ''}.jpg", data
    yield "jpeg_grey.jpg", jpeg("L")
    yield "jpeg_grey_progressive.jpg", jpeg("L", progressive=True)
    yield "jpeg_rgb_kept.jpg", jpeg(keep_rgb=True)
    yield "jpeg_cmyk.jpg", jpeg("CMYK")
    yield "jpeg_cmyk_progressive.jpg", jpeg("CMYK", progressive=True)
    yield "jpeg_ycck.jpg", adobe(jpeg("CMYK"), 2)
    base = jpeg("CMYK")
    marker = base.index(b"\xff\xee")
    yield "jpeg_cmyk_no_adobe.jpg", base[:marker] + base[marker + 16 :]
    plain = jpeg()
    yield "jpeg_no_jfif.jpg", plain[:2] + plain[20:]
    grey = jpeg("L", 40, 40)
    yield "jpeg_no_eoi.jpg", plain[:-2]
    yield "jpeg_progressive_no_eoi.jpg", jpeg(progressive=True)[:-2]
    yield "jpeg_trailing.jpg", plain + b"after the end" * 9
    yield "jpeg_cut_with_eoi.jpg", plain[: len(plain) * 2 // 3] + b"\xff\xd9"
    yield "jpeg_grey_cut_with_eoi.jpg", grey[: len(grey) * 2 // 3] + b"\xff\xd9"
    restart = jpeg(restart_marker_blocks=3, subsampling=2)
    lost = restart.index(b"\xff\xd2")
    yield "jpeg_restart_lost.jpg", restart[:lost] + restart[lost + 2 :]
    # Levels far out of range, codes that do not exist, segments that run dry.
    random = numpy.random.default_rng(7)
    for number in range(8):
        data = bytearray(jpeg(quality=100, subsampling=number % 3, progressive=number > 4))
        scan = data.index(b"\xff\xda") + 14
        for place in random.integers(scan, len(data) - 2, 3):
            data[place] = int(random.integers(0, 255))
        yield f"jpeg_damaged_{number}.jpg", bytes(data)
    yield "jpeg_12_bit.jpg", plain.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c")
    yield "jpeg_arithmetic.jpg", plain.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc9\x00\x11\x08")
    yield "jpeg_no_tables.jpg", plain.replace(b"\xff\xc4", b"\xff\xec")


# Orientation.


def exif(orientation, order="<", kind=3, value=None):
    """A TIFF directory with the orientation; `kind` is the TIFF type of its value."""
    mark = b"II" if order == "<" else b"MM"
    packed = struct.pack({1: order + "B3x", 3: order + "H2x", 4: order + "I", 9: order + "i"}[kind], orientation)
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + (value or packed)
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


def xmp(orientation):
    return f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


def orientation_files():
    image = picture("RGB", 13, 7)
    for orientation in range(0, 10):
        for order in "<>":
            data = png(numpy.asarray(image), 8, 2, before=[chunk(b"eXIf", exif(orientation, order))])
            yield f"turn_{orientation}_{'little' if order == '<' else 'big'}.png", data
    for orientation in range(1, 9):
        head = b"Exif\0\0" + exif(orientation)
        yield f"turn_{orientation}.jpg", jpeg("RGB", 13, 7, exif=head, subsampling=2)
        yield f"turn_{orientation}.tif", saved(image, format="TIFF", tiffinfo={0x0112: orientation})
    yield "turn_6.webp", saved(image, format="WEBP", lossless=True, exif=b"Exif\0\0" + exif(6))
    yield "turn_8_bare.webp", saved(image, format="WEBP", lossless=True, exif=exif(8))
    yield "turn_3_xmp.webp", saved(image, format="WEBP", lossless=True, xmp=xmp(3))
    yield "turn_6_lzw.tif", saved(image, format="TIFF", compression="tiff_lzw", tiffinfo={0x0112: 6})
    samples = numpy.asarray(image)
    for kind in (1, 4, 9):
        yield f"turn_6_type_{kind}.png", png(samples, 8, 2, before=[chunk(b"eXIf", exif(6, kind=kind))])
    itxt = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(5))
    yield "turn_5_xmp.png", png(samples, 8, 2, before=[itxt])
    yield "turn_5_xmp_after.png", png(samples, 8, 2, after=[itxt])
    yield "turn_6_after.png", png(samples, 8, 2, after=[chunk(b"eXIf", exif(6))])
    yield "turn_exif_and_xmp.png", png(samples, 8, 2, before=[itxt, chunk(b"eXIf", exif(3))])
    raw = b"exif\0\nexif\n%8d\n" % len(exif(7)) + (b"Exif\0\0" + exif(7)).hex().encode() + b"\n"
    yield "turn_7_raw_profile.png", png(samples, 8, 2, before=[chunk(b"tEXt", b"Raw profile type " + raw)])
    zipped = b"Raw profile type exif\0\0" + zlib.compress(raw[5:])
    yield "turn_7_raw_profile_zipped.png", png(samples, 8, 2, before=[chunk(b"zTXt", zipped)])
    plain = jpeg("RGB", 13, 7)
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp(8)
    yield "turn_8_xmp.jpg", plain[:20] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + plain[20:]
    for name, data in (("cut", exif(6)[:15]), ("empty", b""), ("no_order", b"XX" + exif(6)[2:]), ("loop", exif(6)[:4] + b"\4\0\0\0")):
        yield f"turn_broken_{name}.jpg", jpeg("RGB", 13, 7, exif=b"Exif\0\0" + data)
    yield "turn_palette.png", saved(picture("P", 13, 7), format="PNG", transparency=3, exif=b"Exif\0\0" + exif(6))


# WebP, GIF, BMP, TIFF.


def webp_files():
    for quality in (10, 75, 100):
        yield f"webp_lossy_q{quality}.webp", saved(picture("RGB", 61, 43), format="WEBP", quality=quality)
    for width, height in ((1, 1), (2, 3), (17, 16), (33, 1)):
        yield f"webp_lossy_{width}x{height}.webp", saved(picture("RGB", width, height), format="WEBP", quality=80)
    yield "webp_lossy_alpha.webp", saved(picture("RGBA", 61, 43), format="WEBP", quality=80)
    yield "webp_lossless.webp", saved(picture("RGB", 61, 43), format="WEBP", lossless=True)
    yield "webp_lossless_alpha.webp", saved(picture("RGBA", 61, 43), format="WEBP", lossless=True)
    yield "webp_lossless_palette.webp", saved(picture("RGB", 61, 43).quantize(7).convert("RGB"), format="WEBP", lossless=True)
    for lossless in (True, False):
        for mode in ("RGB", "RGBA"):
            frames = [picture(mode, 24, 18), picture(mode, 24, 18).transpose(Image.Transpose.ROTATE_180)]
            data = saved(frames[0], format="WEBP", save_all=True, append_images=frames[1:], lossless=lossless)
            yield f"webp_animated_{mode.lower()}_{'lossless' if lossless else 'lossy'}.webp", data
    # A frame whose own size is not the one that its animation states.
    place = data.index(b"ANMF") + 8 + 6
    yield "webp_animated_wrong_size.webp", data[:place] + bytes([11]) + data[place + 1 :]
    # The first frame covers a part of the canvas only.
    clear = Image.new("RGBA", (24, 18))
    clear.paste(picture("RGBA", 9, 7), (6, 4))
    data = saved(clear, format="WEBP", save_all=True, append_images=[frames[0]], lossless=True, background=(9, 8, 7, 255))
    yield "webp_animated_part.webp", data
    yield "webp_truncated.webp", saved(picture("RGB", 61, 43), format="WEBP", quality=80)[:-200]


def gif_files():
    image = picture("P", 37, 23)
    yield "gif_plain.gif", saved(image, format="GIF", interlace=0)
    yield "gif_interlaced.gif", saved(image, format="GIF", interlace=1)
    yield "gif_grey.gif", saved(picture("L", 37, 23), format="GIF")
    yield "gif_clear.gif", saved(image, format="GIF", transparency=image.getpixel((20, 20)))
    yield "gif_two_colours.gif", saved(picture("1", 37, 23), format="GIF")
    yield "gif_few_colours.gif", saved(picture("RGB", 37, 23).quantize(5), format="GIF")
    frames = [image, picture("P", 37, 23).transpose(Image.Transpose.ROTATE_180)]
    yield "gif_animated.gif", saved(frames[0], format="GIF", save_all=True, append_images=frames[1:], duration=50)
    # A canvas larger than its first frame, which stands 5 right and 3 down.
    plain = saved(image, format="GIF", interlace=0)
    place = plain.index(b",\0\0\0\0\x25\0\x17\0")
    larger = plain[:6] + struct.pack("<HH", 50, 40) + plain[10:]
    moved = larger[: place + 1] + struct.pack("<HH", 5, 3) + larger[place + 5 :]
    yield "gif_part.gif", moved
    yield "gif_part_background.gif", moved[:11] + b"\x09" + moved[12:]
    clear = saved(image, format="GIF", interlace=0, transparency=image.getpixel((20, 20)))
    place = clear.index(b",\0\0\0\0\x25\0\x17\0")
    larger = clear[:6] + struct.pack("<HH", 50, 40) + clear[10:]
    yield "gif_part_clear.gif", larger[: place + 1] + struct.pack("<HH", 5, 3) + larger[place + 5 :]
    yield "gif_outside.gif", plain[:6] + struct.pack("<HH", 20, 10) + plain[10:]
    yield "gif_no_palette.gif", plain[:10] + b"\0" + plain[11:13] + plain[13 + 768 :]
    yield "gif_no_trailer.gif", plain[:-1]
    yield "gif_87a.gif", plain.replace(b"GIF89a", b"GIF87a")
    yield "gif_no_image.gif", plain[: plain.index(b",\0\0\0\0\x25\0\x17\0")] + b";"
    yield "gif_lzw_cut.gif", plain[:-60] + b"\0;"


def bmp(bits, rows, width, height, palette=b"", compression=0, masks=b"", header=40, down=False, colours=0):
    """A BMP of the given rows, which are bottom-up unless `down`."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        signed = -height if down else height
        info = struct.pack("<IiiHHIIiiII", header, width, signed, 1, bits, compression, len(rows), 2835, 2835, colours, 0)
        info += masks[: header - 40].ljust(header - 40, b"\0")
        if header == 40:
            info += masks
    offset = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + palette + rows


def padded(rows):
    """Rows of bytes, each filled to a multiple of 4."""
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


def bmp_files():
    width, height = 19, 11
    random = numpy.random.default_rng(9)
    rgb = drawn(width, height)[::-1]
    for bits in (1, 4, 8):
        count = 1 << bits
        indices = random.integers(0, count, (height, width)).astype(numpy.uint8)
        packed = numpy.unpackbits(indices[..., None], axis=2)[:, :, 8 - bits :].reshape(height, -1)
        rows = padded(numpy.packbits(row).tobytes() for row in packed)
        colours = random.integers(0, 256, (count, 4)).astype(numpy.uint8)
        yield f"bmp_{bits}.bmp", bmp(bits, rows, width, height, colours.tobytes())
        yield f"bmp_{bits}_os2.bmp", bmp(bits, rows, width, height, colours[:, :3].tobytes(), header=12)
        yield f"bmp_{bits}_few.bmp", bmp(bits, rows, width, height, colours[: count // 2 + 1].tobytes(), colours=count // 2 + 1)
        grey = numpy.repeat(numpy.linspace(0, 255, count).astype(numpy.uint8)[:, None], 4, axis=1)
        yield f"bmp_{bits}_grey.bmp", bmp(bits, rows, width, height, grey.tobytes())
        if bits != 4:
            yield f"bmp_{bits}_down.bmp", bmp(bits, rows, width, height, colours.tobytes(), down=True)
    steps = numpy.repeat(numpy.arange(16).astype(numpy.uint8)[:, None], 4, axis=1)
    yield "bmp_4_steps.bmp", bmp(4, padded([bytes(range(10))] * height), width, height, steps.tobytes())
    yield "bmp_24.bmp", bmp(24, padded(row[:, ::-1].tobytes() for row in rgb), width, height)
    yield "bmp_24_down.bmp", bmp(24, padded(row[:, ::-1].tobytes() for row in rgb), width, height, down=True)
    four = random.integers(0, 256, (height, width, 4)).astype(numpy.uint8)
    yield "bmp_32.bmp", bmp(32, four.tobytes(), width, height)
    layouts = {
        "bgrx": (0xFF0000, 0xFF00, 0xFF, 0), "xbgr": (0xFF000000, 0xFF0000, 0xFF00, 0),
        "bgxr": (0xFF000000, 0xFF00, 0xFF, 0), "abgr": (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        "rgba": (0xFF, 0xFF00, 0xFF0000, 0xFF000000), "bgra": (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        "bgar": (0xFF000000, 0xFF00, 0xFF, 0xFF0000), "zero": (0, 0, 0, 0), "other": (0xFF, 0xFF00, 0xFF0000, 0),
    }
    for name, masks in layouts.items():
        data = bmp(32, four.tobytes(), width, height, compression=3, masks=struct.pack("<4I", *masks), header=56)
        yield f"bmp_32_{name}.bmp", data
    two = random.integers(0, 1 << 16, (height, width)).astype("<u2")
    rows = padded(row.tobytes() for row in two)
    yield "bmp_16.bmp", bmp(16, rows, width, height)
    yield "bmp_16_565.bmp", bmp(16, rows, width, height, compression=3, masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F))
    masks = struct.pack("<4I", 0x7C00, 0x3E0, 0x1F, 0)
    yield "bmp_16_555_v5.bmp", bmp(16, rows, width, height, compression=3, masks=masks, header=124)
    colours = random.integers(0, 256, (256, 4)).astype(numpy.uint8)
    runs = b""
    for y in range(height):
        runs += bytes([9, y, 0, 5, 1, 2, 3, 4, 5, 0, 5, 77]) + b"\0\0"
    yield "bmp_rle8.bmp", bmp(8, runs + b"\0\1", width, height, colours.tobytes(), compression=1)
    yield "bmp_rle8_delta.bmp", bmp(8, b"\5\7\0\2\4\2\6\x09\0\0\3\1\0\1", width, height, colours.tobytes(), compression=1)
    yield "bmp_rle8_short.bmp", bmp(8, runs[:30], width, height, colours.tobytes(), compression=1)
    yield "bmp_rle8_wide.bmp", bmp(8, b"\x30\5\0\0" * height + b"\0\1", width, height, colours.tobytes(), compression=1)
    runs = b""
    for y in range(height):
        runs += bytes([9, 0x10 + y, 0, 5, 0x12, 0x34, 0x50, 0, 5, 0xAB]) + b"\0\0"
    yield "bmp_rle4.bmp", bmp(4, runs + b"\0\1", width, height, colours[:16].tobytes(), compression=2)
    yield "bmp_jpeg_inside.bmp", bmp(24, b"", width, height, compression=4)
    yield "bmp_bits_5.bmp", bmp(5, bytes(400), width, height)
    yield "bmp_truncated.bmp", bmp(24, padded(row.tobytes() for row in rgb), width, height)[:-10]
    yield "bmp_bomb.bmp", bmp(24, bytes(400), 60000, 60000)
    yield "bmp_dib.bmp", bmp(24, padded(row[:, ::-1].tobytes() for row in rgb), width, height)[14:]


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **({"metadata": None} | options))
    return buffer.getvalue()


def tiff_files():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"):
        if mode in ("I;16", "I", "F"):
            kind = {"I;16": numpy.uint16, "I": numpy.int32, "F": numpy.float32}[mode]
            values = numpy.linspace(-60, 400, 37 * 23).reshape(23, 37)
            image = Image.fromarray(numpy.clip(values, 0 if mode == "I;16" else -99, None).astype(kind))
        elif mode == "LAB":
            image = Image.frombytes("LAB", (37, 23), drawn(37, 23).tobytes())
        else:
            image = picture(mode)
        name = mode.lower().replace(";", "")
        for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
            if compression != "raw" and mode in ("LAB", "F", "I"):
                continue
            yield f"tiff_{name}_{compression}.tif", saved(image, format="TIFF", compression=None if compression == "raw" else compression)
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield f"tiff_1_{compression}.tif", saved(picture("1"), format="TIFF", compression=compression)
    for mode in ("L", "RGB", "CMYK"):
        yield f"tiff_{mode.lower()}_jpeg.tif", saved(picture(mode), format="TIFF", compression="jpeg", quality=90)
    yield "tiff_ycbcr_jpeg.tif", saved(picture("YCbCr"), format="TIFF", compression="jpeg", quality=90)
    for compression in ("lzma", "zstd", "tiff_deflate"):
        yield f"tiff_rgb_{compression}.tif", saved(picture("RGB"), format="TIFF", compression=compression)
    rgb = drawn(37, 23)
    deep = rgb.astype(numpy.uint16) * 257 + 3
    alpha = alpha_of(37, 23)[..., None]
    for order, word in (("<", "little"), (">", "big")):
        yield f"tiff_16_{word}.tif", tiff(deep[..., 0] // 200, byteorder=order, photometric="minisblack")
        yield f"tiff_white_16_{word}.tif", tiff(deep[..., 0] // 200, byteorder=order, photometric="miniswhite")
        yield f"tiff_signed_16_{word}.tif", tiff((deep[..., 0] // 200).astype(numpy.int16) - 50, byteorder=order, photometric="minisblack")
        yield f"tiff_signed_32_{word}.tif", tiff(rgb[..., 0].astype(numpy.int32) * 2 - 100, byteorder=order, photometric="minisblack")
        yield f"tiff_unsigned_32_{word}.tif", tiff(rgb[..., 0].astype(numpy.uint32) * 2, byteorder=order, photometric="minisblack")
        yield f"tiff_float_{word}.tif", tiff(rgb[..., 0].astype(numpy.float32) * 1.3 - 20, byteorder=order, photometric="minisblack")
        yield f"tiff_rgb48_{word}.tif", tiff(deep, byteorder=order, photometric="rgb")
        yield f"tiff_rgba64_{word}.tif", tiff(numpy.concatenate([deep, alpha.astype(numpy.uint16) * 257], 2), byteorder=order, photometric="rgb", extrasamples=["unassalpha"])
    for extra in ("unspecified", "assocalpha", "unassalpha"):
        yield f"tiff_rgb_{extra}.tif", tiff(numpy.concatenate([rgb, alpha], 2), photometric="rgb", extrasamples=[extra])
        yield f"tiff_l_{extra}.tif", tiff(numpy.concatenate([rgb[..., :1], alpha], 2), photometric="minisblack", extrasamples=[extra], planarconfig="contig")
    yield "tiff_white_is_zero.tif", tiff(rgb[..., 0], photometric="miniswhite")
    yield "tiff_planar.tif", tiff(numpy.moveaxis(rgb, 2, 0).copy(), photometric="rgb", planarconfig="separate")
    yield "tiff_planar_deflate.tif", tiff(numpy.moveaxis(rgb, 2, 0).copy(), photometric="rgb", planarconfig="separate", compression="zlib")
    yield "tiff_tiled.tif", tiff(rgb, photometric="rgb", tile=(16, 16))
    yield "tiff_tiled_deflate.tif", tiff(rgb, photometric="rgb", tile=(16, 16), compression="zlib")
    yield "tiff_tiled_predicted.tif", tiff(rgb, photometric="rgb", tile=(16, 16), compression="zlib", predictor=2)
    yield "tiff_strips.tif", tiff(rgb, photometric="rgb", rowsperstrip=5)
    yield "tiff_strips_predicted.tif", tiff(deep, photometric="rgb", rowsperstrip=5, compression="zlib", predictor=2)
    yield "tiff_lzw_predicted.tif", saved(picture("RGB"), format="TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "tiff_float_16.tif", tiff(rgb[..., 0].astype(numpy.float16), photometric="minisblack")
    yield "tiff_float_64.tif", tiff(rgb[..., 0].astype(numpy.float64), photometric="minisblack")
    yield "tiff_uint_64.tif", tiff(rgb[..., 0].astype(numpy.uint64), photometric="minisblack")
    yield "tiff_big.tif", tiff(rgb, photometric="rgb", bigtiff=True)
    pages = tiff(numpy.stack([rgb, rgb[::-1]]), photometric="rgb")
    yield "tiff_pages.tif", pages
    yield "tiff_truncated.tif", tiff(rgb, photometric="rgb")[:-300]
    yield "tiff_truncated_lzw.tif", saved(picture("RGB"), format="TIFF", compression="tiff_lzw")[:-300]


def broken_files():
    """Not pictures, pictures of formats that are not read, and cut ones."""
    yield "empty", b""
    yield "text.png", b"this is text, not a picture\n"
    yield "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    yield "document.pdf", b"%PDF-1.4\n1 0 obj\n"
    yield "postscript.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    for name in ("png", "jpeg", "gif", "webp", "bmp", "tiff"):
        options = {"lossless": True} if name == "webp" else {}
        data = saved(picture("P" if name == "gif" else "RGB"), format=name.upper(), **options)
        yield f"cut_half.{name}", data[: len(data) // 2]
        yield f"cut_head.{name}", data[:20]
    yield "cut_progressive.jpeg", jpeg(progressive=True)[:-300]
    for name in ("avif", "ico", "ppm", "tga", "pcx", "jpeg2000", "dds", "sgi", "qoi", "im", "msp", "xbm"):
        mode = "1" if name in ("msp", "xbm") else "RGB"
        size = (16, 16)
        yield f"other.{name}", saved(picture(mode, *size), format=name.upper())


def files():
    yield from png_files()
    yield from jpeg_files()
    yield from orientation_files()
    yield from webp_files()
    yield from gif_files()
    yield from bmp_files()
    yield from tiff_files()
    yield from broken_files()
