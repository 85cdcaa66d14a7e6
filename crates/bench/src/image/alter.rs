//! Pictures made from pictures: another size, the same size made different, inverted colours.
//!
//! The only place that decodes. What comes out is always PNG, so that nothing is lost a second time. It must not
//! decide when a picture is altered: that is the user's demand or the plan's.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, ImageReader};
use measure::image::{AlteredImage, OriginalImage};

use super::synthetic::check_size;
use super::{ImageError, Picture};

/// A cold variant changes cells of a grid of at most so many a side, in the upper left corner.
const GRID: u32 = 8;
/// A cell is this part of the picture's shorter side, so that a server's own scaling does not wash it out.
const CELL_PART: u32 = 64;
/// How far a changed sample moves, in steps of 255.
const SHIFT: u32 = 4;

/// Encodes the picture again at `width` × `height` pixels, by the Lanczos filter of three lobes, as PNG.
///
/// The pixels are scaled as they are stored, and the new file states no EXIF orientation: a server that obeys the
/// orientation and one that does not see the same `width` × `height`. A picture that lay on its side stays so; the
/// facts keep the original orientation in `resized_from`. Colour profiles and further frames are left out.
///
/// # Errors
/// [`ImageError::BadSize`], [`ImageError::Undecodable`], [`ImageError::Unencodable`].
pub fn resize(picture: &Picture, width: u32, height: u32) -> Result<Picture, ImageError> {
    check_size(width.into(), height.into())?;
    let pixels = decode(picture)?.resize_exact(width, height, image::imageops::FilterType::Lanczos3);
    let mut resized = encode(picture, &pixels, None)?;
    let old = &picture.facts;
    resized.facts.resized_from = Some(OriginalImage {
        sha256: old.sha256.clone(),
        width: old.width,
        height: old.height,
        mode: old.mode.clone(),
        mime: old.mime.clone(),
        exif_orientation: old.exif_orientation,
        filter: "lanczos3".to_owned(),
    });
    Ok(resized)
}

/// The same picture at the same size with other pixels, so that no cache of files, pixels or prefixes knows it: in
/// an eighth of the shorter side squared, at the upper left, the cells named by the bits of `index + 1` get
/// 4/255 brighter or darker. Different numbers give different pixels by construction, and none gives the original.
///
/// The orientation is carried over, so that a server treats the variant as it would the original. Where the
/// picture is see-through, a changed cell is laid on white first, as servers do, or the change would not show.
/// A run that must be cold on a server that saw an earlier run passes numbers that the earlier one did not use.
///
/// # Errors
/// [`ImageError::TooSmallToVary`] where the picture has not enough cells for the number (64 from 8×8 pixels on),
/// [`ImageError::Undecodable`], [`ImageError::Unencodable`].
pub fn cold_variant(picture: &Picture, index: u64) -> Result<Picture, ImageError> {
    let mut pixels = decode(picture)?;
    let (width, height) = (pixels.width(), pixels.height());
    let (columns, rows) = (width.min(GRID), height.min(GRID));
    let cells = columns * rows;
    let pattern = index.checked_add(1).filter(|pattern| cells >= 64 || pattern >> cells == 0);
    let Some(pattern) = pattern else {
        let name = picture.facts.name.clone();
        return Err(ImageError::TooSmallToVary { name, width, height, index });
    };
    let side = (width.min(height) / CELL_PART).max(1);
    let block = Block { width, columns, rows, side, pattern };
    match &mut pixels {
        DynamicImage::ImageLuma8(buffer) => block.shift(buffer.as_mut(), 1, false, 255),
        DynamicImage::ImageLumaA8(buffer) => block.shift(buffer.as_mut(), 2, true, 255),
        DynamicImage::ImageRgb8(buffer) => block.shift(buffer.as_mut(), 3, false, 255),
        DynamicImage::ImageRgba8(buffer) => block.shift(buffer.as_mut(), 4, true, 255),
        DynamicImage::ImageLuma16(buffer) => block.shift(buffer.as_mut(), 1, false, 65535),
        DynamicImage::ImageLumaA16(buffer) => block.shift(buffer.as_mut(), 2, true, 65535),
        DynamicImage::ImageRgb16(buffer) => block.shift(buffer.as_mut(), 3, false, 65535),
        DynamicImage::ImageRgba16(buffer) => block.shift(buffer.as_mut(), 4, true, 65535),
        // `decode` brings every other kind to one of these.
        _ => return Err(undecodable(picture, "unknown kind of pixels")),
    }
    altered(picture, &pixels, format!("cold variant {index}"))
}

