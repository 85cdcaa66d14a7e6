//! The picture that the documents use is one of this generator's.

use engine::pixels::{Limits, decode};
use scenes::{Facts, Language, Split, View, describe, draw};
use std::path::Path;

/// `vlm-benchmark scenes FOLDER --first 1140194 --count 1` draws it.
const NUMBER: u64 = 1_140_194;

#[test]
fn the_example_is_redrawn_pixel_for_pixel_and_its_truth_is_the_scenes() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let picture = decode(&std::fs::read(folder.join("test.png")).unwrap(), &Limits::default()).unwrap();
    let truth: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("test.json")).unwrap()).unwrap();
    let seed = Split::HeldOut.seed(NUMBER);
    let facts = Facts::of(seed);
    assert_eq!(serde_json::to_value(&facts).unwrap(), truth["facts"]);
    assert_eq!((&truth["file"], &truth["seed"]), (&"test.png".into(), &seed.into()));
    assert_eq!(truth["zh"], describe(&facts, Language::Chinese, None));
    assert_eq!(truth["en"], describe(&facts, Language::English, None));
    let drawn = draw(&facts, seed, &View::PLAIN).unwrap().image;
    assert_eq!((drawn.width, drawn.height), (picture.width, picture.height));
    assert!(drawn.pixels == picture.pixels, "the pixels differ");
}
