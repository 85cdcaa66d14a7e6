//! The exponential function in plain arithmetic, so that it becomes vectors and gives the same bits everywhere.

/// `e^x` within 2 units in the last place; 0 below -87, at most `e^88` above.
///
/// `x = n ln 2 + r`, `e^r` by the polynomial of the Cephes library (`expf`, S. Moshier), `2^n` by its bits.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the low bits of the sum.
    const ROUNDER: f32 = 12_582_912.0;
    let capped = if x > 88.0 { 88.0 } else { x };
    let rounded = capped * std::f32::consts::LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let r = (capped - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    sum = sum * r + 1.398_199_9e-3;
    sum = sum * r + 8.333_452e-3;
    sum = sum * r + 4.166_579_6e-2;
    sum = sum * r + 1.666_666_5e-1;
    sum = sum * r + 5e-1;
    let power = f32::from_bits(rounded.to_bits().wrapping_add(127) << 23);
    let value = (sum * (r * r) + r + 1.0) * power;
    if x < -87.0 { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn it_is_within_two_units_of_the_exact_value() {
        for number in -86_900..=88_000i32 {
            let x = number as f32 / 1000.0;
            let exact = f64::from(x).exp();
            let unit = f64::from(f32::EPSILON) * exact;
            assert!((f64::from(exp(x)) - exact).abs() <= 2.0 * unit, "{x}: {} {exact}", exp(x));
        }
    }

    #[test]
    fn its_ends_are_exact() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(f32::INFINITY), exp(88.0));
        assert!(exp(f32::NAN).is_nan());
    }
}