/// The picture with every colour inverted, transparency kept, at the same size and orientation.
///
/// # Errors
/// [`ImageError::Undecodable`], [`ImageError::Unencodable`].
pub fn inverted(picture: &Picture) -> Result<Picture, ImageError> {
    let mut pixels = decode(picture)?;
    pixels.invert();
    altered(picture, &pixels, "inverted".to_owned())
}

/// The cells to change.
struct Block {
    width: u32,
    columns: u32,
    rows: u32,
    side: u32,
    pattern: u64,
}

impl Block {
    /// Moves every sample of the cells whose bit is set toward the middle of its range, so that none is clipped.
    fn shift<T>(&self, samples: &mut [T], channels: usize, has_alpha: bool, max: u32)
    where
        T: Copy + Into<u32> + TryFrom<u32>,
    {
        let row_len = self.width as usize * channels;
        let rows = samples.chunks_exact_mut(row_len).take((self.rows * self.side) as usize);
        for (y, row) in rows.enumerate() {
            let pixels = row.chunks_exact_mut(channels).take((self.columns * self.side) as usize);
            for (x, pixel) in pixels.enumerate() {
                let cell = (y as u32 / self.side) * self.columns + x as u32 / self.side;
                if self.pattern >> cell & 1 == 1 {
                    shift_pixel(pixel, has_alpha, max);
                }
            }
        }
    }
}

fn shift_pixel<T: Copy + Into<u32> + TryFrom<u32>>(pixel: &mut [T], has_alpha: bool, max: u32) {
    let (colours, alpha) = match pixel.split_last_mut() {
        Some((alpha, colours)) if has_alpha => (colours, Some(alpha)),
        _ => (pixel, None),
    };
    // Of 16 bits: 65535 squared still fits.
    let opacity = alpha.as_ref().map_or(max, |alpha| (**alpha).into());
    for sample in colours {
        let seen = (*sample).into() * opacity / max + (max - opacity);
        let step = SHIFT * (max / 255);
        let moved = if seen <= max / 2 { seen + step } else { seen - step };
        *sample = T::try_from(moved).unwrap_or(*sample);
    }
    if let Some(alpha) = alpha {
        *alpha = T::try_from(max).unwrap_or(*alpha);
    }
}

/// Pixels as stored, of the first frame, 8 or 16 bits a sample, with alpha only where the file's mode has it: a
/// server that turns a palette into RGB takes no notice of its transparency either.
fn decode(picture: &Picture) -> Result<DynamicImage, ImageError> {
    let format = ImageFormat::from_mime_type(&picture.facts.mime)
        .ok_or_else(|| undecodable(picture, "its format is not known"))?;
    let pixels = ImageReader::with_format(Cursor::new(&picture.bytes), format)
        .decode()
        .map_err(|error| undecodable(picture, &error.to_string()))?;
    let keeps_alpha = picture.facts.mode.ends_with('A');
    Ok(match pixels {
        DynamicImage::ImageLumaA8(_) if !keeps_alpha => DynamicImage::ImageLuma8(pixels.into_luma8()),
        DynamicImage::ImageRgba8(_) if !keeps_alpha => DynamicImage::ImageRgb8(pixels.into_rgb8()),
        DynamicImage::ImageLumaA16(_) if !keeps_alpha => DynamicImage::ImageLuma16(pixels.into_luma16()),
        DynamicImage::ImageRgba16(_) if !keeps_alpha => DynamicImage::ImageRgb16(pixels.into_rgb16()),
        DynamicImage::ImageRgb32F(_) => DynamicImage::ImageRgb8(pixels.into_rgb8()),
        DynamicImage::ImageRgba32F(_) => DynamicImage::ImageRgba8(pixels.into_rgba8()),
        other => other,
    })
}

fn undecodable(picture: &Picture, why: &str) -> ImageError {
    ImageError::Undecodable { name: picture.facts.name.clone(), why: why.to_owned() }
}

fn altered(picture: &Picture, pixels: &DynamicImage, how: String) -> Result<Picture, ImageError> {
    let mut altered = encode(picture, pixels, picture.facts.exif_orientation)?;
    altered.facts.resized_from.clone_from(&picture.facts.resized_from);
    altered.facts.altered = Some(AlteredImage { how, from_sha256: picture.facts.sha256.clone() });
    Ok(altered)
}

