//! The tiny checkpoint of the test data and what transformers computed with it, for every test target that needs it.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

/// Prompts without and with pictures.
pub(crate) const CASES: [&str; 8] = [
    "text_short",
    "text_long",
    "image_28x28",
    "image_70x70",
    "image_98x98",
    "image_126x98",
    "strip_2000x10",
    "two_images",
];
/// `image_token_id` of the checkpoint.
pub(crate) const IMAGE: u32 = 1995;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-qwen2-vl")
}

/// `goldens.safetensors`.
pub(crate) struct Goldens(Vec<u8>);

impl Goldens {
    pub(crate) fn read() -> Self {
        Self(std::fs::read(folder().join("goldens.safetensors")).unwrap())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).is_ok()
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data().to_vec()
    }

    pub(crate) fn f32s(&self, name: &str) -> Vec<f32> {
        self.bytes(name).as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn i32s(&self, name: &str) -> Vec<i32> {
        self.bytes(name).as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect()
    }

    pub(crate) fn u32s(&self, name: &str) -> Vec<u32> {
        self.i32s(name).into_iter().map(|value| u32::try_from(value).unwrap()).collect()
    }
}
