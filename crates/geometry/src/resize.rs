//! The rule by which Qwen-VL image processors choose the size a picture is
//! resized to: `smart_resize` of Hugging Face transformers (Qwen2-VL image
//! processor). It must not know patches, grids, tokens or families.
//!
//! Rounding to multiples is done in integers, half to even as Python's
//! `round`. The two limits need a square root; there each operation on `f64`
//! stands in the order of the Python code, so that every bit agrees. All
//! inputs are bounded so that they and their products are exact in `f64`.

use crate::Error;

/// The longest side of a picture that is accepted, in pixels (2^26): the
/// product of two sides stays exact in `f64`.
pub const SIDE_MAX: u32 = 1 << 26;

/// The longest side may be this many times the shortest one, and no more.
pub const ASPECT_RATIO_MAX: u32 = 200;

/// The greatest value of `min_pixels` and `max_pixels`, in pixels (2^52).
pub const PIXELS_LIMIT_MAX: u64 = 1 << 52;

/// The greatest multiple that sides are rounded to, in pixels.
pub(crate) const FACTOR_MAX: u32 = 1 << 16;

/// The size a picture of `height` x `width` pixels is resized to, as (height, width) in pixels.
///
/// Both sides of the result are multiples of `factor` (patch size x merge size);
/// their product lies between `min_pixels` and `max_pixels` wherever that is
/// possible at the picture's aspect ratio, which is kept as well as can be.
///
/// # Errors
/// [`Error::EmptyPicture`], [`Error::PictureTooLarge`] and [`Error::AspectRatio`]
/// for the picture; [`Error::Setting`] if `factor` is not 1 to 65536,
/// `min_pixels` is not 1 to 2^52 or `max_pixels` is not `min_pixels` to 2^52.
pub fn smart_resize(
    height: u32,
    width: u32,
    factor: u32,
    min_pixels: u64,
    max_pixels: u64,
) -> Result<(u32, u32), Error> {
    check_picture(height, width)?;
    check_setting("patch_size x merge_size", factor.into(), 1, FACTOR_MAX.into())?;
    check_limits(min_pixels, max_pixels)?;

    let rounded = (round_to_multiple(height, factor), round_to_multiple(width, factor));
    let pixels = u64::from(rounded.0) * u64::from(rounded.1);
    let area = exact(u64::from(height) * u64::from(width));
    if pixels > max_pixels {
        let beta = (area / exact(max_pixels)).sqrt();
        let shrink = |side: u32| (f64::from(side) / beta / f64::from(factor)).floor();
        let side = |side: u32| multiple(shrink(side), factor).max(factor);
        Ok((side(height), side(width)))
    } else if pixels < min_pixels {
        let beta = (exact(min_pixels) / area).sqrt();
        let grow = |side: u32| (f64::from(side) * beta / f64::from(factor)).ceil();
        let side = |side: u32| multiple(grow(side), factor);
        Ok((side(height), side(width)))
    } else {
        Ok(rounded)
    }
}

/// Both limits in their range, and in their order.
pub(crate) fn check_limits(min_pixels: u64, max_pixels: u64) -> Result<(), Error> {
    check_setting("min_pixels", min_pixels, 1, PIXELS_LIMIT_MAX)?;
    check_setting("max_pixels", max_pixels, min_pixels, PIXELS_LIMIT_MAX)
}

/// One setting in its range.
pub(crate) fn check_setting(name: &'static str, given: u64, least: u64, most: u64) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::Setting { name, given, least, most })
}

fn check_picture(height: u32, width: u32) -> Result<(), Error> {
    let (short, long) = (height.min(width), height.max(width));
    if short == 0 {
        Err(Error::EmptyPicture { width, height })
    } else if long > SIDE_MAX {
        Err(Error::PictureTooLarge { width, height })
    } else if u64::from(long) > u64::from(short) * u64::from(ASPECT_RATIO_MAX) {
        Err(Error::AspectRatio { width, height })
    } else {
        Ok(())
    }
}

