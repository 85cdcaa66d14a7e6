//! How many prompt tokens an image makes, from its data URL: width and height out of a PNG's or JPEG's header.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use geometry::{Family, Preprocessor};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Image tokens of Qwen2-VL with its published settings; `None` for anything but a PNG or JPEG data URL.
pub(crate) fn image_tokens(url: &str) -> Option<u64> {
    let (_, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let (width, height) = size(&LENIENT.decode(data).ok()?)?;
    Preprocessor::of(Family::Qwen2Vl).geometry(width, height).ok().map(|geometry| geometry.image_tokens)
}

fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let big = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some((big(16)?, big(20)?));
    }
    if !bytes.starts_with(b"\xff\xd8") {
        return None;
    }
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let mut at = 2;
    // Segments until the frame header (ITU T.81, B.2.2).
    loop {
        let marker = word(at)?;
        if matches!(marker, 0xffc0..=0xffcf) && !matches!(marker, 0xffc4 | 0xffc8 | 0xffcc) {
            return Some((u32::from(word(at + 7)?), u32::from(word(at + 5)?)));
        }
        at += 2 + usize::from(word(at + 2)?).max(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_from_headers() {
        let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &1080u32.to_be_bytes(), &810u32.to_be_bytes()].concat();
        let url = format!("data:image/png;base64,{}", LENIENT.encode(&png));
        assert_eq!(image_tokens(&url), Some(1131));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc2\0\x11\x08\x03\x2a\x04\x38\x03";
        assert_eq!(size(jpeg), Some((1080, 810)));
        for bad in ["data:image/png;base64,AAAA", "http://x/y.png", "data:image/png,xx", ""] {
            assert_eq!(image_tokens(bad), None, "{bad}");
        }
    }
}
