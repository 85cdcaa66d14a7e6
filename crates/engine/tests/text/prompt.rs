//! Prompts: spans, positions against transformers' `get_rope_index`, and what is refused.

use engine::prompt::{ContentHash, Prompt, PromptImage, PromptRules, check_input_length};
use engine::text::RefusalKind;
use geometry::{Family, Grid, ImageGeometry, Preprocessor};
use serde::Deserialize;

const RULES: PromptRules = PromptRules { image_token: 9, merge_size: 2 };

#[derive(Deserialize)]
struct Case {
    types: Vec<(i64, i64, usize)>,
    grids: Vec<(u32, u32, u32)>,
    delta: i64,
    axes: [Vec<(i64, i64, usize)>; 3],
}

/// Values from runs of first, step and count.
fn unfold(runs: &[(i64, i64, usize)]) -> Vec<u32> {
    let value = |(first, step, at): (i64, i64, usize)| u32::try_from(first + step * at as i64).unwrap();
    runs.iter().flat_map(|(first, step, count)| (0..*count).map(move |at| value((*first, *step, at)))).collect()
}

fn image(t: u32, h: u32, w: u32) -> PromptImage {
    let geometry = ImageGeometry {
        width: w * 14,
        height: h * 14,
        resized_width: w * 14,
        resized_height: h * 14,
        grid: Grid { t, h, w },
        image_tokens: u64::from(t * h * w / 4),
    };
    PromptImage { geometry, content: ContentHash([1; 32]) }
}

#[test]
fn positions_are_those_of_transformers() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../../../tests/data/text/positions.json")).unwrap();
    for case in cases {
        let types = unfold(&case.types);
        let images: Vec<PromptImage> = case.grids.iter().map(|(t, h, w)| image(*t, *h, *w)).collect();
        // The text as it was before pictures were given their tokens.
        let mut ids = Vec::new();
        let (mut at, mut next) = (0, images.iter());
        while at < types.len() {
            match types[at] {
                0 => (ids.push(3), at += 1),
                _ => (ids.push(9), at += next.next().unwrap().geometry.image_tokens as usize),
            };
        }
        let prompt = Prompt::new(&ids, &images, RULES).unwrap();
        let expected_ids: Vec<u32> = types.iter().map(|kind| if *kind == 1 { 9 } else { 3 }).collect();
        assert_eq!(prompt.ids(), expected_ids);
        let positions = prompt.positions();
        let expected: [Vec<u32>; 3] = std::array::from_fn(|axis| unfold(&case.axes[axis]));
        assert_eq!((positions.axes(), positions.delta()), (&expected, case.delta), "{:?}", case.grids);
        for (token, height) in expected[1].iter().enumerate() {
            assert_eq!(positions.at(token)[1], *height);
        }
        let generated = u32::try_from(prompt.len() as i64 + 7 + case.delta).unwrap();
        assert_eq!(positions.at(prompt.len() + 7), [generated; 3]);
    }
}

#[test]
fn spans_hold_the_picture_s_tokens() {
    let prompt = Prompt::new(&[1, 9, 2, 9, 9], &[image(1, 4, 6), image(1, 2, 2), image(1, 2, 4)], RULES).unwrap();
    assert_eq!(prompt.ids(), [1, 9, 9, 9, 9, 9, 9, 2, 9, 9, 9]);
    let spans: Vec<_> = prompt.images().iter().map(|span| span.start..span.end()).collect();
    assert_eq!(spans, [1..7, 8..9, 9..11]);
    assert!(!prompt.is_empty());
}

#[test]
fn a_real_picture_fits() {
    let picture = Preprocessor::of(Family::Qwen2Vl).geometry(1080, 810).unwrap();
    let prompt = Prompt::new(&[9], &[PromptImage { geometry: picture, content: ContentHash([0; 32]) }], RULES).unwrap();
    assert_eq!((prompt.len(), prompt.positions().delta()), (1131, 39 - 1131));
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |ids: &[u32], images: &[PromptImage]| Prompt::new(ids, images, RULES).unwrap_err().kind;
    assert_eq!(check(&[], &[]), RefusalKind::Content);
    assert_eq!(check(&[1, 2], &[image(1, 2, 2)]), RefusalKind::Content);
    assert_eq!(check(&[9, 9], &[image(1, 2, 2)]), RefusalKind::Content);
    let mut wrong = image(1, 2, 2);
    wrong.geometry.image_tokens = 2;
    assert_eq!(check(&[9], &[wrong]), RefusalKind::Content);
    // Without pictures the token is one like any other.
    assert_eq!(Prompt::new(&[9, 9], &[], RULES).unwrap().ids(), [9, 9]);
}

#[test]
fn too_long_a_prompt_is_refused_with_both_counts() {
    assert_eq!(check_input_length(16_384, 16_384), Ok(()));
    // The words that the real server replied.
    let words = "This model's maximum context length is 16384 tokens. However, your prompt contains at least 16385 \
                 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of \
                 the input prompt. (parameter=input_tokens, value=16385)";
    assert_eq!(check_input_length(16_385, 16_384).unwrap_err().to_string(), words);
    let other = check_input_length(20_000, 16_384).unwrap_err().to_string();
    assert!(other.contains("contains 20000 input tokens"), "{other}");
    let pictures = Prompt::new(&[1, 9], &[image(1, 4, 4)], RULES).unwrap();
    assert_eq!(pictures.check_length(5), Ok(()));
    let words = pictures.check_length(4).unwrap_err().to_string();
    assert_eq!(words, "Input length (5) exceeds model's maximum context length (4).");
}
