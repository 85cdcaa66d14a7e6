//! Random numbers that are a function of a seed and a place: the draw for token 7 of an answer is the same whether the
//! request runs alone, in a batch, or again after it was preempted.

use super::distribution::Choice;

/// A number from 0 up to, not including, 1, for one token of one answer.
///
/// Seed and place are mixed in one after the other, so that near seeds and places share nothing.
pub(super) fn uniform(seed: u64, place: u64) -> f64 {
    let bits = mixed(mixed(seed, 0), place);
    // The 53 bits that a float64 below 1 can hold.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The choice at `uniform` of the way through all weights, in the order of the ids.
pub(super) fn pick(choices: &[Choice], uniform: f64) -> Option<u32> {
    let total: f64 = choices.iter().map(|choice| choice.weight).sum();
    let target = uniform * total;
    let mut passed = 0.0;
    let found = choices.iter().find(|choice| {
        passed += choice.weight;
        passed > target
    });
    // Rounding may leave the target at the very end.
    found.or(choices.last()).map(|choice| choice.id)
}

/// The number at a place of a seed's stream of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, 2014).
pub(crate) fn mixed(seed: u64, place: u64) -> u64 {
    let mut bits = seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fill_the_interval_evenly() {
        // 100 boxes of 1,000 expected: five standard deviations are 158.
        for (name, number) in [
            ("places", &(|at| uniform(7, at)) as &dyn Fn(u64) -> f64),
            ("seeds", &|at| uniform(at, 0)),
            ("both", &|at| uniform(at, at)),
        ] {
            let mut boxes = [0i32; 100];
            for at in 0..100_000 {
                let number = number(at);
                assert!((0.0..1.0).contains(&number));
                boxes[(number * 100.0) as usize] += 1;
            }
            assert!(boxes.iter().all(|count| (count - 1000).abs() < 158), "{name}: {boxes:?}");
        }
    }
}