/// The multiple of `factor` nearest to `side`; of two equally near ones the even multiple.
fn round_to_multiple(side: u32, factor: u32) -> u32 {
    let (below, rest) = (side / factor, side % factor);
    let up = match (rest * 2).cmp(&factor) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Equal => below % 2,
        std::cmp::Ordering::Greater => 1,
    };
    (below + up) * factor
}

/// An integer of at most 2^52 as the same number in `f64`.
fn exact(number: u64) -> f64 {
    debug_assert!(number <= PIXELS_LIMIT_MAX);
    number as f64
}

/// `count` (a whole number, not negative) times `factor`.
///
/// A side grows to at most sqrt(200 x 2^52) < 2^30 pixels, so neither the
/// conversion nor the product is cut; if that were ever wrong they saturate.
fn multiple(count: f64, factor: u32) -> u32 {
    (count as u32).saturating_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_multiple() {
        let check = |side, factor, expected| {
            assert_eq!(round_to_multiple(side, factor), expected, "{side} by {factor}");
        };
        // 14/28 = 0.5, 42/28 = 1.5, 70/28 = 2.5, 98/28 = 3.5, 126/28 = 4.5
        check(14, 28, 0);
        check(42, 28, 56);
        check(70, 28, 56);
        check(98, 28, 112);
        check(126, 28, 112);
        check(13, 28, 0);
        check(15, 28, 28);
        check(69, 28, 56);
        check(71, 28, 84);
        check(48, 32, 64);
        check(80, 32, 64);
        check(7, 3, 6);
        check(8, 3, 9);
        check(5, 1, 5);
        check(SIDE_MAX, FACTOR_MAX, SIDE_MAX);
    }

    #[test]
    fn refusals_say_what_was_given() {
        let check = |height, width, factor, min, max, expected: &str| {
            let error = smart_resize(height, width, factor, min, max).map_err(|e| e.to_string());
            assert!(
                error.as_ref().is_err_and(|words| words.starts_with(expected)),
                "{error:?} should start with {expected}"
            );
        };
        check(0, 5, 28, 3136, 12845056, "picture of 5x0 px: each side");
        check(5, 0, 28, 3136, 12845056, "picture of 0x5 px: each side");
        check(5, 2000, 28, 3136, 12845056, "picture of 2000x5 px: the long side");
        check(201, 1, 28, 3136, 12845056, "picture of 1x201 px: the long side");
        check(u32::MAX, u32::MAX, 28, 1, 1, "picture of 4294967295x4294967295 px: a side");
        check(9, 9, 0, 1, 1, "patch_size x merge_size = 0: allowed is 1 to 65536");
        check(9, 9, 65537, 1, 1, "patch_size x merge_size = 65537");
        check(9, 9, 28, 0, 1, "min_pixels = 0: allowed is 1 to");
        check(9, 9, 28, 10, 9, "max_pixels = 9: allowed is 10 to");
        check(9, 9, 28, 1, u64::MAX, "max_pixels = 18446744073709551615");
    }

    #[test]
    fn extreme_limits_neither_panic_nor_vanish() {
        let check = |height, width, factor, min, max, expected| {
            assert_eq!(smart_resize(height, width, factor, min, max), Ok(expected));
        };
        check(1, 1, FACTOR_MAX, 1, 1, (FACTOR_MAX, FACTOR_MAX));
        check(SIDE_MAX, SIDE_MAX, 28, 1, 1, (28, 28));
        check(SIDE_MAX, SIDE_MAX, 1, 1, PIXELS_LIMIT_MAX, (SIDE_MAX, SIDE_MAX));
        // 1:200 grown to 2^52 pixels: sides of sqrt(2^52 / 200) and 200 times that.
        let side = 4_745_314_u32; // ceil(2^26 / sqrt(200)) = ceil(4745313.28…)
        check(200, 1, 1, PIXELS_LIMIT_MAX, PIXELS_LIMIT_MAX, (949_062_657, side));
    }
}
