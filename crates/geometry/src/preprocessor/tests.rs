//! Cases of reading `preprocessor_config.json`: old and new keys, families, refusals.

use super::*;

/// (family, patch, merge, temporal, min, max) of a text, or the head of the refusal.
fn check(text: &str, family: Option<Family>, expected: Result<(Family, [u64; 5]), &str>) {
    let found = Preprocessor::from_json(text, family);
    match (found, expected) {
        (Ok(p), Ok((family, [patch, merge, temporal, min, max]))) => {
            assert_eq!(p.family(), family, "{text}");
            assert_eq!(u64::from(p.patch_size()), patch, "{text}");
            assert_eq!(u64::from(p.merge_size()), merge, "{text}");
            assert_eq!(u64::from(p.temporal_patch_size()), temporal, "{text}");
            assert_eq!((p.min_pixels(), p.max_pixels()), (min, max), "{text}");
        }
        (Err(error), Err(head)) => {
            assert!(error.to_string().starts_with(head), "{error} for {text}");
        }
        (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
    }
}

const QWEN2: [u64; 5] = [14, 2, 2, 3136, 12_845_056];
const QWEN3: [u64; 5] = [16, 2, 2, 65_536, 16_777_216];

#[test]
fn published_files() {
    let qwen2 = r#"{"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14,
        "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}"#;
    let qwen2_5 = r#"{"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14,
        "temporal_patch_size": 2, "merge_size": 2,
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}"#;
    let qwen3 = r#"{"size": {"longest_edge": 16777216, "shortest_edge": 65536}, "patch_size": 16,
        "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5, 0.5, 0.5],
        "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast"}"#;
    check(qwen2, None, Ok((Family::Qwen2Vl, QWEN2)));
    check(qwen2_5, None, Ok((Family::Qwen2_5Vl, QWEN2)));
    check(qwen3, None, Ok((Family::Qwen3Vl, QWEN3)));
    // config.json has the last word on the family, the file on the numbers.
    check(qwen2, Some(Family::Qwen2_5Vl), Ok((Family::Qwen2_5Vl, QWEN2)));
}

#[test]
fn missing_fields_are_the_family_s() {
    check("{}", Some(Family::Qwen2Vl), Ok((Family::Qwen2Vl, QWEN2)));
    check("{}", Some(Family::Qwen3Vl), Ok((Family::Qwen3Vl, QWEN3)));
    let nulls = r#"{"size": null, "patch_size": null, "min_pixels": null}"#;
    check(nulls, Some(Family::Qwen2Vl), Ok((Family::Qwen2Vl, QWEN2)));
    let only_type = r#"{"image_processor_type": "Qwen2VLImageProcessorFast"}"#;
    check(only_type, None, Ok((Family::Qwen2Vl, QWEN2)));
    for family in Family::ALL {
        assert_eq!(Preprocessor::from_json("{}", Some(family)), Ok(Preprocessor::of(family)));
    }
}

#[test]
fn limits_from_old_and_new_keys() {
    let family = Some(Family::Qwen2Vl);
    let limits = |text: &str, min, max| check(text, family, Ok((Family::Qwen2Vl, [14, 2, 2, min, max])));
    limits(r#"{"max_pixels": 1003520}"#, 3136, 1_003_520);
    limits(r#"{"size": {"shortest_edge": 4000, "longest_edge": 5000}}"#, 4000, 5000);
    limits(r#"{"size": {"min_pixels": 4000, "max_pixels": 5000}}"#, 4000, 5000);
    // The old keys win, as in transformers.
    let both = r#"{"min_pixels": 6000, "max_pixels": 7000, "size": {"shortest_edge": 4000, "longest_edge": 5000}}"#;
    limits(both, 6000, 7000);
    limits(r#"{"min_pixels": 4500, "size": {"shortest_edge": 4000, "longest_edge": 5000}}"#, 4500, 5000);
}

#[test]
fn a_processor_config_is_read_one_level_down() {
    let text = r#"{"processor_class": "Qwen3VLProcessor", "image_processor": {"patch_size": 16,
        "image_processor_type": "Qwen2VLImageProcessor",
        "size": {"shortest_edge": 65536, "longest_edge": 1000000}}}"#;
    check(text, None, Ok((Family::Qwen3Vl, [16, 2, 2, 65_536, 1_000_000])));
}

#[test]
fn refusals() {
    let refused = |text: &str, head: &str| check(text, None, Err(head));
    refused("", "preprocessor_config.json cannot be read: EOF");
    refused("[]", "preprocessor_config.json cannot be read: invalid type");
    refused(r#"{"patch_size": "14"}"#, "preprocessor_config.json cannot be read: invalid type");
    refused(r#"{"min_pixels": -1}"#, "preprocessor_config.json cannot be read: invalid value");
    refused("{}", "model family not stated: known are");
    let clip = r#"{"image_processor_type": "CLIPImageProcessor"}"#;
    refused(clip, "model family CLIPImageProcessor: known are");
    let with = |rest: &str| format!(r#"{{"processor_class": "Qwen2VLProcessor", {rest}}}"#);
    refused(&with(r#""patch_size": 0"#), "patch_size = 0: allowed is 1 to 256");
    refused(&with(r#""merge_size": 4294967298"#), "merge_size = 4294967298: allowed is 1 to 256");
    refused(&with(r#""temporal_patch_size": 0"#), "temporal_patch_size = 0: allowed");
    refused(&with(r#""min_pixels": 0"#), "min_pixels = 0: allowed is 1 to");
    refused(&with(r#""max_pixels": 3135"#), "max_pixels = 3135: allowed is 3136 to");
}

#[test]
fn limits_by_hand() {
    let qwen2 = Preprocessor::of(Family::Qwen2Vl);
    let limited = qwen2.with_limits(None, Some(1_003_520)).map(|p| p.max_pixels());
    assert_eq!(limited, Ok(1_003_520));
    assert_eq!(qwen2.with_limits(None, None), Ok(qwen2));
    assert!(qwen2.with_limits(Some(0), None).is_err());
    assert!(qwen2.with_limits(Some(20), Some(10)).is_err());
}
