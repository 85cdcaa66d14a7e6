//! Every file of the golden set: what vLLM's loader takes comes out the same in
//! every byte, and what it refuses is refused.

use engine::pixels::{Limits, decode};
use serde::Deserialize;

use crate::{picture, rows, sha};

#[derive(Deserialize)]
struct Row {
    name: String,
    width: Option<u32>,
    height: Option<u32>,
    rgb_sha256: Option<String>,
    /// Pillow's decoder failed and vLLM went on with a part of the picture; here that is refused.
    #[serde(default)]
    damaged: bool,
}

/// Files that vLLM's loader takes and this one refuses, and the word by which it does.
const REFUSED: &[(&str, &str)] = &[
    ("webp_animated_wrong_size.webp", "Inconsistent image sizes"),
    ("jpeg_arithmetic.jpg", "arithmetic coding"),
    ("bmp_dib.bmp", "DIB"),
    ("tiff_ycbcr_tiff_lzw.tif", "kind 6"),
    ("tiff_ycbcr_tiff_adobe_deflate.tif", "kind 6"),
    ("tiff_ycbcr_packbits.tif", "kind 6"),
    ("tiff_lab_raw.tif", "kind 8"),
    ("tiff_1_group3.tif", "fax group 3"),
    ("tiff_1_tiff_ccitt.tif", "CCITT RLE"),
    ("tiff_rgb_lzma.tif", "LZMA"),
    ("tiff_rgb_zstd.tif", "Zstandard"),
    ("other.avif", "AVIF"),
    ("other.ico", "ICO"),
    ("other.ppm", "PPM"),
    ("other.tga", "TGA"),
    ("other.pcx", "PCX"),
    ("other.jpeg2000", "JPEG 2000"),
    ("other.dds", "DDS"),
    ("other.sgi", "SGI"),
    ("other.qoi", "QOI"),
    ("other.im", "IM"),
    ("other.msp", "MSP"),
    ("other.xbm", "XBM"),
];

#[test]
fn every_file_is_what_vllm_makes_of_it() {
    let mut wrong = Vec::new();
    for row in rows::<Row>("files.json") {
        let found = decode(&picture(&row.name), &Limits::default());
        let refused = REFUSED.iter().find(|(name, _)| *name == row.name);
        let expected = row.rgb_sha256.as_ref().filter(|_| !row.damaged);
        let right = match (&found, expected, refused) {
            (Ok(image), Some(expected), None) => {
                Some(image.width) == row.width && Some(image.height) == row.height && sha(&image.pixels) == *expected
            }
            (Err(error), Some(_), Some((_, word))) => error.to_string().contains(word),
            (Err(_), None, None) => true,
            _ => false,
        };
        if !right {
            wrong.push(match found {
                Ok(image) => format!("{}: {} x {}, other levels than expected", row.name, image.width, image.height),
                Err(error) => format!("{}: {error}", row.name),
            });
        }
    }
    assert!(wrong.is_empty(), "{} files differ:\n{}", wrong.len(), wrong.join("\n"));
}
