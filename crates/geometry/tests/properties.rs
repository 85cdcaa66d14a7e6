//! What holds for every size: multiples, limits, symmetry, stability, order.

use geometry::{ASPECT_RATIO_MAX, Family, Preprocessor, smart_resize};
use proptest::prelude::*;

/// Sizes that are accepted, as (width, height): any short side, a ratio of at most 200, either way round.
fn size() -> impl Strategy<Value = (u32, u32)> {
    let short = prop_oneof![1..100_u32, 1..5_000_u32];
    (short, any::<bool>())
        .prop_flat_map(|(short, upright)| {
            let long = prop_oneof![short..=short * 3, short..=short * ASPECT_RATIO_MAX];
            (Just(short), long, Just(upright))
        })
        .prop_map(|(short, long, upright)| if upright { (short, long) } else { (long, short) })
}

fn family() -> impl Strategy<Value = Family> {
    prop::sample::select(&Family::ALL[..])
}

proptest! {
    #[test]
    fn sides_are_multiples_and_pixels_within_the_limits(family in family(), (width, height) in size()) {
        let settings = Preprocessor::of(family);
        let found = settings.geometry(width, height)?;
        prop_assert_eq!(found.resized_width % settings.factor(), 0);
        prop_assert_eq!(found.resized_height % settings.factor(), 0);
        let pixels = u64::from(found.resized_width) * u64::from(found.resized_height);
        prop_assert!(settings.min_pixels() <= pixels && pixels <= settings.max_pixels(), "{}", pixels);
        // One token stands for a square of factor x factor pixels.
        prop_assert_eq!(found.image_tokens * u64::from(settings.factor()).pow(2), pixels);
        prop_assert_eq!(found.image_tokens * 4, found.patches());
    }

    #[test]
    fn turning_the_picture_turns_the_result(family in family(), (width, height) in size()) {
        let settings = Preprocessor::of(family);
        let (found, turned) = (settings.geometry(width, height)?, settings.geometry(height, width)?);
        prop_assert_eq!(found.resized_width, turned.resized_height);
        prop_assert_eq!(found.resized_height, turned.resized_width);
        prop_assert_eq!(found.image_tokens, turned.image_tokens);
    }

    #[test]
    fn a_resized_picture_stays_as_it_is(family in family(), (width, height) in size()) {
        let settings = Preprocessor::of(family);
        let once = settings.geometry(width, height)?;
        // Growing a thin picture can end beyond the ratio that is accepted.
        if let Ok(twice) = settings.geometry(once.resized_width, once.resized_height) {
            prop_assert_eq!(twice.resized_width, once.resized_width);
            prop_assert_eq!(twice.resized_height, once.resized_height);
        }
    }

    #[test]
    fn between_the_limits_a_longer_side_is_never_resized_shorter(
        sides in (15..60_000_u32, 15..60_000_u32),
        other in 300..3_000_u32,
    ) {
        let resized = |side| smart_resize(side, other, 28, 1, 1 << 52);
        let (short, long) = (sides.0.min(sides.1), sides.0.max(sides.1));
        let (short, long) = (short.max(other / 200 + 1), long.max(other / 200 + 1).min(other * 200));
        let (short, long) = (resized(short.min(long))?, resized(long)?);
        prop_assert!(short.0 <= long.0, "{:?} {:?}", short, long);
        prop_assert_eq!(short.1, long.1);
    }

    #[test]
    fn between_the_limits_a_side_moves_by_half_a_multiple_at_most(side in 15..100_000_u32) {
        let (height, width) = smart_resize(side, side, 28, 1, 1 << 52)?;
        prop_assert_eq!(height, width);
        prop_assert!(height.abs_diff(side) <= 14, "{} {}", side, height);
    }

    #[test]
    fn any_input_is_answered(
        height in any::<u32>(), width in any::<u32>(), factor in any::<u32>(),
        min in any::<u64>(), max in any::<u64>(),
    ) {
        let small = |number: u64, bits: u32| number >> (64 - bits);
        drop(smart_resize(height, width, factor, min, max));
        let (height, width, factor) = (height >> 6, width >> 6, (factor >> 16).max(1));
        let (min, max) = (small(min, 52).max(1), small(max, 52).max(1));
        if let Ok((high, wide)) = smart_resize(height, width, factor, min.min(max), min.max(max)) {
            prop_assert!(high >= factor && wide >= factor);
            prop_assert_eq!((high % factor, wide % factor), (0, 0));
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,80}") {
        drop(Preprocessor::from_json(&text, Some(Family::Qwen2Vl)));
        drop(Family::from_config_json(&text));
    }
}
