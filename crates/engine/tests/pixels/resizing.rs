//! Resizing and patches against torchvision and transformers, on pictures that both
//! sides draw by one formula.

use engine::pixels::{Normalisation, RgbImage, preprocess, resize};
use geometry::{Family, Preprocessor};
use serde::Deserialize;

use crate::{rows, sha};

/// The picture of `noise` in tools/goldens/pixels.py.
fn noise(width: u32, height: u32) -> RgbImage {
    let level = |x: u64, y: u64, c: u64| {
        let mixed = (x * 2_654_435_761 + y * 40_503 + c * 977) % (1 << 32);
        let mixed = (mixed ^ (mixed >> 15)) * 2_246_822_519 % (1 << 32);
        match (y / 16 + x / 16) % 3 {
            0 => (x * 5 + y * 3 + c * 80) % 256,
            1 => (mixed >> 13) % 256,
            _ => (x / 9 + y / 7 + c) % 2 * 255,
        }
    };
    let places = (0..u64::from(height)).flat_map(|y| (0..u64::from(width)).map(move |x| (x, y)));
    let pixels = places.flat_map(|(x, y)| [0, 1, 2].map(|c| level(x, y, c) as u8)).collect();
    RgbImage { width, height, pixels }
}

#[test]
fn resizing_is_that_of_torchvision() {
    for (width, height, new_width, new_height, expected) in rows::<(u32, u32, u32, u32, String)>("resize.json") {
        let out = resize(&noise(width, height), new_width, new_height);
        assert_eq!((out.width, out.height), (new_width, new_height));
        assert_eq!(sha(&out.pixels), expected, "{width} x {height} to {new_width} x {new_height}");
    }
}

#[derive(Deserialize)]
struct Row {
    width: u32,
    height: u32,
    preprocessor: serde_json::Value,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
    grid: [u32; 3],
    shape: [usize; 2],
    sha256: String,
}

#[test]
fn patches_are_those_of_transformers() {
    for row in rows::<Row>("patches.json") {
        let settings = row.preprocessor.to_string();
        let preprocessor = Preprocessor::from_json(&settings, Some(Family::Qwen2Vl)).expect("settings of transformers");
        let clip = Normalisation::CLIP;
        let normalisation =
            Normalisation { mean: row.image_mean.unwrap_or(clip.mean), std: row.image_std.unwrap_or(clip.std), ..clip };
        let patches = preprocess(&noise(row.width, row.height), &preprocessor, &normalisation).expect("a fair size");
        let grid = patches.geometry.grid;
        assert_eq!([grid.t, grid.h, grid.w], row.grid);
        assert_eq!(patches.values.len(), row.shape[0] * row.shape[1]);
        let bytes: Vec<u8> = patches.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(sha(&bytes), row.sha256, "{} x {}, {settings}", row.width, row.height);
    }
}