fn encode(from: &Picture, pixels: &DynamicImage, orientation: Option<u8>) -> Result<Picture, ImageError> {
    let color = pixels.color().into();
    let size = (pixels.width(), pixels.height());
    let bytes = encode_png(&from.facts.name, pixels.as_bytes(), size, color, orientation)?;
    let mut picture = Picture::from_bytes(&from.facts.name, bytes)?;
    picture.facts.synthetic.clone_from(&from.facts.synthetic);
    Ok(picture)
}

/// PNG by the fast setting: these files live for one run, and their number is the run's.
pub(crate) fn encode_png(
    name: &str,
    samples: &[u8],
    (width, height): (u32, u32),
    color: ExtendedColorType,
    orientation: Option<u8>,
) -> Result<Bytes, ImageError> {
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive);
    let fail = |why: String| ImageError::Unencodable { name: name.to_owned(), why };
    if let Some(orientation) = orientation {
        encoder.set_exif_metadata(exif(orientation)).map_err(|error| fail(error.to_string()))?;
    }
    encoder.write_image(samples, width, height, color).map_err(|error| fail(error.to_string()))?;
    Ok(png.into())
}

/// The smallest EXIF block (TIFF 6.0, little endian): one directory with one entry, tag 0x0112, one SHORT.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use image::metadata::Orientation;
    use image::{ImageDecoder as _, Luma, LumaA, Rgb, RgbImage, Rgba};

    use super::*;

    type Checked = Result<(), Box<dyn Error>>;

    fn picture(pixels: DynamicImage, format: ImageFormat) -> Result<Picture, Box<dyn Error>> {
        let mut bytes = Cursor::new(Vec::new());
        pixels.write_to(&mut bytes, format)?;
        Ok(Picture::from_bytes("made", bytes.into_inner().into())?)
    }

    fn ramp(width: u32, height: u32) -> DynamicImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, (x + y) as u8])).into()
    }

    fn pixels(picture: &Picture) -> Result<DynamicImage, Box<dyn Error>> {
        Ok(image::load_from_memory(&picture.bytes)?)
    }

    #[test]
    fn resized_has_the_size_asked_for_and_says_what_it_was() -> Checked {
        let original = picture(ramp(60, 40), ImageFormat::Jpeg)?;
        let resized = resize(&original, 31, 17)?;
        assert_eq!((pixels(&resized)?.width(), pixels(&resized)?.height()), (31, 17));
        assert_eq!((resized.facts.width, resized.facts.height, resized.facts.mime.as_str()), (31, 17, "image/png"));
        let from = resized.facts.resized_from.ok_or("no original")?;
        assert_eq!((from.width, from.height, from.mime.as_str()), (60, 40, "image/jpeg"));
        assert_eq!((&from.sha256, from.filter.as_str()), (&original.facts.sha256, "lanczos3"));
        assert!(matches!(resize(&original, 0, 5), Err(ImageError::BadSize { width: 0, height: 5 })));
        Ok(())
    }

    #[test]
    fn the_orientation_goes_with_variants_and_not_with_another_size() -> Checked {
        for orientation in 1..=8 {
            let source = encode(&picture(ramp(20, 10), ImageFormat::Png)?, &ramp(20, 10), Some(orientation))?;
            assert_eq!(source.facts.exif_orientation, Some(orientation));
            // The library's own reader agrees.
            let mut decoder = ImageReader::with_format(Cursor::new(&source.bytes), ImageFormat::Png).into_decoder()?;
            assert_eq!(Some(decoder.orientation()?), Orientation::from_exif(orientation));
            assert_eq!(cold_variant(&source, 3)?.facts.exif_orientation, Some(orientation));
            assert_eq!(inverted(&source)?.facts.exif_orientation, Some(orientation));
            let resized = resize(&source, 5, 5)?.facts;
            assert_eq!(resized.exif_orientation, None);
            assert_eq!(resized.resized_from.and_then(|from| from.exif_orientation), Some(orientation));
        }
        Ok(())
    }

    #[test]
    fn cold_variants_differ_in_pixels_by_4_and_only_in_the_corner() -> Checked {
        let original = picture(ramp(256, 192), ImageFormat::Png)?;
        let before = pixels(&original)?.into_rgb8();
        let mut seen = std::collections::HashSet::from([before.as_raw().clone()]);
        for index in (0..20).chain([1 << 40, u64::MAX - 1]) {
            let variant = cold_variant(&original, index)?;
            assert_eq!((variant.facts.width, variant.facts.height, variant.facts.mode.as_str()), (256, 192, "RGB"));
            let how = variant.facts.altered.clone().ok_or("not said")?;
            assert_eq!((how.how, how.from_sha256), (format!("cold variant {index}"), original.facts.sha256.clone()));
            let after = pixels(&variant)?.into_rgb8();
            // Cells of 192 / 64 = 3 pixels, eight a side.
            for (x, y, now) in after.enumerate_pixels() {
                let was = before.get_pixel(x, y);
                let moved = was.0.iter().zip(now.0).map(|(a, b)| a.abs_diff(b)).max();
                assert!(moved == Some(0) || (moved == Some(4) && x < 24 && y < 24), "{index} at {x},{y}");
            }
            assert!(seen.insert(after.into_raw()), "{index} was there before");
            assert_eq!(cold_variant(&original, index)?, variant);
        }
        Ok(())
    }

    #[test]
    fn each_kind_of_pixels_keeps_its_mode_and_shows_the_change() -> Checked {
        let check = |pixels: DynamicImage, mode: &str| -> Checked {
            let original = picture(pixels, ImageFormat::Png)?;
            assert_eq!(original.facts.mode, mode);
            let variant = cold_variant(&original, u64::MAX - 1)?;
            assert_eq!(variant.facts.mode, mode);
            // Laid on white and cut to eight bits, as a server does it, every pixel of the corner has changed.
            let on_white = |picture: &Picture| -> Result<Vec<u32>, Box<dyn Error>> {
                let rgba = image::load_from_memory(&picture.bytes)?.into_rgba8();
                Ok(rgba.pixels().map(|p| (u32::from(p[0]) * u32::from(p[3])) / 255 + 255 - u32::from(p[3])).collect())
            };
            let same = on_white(&original)?.iter().zip(on_white(&variant)?).filter(|(a, b)| **a == *b).count();
            assert_eq!(same, 0, "{mode}");
            Ok(())
        };
        check(DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(8, 8, Luma([200]))), "L")?;
        check(DynamicImage::ImageLumaA8(image::ImageBuffer::from_pixel(8, 8, LumaA([10, 0]))), "LA")?;
        check(DynamicImage::ImageRgb8(image::ImageBuffer::from_pixel(8, 8, Rgb([255, 0, 127]))), "RGB")?;
        check(DynamicImage::ImageRgba8(image::ImageBuffer::from_pixel(8, 8, Rgba([0, 0, 0, 0]))), "RGBA")?;
        check(DynamicImage::ImageRgba8(image::ImageBuffer::from_pixel(8, 8, Rgba([9, 9, 9, 128]))), "RGBA")?;
        check(DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(8, 8, Luma([65535]))), "I;16")?;
        check(DynamicImage::ImageRgba16(image::ImageBuffer::from_pixel(8, 8, Rgba([1, 2, 3, 65535]))), "RGBA")
    }

    #[test]
    fn a_picture_too_small_for_the_number_is_refused() -> Checked {
        let tiny = picture(ramp(2, 1), ImageFormat::Png)?;
        // Two cells: patterns 1, 2 and 3.
        for (index, is_possible) in [(0, true), (2, true), (3, false), (u64::MAX, false)] {
            assert_eq!(cold_variant(&tiny, index).is_ok(), is_possible, "{index}");
        }
        Ok(())
    }

    #[test]
    fn inverted_is_255_less_and_twice_is_the_same() -> Checked {
        let original = picture(ramp(30, 20), ImageFormat::Png)?;
        let negative = inverted(&original)?;
        for (was, now) in pixels(&original)?.as_bytes().iter().zip(pixels(&negative)?.as_bytes()) {
            assert_eq!(u32::from(*was) + u32::from(*now), 255);
        }
        assert_eq!(pixels(&inverted(&negative)?)?, pixels(&original)?);
        assert_eq!(negative.facts.altered.map(|altered| altered.how).as_deref(), Some("inverted"));
        Ok(())
    }

    #[test]
    fn what_cannot_be_decoded_is_said() -> Checked {
        let mut cut = picture(ramp(64, 64), ImageFormat::Png)?;
        cut.bytes.truncate(60);
        assert!(matches!(inverted(&cut), Err(ImageError::Undecodable { .. })));
        Ok(())
    }
}
