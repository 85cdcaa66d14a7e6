//! What a record says about one picture: its name, its fingerprint, its size and how its bytes came to be.
//!
//! Plain facts only. It must not know how a picture is read, decoded or sent, and it holds no pixels.

use serde::{Deserialize, Serialize};

/// Everything that is recorded about one picture that was sent. The picture itself is never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The path or the recipe as it was typed.
    pub name: String,
    /// SHA-256 of the bytes that are sent, 64 hexadecimal digits in lower case.
    pub sha256: String,
    /// Width in pixels as stored, before any EXIF orientation is obeyed.
    pub width: u32,
    /// Height in pixels as stored, before any EXIF orientation is obeyed.
    pub height: u32,
    /// Kind of pixels by Pillow's names: `RGB`, `RGBA`, `L`, `LA`, `P`, `1`, `CMYK`, `I;16`, …
    pub mode: String,
    /// MIME type of the content, for instance `image/png`; never taken from the name.
    pub mime: String,
    /// EXIF orientation, 1 to 8; `None` where the file does not state one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif_orientation: Option<u8>,
    /// Number of bytes that are sent, before base64.
    pub bytes: u64,
    /// Number of frames or pages where the file holds more than one, otherwise `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub animated: Option<u32>,
    /// The file as it was before the user asked for another size; `None` where it is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized_from: Option<OriginalImage>,
    /// How and from what these pixels were altered (cold runs, image proof); `None` where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altered: Option<AlteredImage>,
    /// The recipe of a picture that was made and not read, such as `photo:1024x768 seed 7 index 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<String>,
}

/// The file behind a picture that was encoded again at another size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalImage {
    /// SHA-256 of the original bytes, hexadecimal.
    pub sha256: String,
    /// Original width in pixels as stored.
    pub width: u32,
    /// Original height in pixels as stored.
    pub height: u32,
    /// Original mode by Pillow's names.
    pub mode: String,
    /// Original MIME type.
    pub mime: String,
    /// Original EXIF orientation; the new file states none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif_orientation: Option<u8>,
    /// Name of the filter that made the new pixels, for instance `lanczos3`.
    pub filter: String,
}

/// How pixels were altered at an unchanged size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlteredImage {
    /// What was done: `cold variant 7` or `inverted`.
    pub how: String,
    /// SHA-256 of the bytes the alteration started from, hexadecimal.
    pub from_sha256: String,
}

impl ImageFacts {
    /// Width and height in pixels that a server sees which obeys the EXIF orientation: orientations 5 to 8 lie
    /// on their side, so that the two change places (EXIF 2.32, tag 0x0112). Otherwise the size as stored.
    #[must_use]
    pub fn turned_size(&self) -> (u32, u32) {
        match self.exif_orientation {
            Some(5..=8) => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// Whether a server that obeys the EXIF orientation shows the model other pixels than those stored (it turns
    /// or mirrors them), even where the size stays the same.
    #[must_use]
    pub fn is_turned(&self) -> bool {
        matches!(self.exif_orientation, Some(2..=8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(exif_orientation: Option<u8>) -> ImageFacts {
        ImageFacts {
            name: "a.jpg".into(),
            sha256: "00".repeat(32),
            width: 40,
            height: 30,
            mode: "RGB".into(),
            mime: "image/jpeg".into(),
            exif_orientation,
            bytes: 7,
            animated: None,
            resized_from: None,
            altered: None,
            synthetic: None,
        }
    }

    #[test]
    fn a_server_that_obeys_exif_swaps_the_sides_for_5_to_8_only() {
        let cases = [(None, (40, 30), false), (Some(1), (40, 30), false), (Some(2), (40, 30), true)];
        for (orientation, size, turned) in cases {
            assert_eq!((facts(orientation).turned_size(), facts(orientation).is_turned()), (size, turned));
        }
        for orientation in 3..=8 {
            let size = if orientation < 5 { (40, 30) } else { (30, 40) };
            let seen = facts(Some(orientation));
            assert_eq!((seen.turned_size(), seen.is_turned()), (size, true), "{orientation}");
        }
    }

    #[test]
    fn json_leaves_out_what_is_missing_and_reads_back_the_same() -> Result<(), serde_json::Error> {
        let plain = facts(None);
        let text = serde_json::to_string(&plain)?;
        assert!(!text.contains("exif_orientation") && !text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<ImageFacts>(&text)?, plain);
        let full = ImageFacts {
            animated: Some(3),
            altered: Some(AlteredImage { how: "inverted".into(), from_sha256: "11".repeat(32) }),
            ..facts(Some(6))
        };
        assert_eq!(serde_json::from_str::<ImageFacts>(&serde_json::to_string(&full)?)?, full);
        Ok(())
    }
}
