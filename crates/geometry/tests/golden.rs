//! Every size of the golden file, as Hugging Face transformers resizes it.

use geometry::{Family, Grid, ImageGeometry, Preprocessor, smart_resize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    families: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    name: String,
    preprocessor: serde_json::Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    /// width, height, resized width, resized height, patches, grid of the real processor
    Resized(u32, u32, u32, u32, u64, Option<(u32, u32, u32)>),
    /// width, height, "refused"
    Refused(u32, u32, String),
}

fn check(settings: &Preprocessor, name: &str, case: &Case) {
    match case {
        Case::Refused(width, height, word) => {
            assert_eq!(word, "refused", "{name} {width}x{height}");
            let found = settings.geometry(*width, *height);
            assert!(found.is_err(), "{name} {width}x{height}: {found:?}");
        }
        Case::Resized(width, height, resized_width, resized_height, patches, grid) => {
            let found = settings.geometry(*width, *height);
            let expected = ImageGeometry {
                width: *width,
                height: *height,
                resized_width: *resized_width,
                resized_height: *resized_height,
                grid: Grid {
                    t: grid.map_or(1, |grid| grid.0),
                    h: grid.map_or(resized_height / settings.patch_size(), |grid| grid.1),
                    w: grid.map_or(resized_width / settings.patch_size(), |grid| grid.2),
                },
                image_tokens: patches / 4,
            };
            assert_eq!(found, Ok(expected), "{name}");
            assert_eq!(found.map(|found| found.patches()), Ok(*patches), "{name}");
        }
    }
}

#[test]
fn sizes_are_those_of_transformers() {
    let text = include_str!("../../../tests/data/geometry/smart_resize.json");
    let golden: Golden = serde_json::from_str(text).unwrap();
    let mut checked = 0;
    for block in &golden.families {
        let family = Family::from_model_type(&block.name);
        let settings = block.preprocessor.to_string();
        let settings = Preprocessor::from_json(&settings, family.or(Some(Family::Qwen2Vl))).unwrap();
        // The published settings are built in, so the golden's must be the same.
        if let Some(family) = family {
            assert_eq!(settings, Preprocessor::of(family));
        }
        for case in &block.cases {
            check(&settings, &block.name, case);
            checked += 1;
        }
    }
    assert!(checked > 1000, "{checked} cases");
}

#[test]
fn height_comes_first() {
    assert_eq!(smart_resize(810, 1080, 28, 3136, 12_845_056), Ok((812, 1092)));
}
