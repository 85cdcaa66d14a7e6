//! Headers, errors and URLs, against bytes written by hand and files of the `image` crate; in `collection` against the drawn
//! collection.

use std::error::Error;
use std::fs;
use std::io::Cursor;

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

mod collection;

type Checked = Result<(), Box<dyn Error>>;

const FORMATS: [(ImageFormat, &str); 6] = [
    (ImageFormat::Png, "image/png"),
    (ImageFormat::Jpeg, "image/jpeg"),
    (ImageFormat::WebP, "image/webp"),
    (ImageFormat::Gif, "image/gif"),
    (ImageFormat::Bmp, "image/bmp"),
    (ImageFormat::Tiff, "image/tiff"),
];

fn made(format: ImageFormat, width: u32, height: u32) -> Result<Vec<u8>, image::ImageError> {
    let pixels = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 * 5, y as u8 * 7, (x * y) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

fn read(bytes: Vec<u8>) -> Result<Picture, ImageError> {
    Picture::from_bytes("made", bytes.into())
}

#[test]
fn what_the_image_crate_writes_is_read_and_every_cut_is_noticed() -> Checked {
    for (format, mime) in FORMATS {
        let whole = made(format, 37, 23)?;
        let picture = read(whole.clone())?;
        let facts = &picture.facts;
        assert_eq!((facts.width, facts.height, facts.mime.as_str()), (37, 23, mime));
        assert_eq!((facts.bytes, facts.exif_orientation, facts.animated), (whole.len() as u64, None, None));
        assert_eq!(facts.mode, if format == ImageFormat::Gif { "P" } else { "RGB" }, "{mime}");
        assert!(!picture.looks_truncated(), "{mime}");
        // A TIFF of this writer ends with its directory: a cut inside it may leave all strips.
        let longest_cut = if format == ImageFormat::Tiff { whole.len() / 2 } else { whole.len() - 1 };
        for len in 1..=longest_cut {
            if let Ok(cut) = read(whole.get(..len).unwrap_or_default().to_vec()) {
                assert!(cut.looks_truncated(), "{mime} cut to {len} of {}", whole.len());
                assert_eq!((cut.facts.width, cut.facts.height), (37, 23));
            }
        }
    }
    Ok(())
}

fn png_start(bit_depth: u8, colour_type: u8) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x04\x38\0\0\x03\x2a".to_vec();
    bytes.extend([bit_depth, colour_type, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

fn jpeg_start(marker: u8, components: u8) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x02\xff\xff".to_vec();
    bytes.extend([marker, 0, 8 + 3 * components, 8, 3, 0x2a, 4, 0x38, components]);
    bytes.extend([1, 0x11, 0].repeat(components.into()));
    bytes
}

fn webp(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WEBP".to_vec();
    bytes.extend(kind);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn bmp(bits: u16, compression: u32, header_len: u32, palette: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0".to_vec();
    bytes.extend(header_len.to_le_bytes());
    bytes.extend(1080u32.to_le_bytes());
    // Negative: the first row is the top one.
    bytes.extend((-810i32).to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    for field in [compression, 0, 0, 0, palette.len() as u32, 0] {
        bytes.extend(field.to_le_bytes());
    }
    if header_len > 40 {
        bytes.extend([0, 0, 0xff, 0, 0, 0xff, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0xff]);
        bytes.resize(14 + header_len as usize, 0);
    }
    bytes.extend(palette.as_flattened());
    bytes
}

/// A directory of SHORT entries, of either byte order.
fn tiff(is_big_endian: bool, tags: &[(u16, u16)]) -> Vec<u8> {
    let two = |value: u16| if is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let four = |value: u32| if is_big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let mut bytes = if is_big_endian { b"MM\0\x2a".to_vec() } else { b"II\x2a\0".to_vec() };
    bytes.extend(four(8));
    bytes.extend(two(tags.len() as u16));
    for (tag, value) in tags {
        bytes.extend([two(*tag), two(3)].as_flattened());
        bytes.extend(four(1));
        bytes.extend([two(*value), two(0)].as_flattened());
    }
    bytes.extend(four(0));
    bytes
}

fn gif(palette: &[[u8; 3]; 2], frames: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a\x38\x04\x2a\x03\x80\0\0".to_vec();
    bytes.extend(palette.as_flattened());
    for _ in 0..frames {
        bytes.extend(b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x38\x04\x2a\x03\0\x02\x01\x44\0");
    }
    bytes.push(0x3b);
    bytes
}

#[test]
fn sizes_and_modes_of_headers_written_by_hand() -> Checked {
    let check = |bytes: Vec<u8>, mode: &str| -> Checked {
        let facts = read(bytes)?.facts;
        assert_eq!((facts.width, facts.height, facts.mode.as_str()), (1080, 810, mode), "{}", facts.mime);
        Ok(())
    };
    for (bit_depth, colour_type, mode) in [
        (1, 0, "1"),
        (2, 0, "L"),
        (8, 0, "L"),
        (16, 0, "I;16"),
        (8, 2, "RGB"),
        (16, 2, "RGB"),
        (1, 3, "P"),
        (8, 3, "P"),
        (8, 4, "LA"),
        (16, 4, "RGBA"),
        (8, 6, "RGBA"),
        (16, 6, "RGBA"),
    ] {
        check(png_start(bit_depth, colour_type), mode)?;
    }
    for (marker, components, mode) in [(0xc0, 1, "L"), (0xc0, 3, "RGB"), (0xc2, 3, "RGB"), (0xc0, 4, "CMYK")] {
        check(jpeg_start(marker, components), mode)?;
    }
    check(webp(b"VP8 ", &[0, 0, 0, 0x9d, 1, 0x2a, 0x38, 4, 0x2a, 0x43]), "RGB")?;
    // 1079 | 809 << 14 | alpha << 28.
    let bits = 1079u32 | (809 << 14);
    for (alpha, mode) in [(0, "RGB"), (1 << 28, "RGBA")] {
        let [a, b, c, d] = (bits | alpha).to_le_bytes();
        check(webp(b"VP8L", &[0x2f, a, b, c, d]), mode)?;
    }
    check(webp(b"VP8X", &[0, 0, 0, 0, 0x37, 4, 0, 0x29, 3, 0]), "RGB")?;
    check(webp(b"VP8X", &[0x10, 0, 0, 0, 0x37, 4, 0, 0x29, 3, 0]), "RGBA")?;
    let grey: Vec<[u8; 4]> = (0..=255).map(|value| [value, value, value, 0]).collect();
    check(bmp(1, 0, 40, &[[0; 4], [255, 255, 255, 0]]), "1")?;
    check(bmp(1, 0, 40, &[[0; 4], [255, 0, 0, 0]]), "P")?;
    check(bmp(8, 0, 40, &grey), "L")?;
    check(bmp(8, 0, 40, &[[1, 2, 3, 0]; 200]), "P")?;
    check(bmp(24, 0, 40, &[]), "RGB")?;
    check(bmp(32, 0, 40, &[]), "RGB")?;
    check(bmp(32, 3, 124, &[]), "RGBA")?;
    check(gif(&[[0; 3], [1; 3]], 1), "L")?;
    check(gif(&[[0; 3], [9, 8, 7]], 1), "P")?;
    for (photometric, samples, bits, mode) in [
        (0, 1, 1, "1"),
        (1, 1, 8, "L"),
        (1, 1, 16, "I;16"),
        (1, 2, 8, "LA"),
        (2, 3, 8, "RGB"),
        (2, 4, 8, "RGBA"),
        (3, 1, 8, "P"),
        (5, 4, 8, "CMYK"),
    ] {
        let tags = [(256, 1080), (257, 810), (258, bits), (262, photometric), (277, samples)];
        check(tiff(false, &tags), mode)?;
        check(tiff(true, &tags), if mode == "I;16" { "I;16B" } else { mode })?;
    }
    Ok(())
}

#[test]
fn orientation_from_every_container() -> Checked {
    let check = |bytes: Vec<u8>, wanted: Option<u8>| -> Checked {
        let facts = read(bytes)?.facts;
        assert_eq!(facts.exif_orientation, wanted, "{}", facts.mime);
        Ok(())
    };
    // 0 and 9 are not in the standard: not stated.
    for (value, wanted) in (0..=9).map(|value| (value, Some(value as u8).filter(|known| (1..=8).contains(known)))) {
        for is_big_endian in [false, true] {
            let block = tiff(is_big_endian, &[(256, 40), (257, 30), (258, 8), (262, 1), (274, value)]);
            check(block.clone(), wanted)?;
            let mut png = png_start(8, 2);
            png.extend((block.len() as u32).to_be_bytes());
            png.extend(b"eXIf");
            png.extend(&block);
            png.extend([0; 4]);
            check(png, wanted)?;
            let mut jpeg = b"\xff\xd8\xff\xe1".to_vec();
            jpeg.extend((block.len() as u16 + 8).to_be_bytes());
            jpeg.extend(b"Exif\0\0");
            jpeg.extend(&block);
            jpeg.extend(jpeg_start(0xc0, 3).get(2..).unwrap_or_default());
            check(jpeg, wanted)?;
            let mut extended = webp(b"VP8X", &[8, 0, 0, 0, 0x37, 4, 0, 0x29, 3, 0]);
            extended.extend(webp(b"EXIF", &block).get(12..).unwrap_or_default());
            check(extended, wanted)?;
        }
    }
    Ok(())
}

#[test]
fn frames_are_counted_where_there_is_more_than_one() -> Checked {
    let palette = [[0; 3], [9, 8, 7]];
    for (frames, wanted) in [(1, None), (2, Some(2)), (5, Some(5))] {
        assert_eq!(read(gif(&palette, frames))?.facts.animated, wanted);
    }
    let mut png = png_start(8, 2);
    png.extend(b"\0\0\0\x08acTL\0\0\0\x03\0\0\0\0\0\0\0\0");
    assert_eq!(read(png)?.facts.animated, Some(3));
    let mut moving = webp(b"VP8X", &[2, 0, 0, 0, 0x37, 4, 0, 0x29, 3, 0]);
    moving.extend(b"ANMF\x01\0\0\0\0\0ANMF\x02\0\0\0\0\0");
    assert_eq!(read(moving)?.facts.animated, Some(2));
    Ok(())
}

#[test]
fn a_ring_of_directories_ends() -> Checked {
    let mut ring = tiff(false, &[(256, 40), (257, 30), (258, 8), (262, 1)]);
    ring.truncate(ring.len() - 4);
    ring.extend(8u32.to_le_bytes());
    assert_eq!(read(ring)?.facts.width, 40);
    Ok(())
}

#[test]
fn what_is_no_picture_is_refused_with_what_it_looks_like() {
    let check = |bytes: &[u8], wanted: &str| {
        let said = read(bytes.to_vec()).map_err(|error| error.to_string());
        assert!(said.as_ref().is_err_and(|text| text.contains(wanted)), "{said:?}, wanted {wanted}");
    };
    check(b"", "is empty (0 bytes)");
    check(b"<html>404</html>", "it looks like text");
    check("不是图片".as_bytes(), "it looks like text");
    check(b"BMW drives past.  And so on.", "it looks like text");
    check(b"\0\0\0\x18ftypheic\0\0", "it looks like HEIC");
    check(b"%PDF-1.7", "it looks like PDF");
    check(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull");
    check(&[1, 2, 3, 200], "first bytes are not known");
    check(b"\xff\xd8\xff", "begins like a jpeg file but is cut off or broken before its width and height (3 bytes");
    check(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0", "begins like a png file");
    check(b"GIF89a\0\0\0\0\0\0\0", "begins like a gif file");
    check(b"RIFF\0\0\0\0WEBPVP9 \0\0\0\0", "begins like a webp file");
    check(b"BM", "begins like a bmp file");
    check(b"II\x2a\0\xff\xff\xff\xff", "begins like a tiff file");
}

#[test]
fn load_tells_what_is_wrong_in_both_languages() -> Checked {
    let dir = tempfile::tempdir()?;
    let check = |name: &str, bytes_max: u64, wanted: &str, wanted_zh: &str| {
        let error = load(&dir.path().join(name), bytes_max).err();
        let texts = error.map(|error| (error.text(false), error.text(true)));
        let is_said = texts.as_ref().is_some_and(|(en, zh)| en.contains(wanted) && zh.contains(wanted_zh));
        assert!(is_said, "{name}: {texts:?}");
    };
    fs::write(dir.path().join("ten.png"), [1, 2, 3, 200, 5, 6, 7, 8, 9, 0])?;
    fs::write(dir.path().join("none.png"), [])?;
    check("lost.png", 10, "no such file", "文件不存在");
    check("ten.png/in.png", 10, "no such file", "文件不存在");
    check("", 10, "is a folder", "是文件夹");
    check("none.png", 10, "is empty", "空文件");
    check("ten.png", 9, "has 10 bytes, more than the 9 allowed", "有 10 字节，超过上限 9");
    check("ten.png", 10, "is no jpeg, png", "不是 jpeg、png");
    // A picture under a wrong name is what its content is.
    fs::write(dir.path().join("wrong.jpg"), made(ImageFormat::Png, 3, 2)?)?;
    let picture = load(&dir.path().join("wrong.jpg"), 1 << 20)?;
    assert_eq!((picture.facts.mime.as_str(), picture.facts.width), ("image/png", 3));
    assert!(picture.facts.name.ends_with("wrong.jpg"));
    Ok(())
}

#[test]
fn a_file_over_the_limit_is_refused_before_it_is_read() -> Checked {
    let dir = tempfile::tempdir()?;
    // Sparse: a terabyte that no test could read.
    fs::File::create(dir.path().join("huge.png"))?.set_len(1 << 40)?;
    let error = load(&dir.path().join("huge.png"), 1 << 20).err();
    assert!(matches!(error, Some(ImageError::TooLarge { bytes: 0x100_0000_0000, bytes_max: 0x10_0000, .. })));
    Ok(())
}

#[test]
fn data_urls_and_fingerprints_are_the_standards() -> Checked {
    let facts = read(made(ImageFormat::Gif, 1, 1)?)?.facts;
    // RFC 4648, section 10; SHA-256 of "abc" from FIPS 180-4.
    for (bytes, wanted) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
        let picture = Picture { facts: facts.clone(), bytes: bytes.as_bytes().into() };
        assert_eq!(data_url(&picture), format!("data:image/gif;base64,{wanted}"));
    }
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Ok(())
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = FORMATS.iter().filter_map(|(format, _)| made(*format, 9, 7).ok()).collect();
    seeds.push(gif(&[[0; 3], [1; 3]], 3));
    seeds.push(tiff(true, &[(256, 40), (257, 30), (258, 8), (262, 1), (274, 6)]));
    seeds.push(webp(b"VP8X", &[8, 0, 0, 0, 0x37, 4, 0, 0x29, 3, 0]));
    seeds.push(bmp(32, 3, 124, &[]));
    seeds
}

proptest! {
    #[test]
    fn damaged_headers_never_panic(
        which in 0usize..10,
        damage in prop::collection::vec((0usize..128, any::<u8>()), 0..12),
        cut in 0usize..400,
    ) {
        let mut bytes = seeds().swap_remove(which);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(picture) = read(bytes) {
            prop_assert!(picture.facts.width > 0 && picture.facts.height > 0);
            prop_assert!(picture.facts.exif_orientation.is_none_or(|value| (1..=8).contains(&value)));
            let _ = picture.looks_truncated();
        }
    }

    #[test]
    fn recipes_of_any_text_never_panic(text in ".{0,24}") {
        let _ = text.parse::<Synthetic>();
    }
}

#[test]
fn the_seeds_are_pictures() -> Checked {
    assert_eq!(seeds().len(), 10);
    for seed in seeds() {
        let size = image::load_from_memory(&seed).map(|pixels| pixels.dimensions());
        let facts = read(seed)?.facts;
        assert!(size.map_or(true, |size| size == (facts.width, facts.height)), "{}", facts.mime);
    }
    Ok(())
}
