//! Pixels against the real tools: every file of the golden set against vLLM's image
//! loader, resizing against torchvision, patches against transformers, and files
//! that are cut or altered. It must not read outside the tree.

mod decoding;
mod hostile;
mod resizing;

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// The rows of a golden file of `tests/data/pixels`.
fn rows<Row: DeserializeOwned>(name: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(folder().join(name)).expect("the golden file is there");
    let file: serde_json::Value = serde_json::from_str(&text).expect("the golden file is JSON");
    serde_json::from_value(file["rows"].clone()).expect("the rows are as pixels.py writes them")
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pixels")
}

fn picture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join("files").join(name)).expect("the picture is there")
}

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
