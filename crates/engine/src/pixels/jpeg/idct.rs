//! The inverse cosine transform of a block of 8 x 8 coefficients, in every bit that
//! of libjpeg's accurate integer method (`jidctint`, after Loeffler, Ligtenberg and
//! Moschytz 1989). It must not know where blocks come from.

use std::num::Wrapping;

/// Numbers in the transform; a hostile file may overflow them.
type Number = Wrapping<i32>;

/// Fraction bits of the constants.
const CONST_BITS: usize = 13;
/// Extra fraction bits between the passes.
const PASS1_BITS: usize = 2;

const F_0_298: Number = Wrapping(2446);
const F_0_390: Number = Wrapping(3196);
const F_0_541: Number = Wrapping(4433);
const F_0_765: Number = Wrapping(6270);
const F_0_899: Number = Wrapping(7373);
const F_1_175: Number = Wrapping(9633);
const F_1_501: Number = Wrapping(12299);
const F_1_847: Number = Wrapping(15137);
const F_1_961: Number = Wrapping(16069);
const F_2_053: Number = Wrapping(16819);
const F_2_562: Number = Wrapping(20995);
const F_3_072: Number = Wrapping(25172);

/// The 64 levels of a block, from coefficients and their quantisers, all row by row.
pub(super) fn levels(coefficients: &[i16; 64], quantisers: &[u16; 64]) -> [u8; 64] {
    if coefficients.iter().skip(1).all(|value| *value == 0) {
        let flat = i32::from(dequantised(coefficients[0], quantisers[0]));
        // What the passes do to a lone first coefficient.
        return [level((flat + 4) >> 3); 64];
    }
    let mut work = [0_i16; 64];
    for (place, (value, quantiser)) in work.iter_mut().zip(coefficients.iter().zip(quantisers)) {
        *place = dequantised(*value, *quantiser);
    }
    for x in 0..8 {
        let column = std::array::from_fn(|y| work[y * 8 + x]);
        let done = pass(column, CONST_BITS - PASS1_BITS);
        for (y, value) in done.into_iter().enumerate() {
            work[y * 8 + x] = value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
    let mut out = [0; 64];
    for (row, levels) in work.chunks_exact(8).zip(out.chunks_exact_mut(8)) {
        let done = pass(std::array::from_fn(|x| row[x]), CONST_BITS + PASS1_BITS + 3);
        for (place, value) in levels.iter_mut().zip(done) {
            *place = level(value);
        }
    }
    out
}

/// 16 bits, as in the vector code of libjpeg-turbo.
fn dequantised(value: i16, quantiser: u16) -> i16 {
    value.wrapping_mul(quantiser as i16)
}

fn level(value: i32) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}

/// One dimension of the transform; the result loses `shift` bits, rounded.
///
/// Where libjpeg-turbo's vector code adds 16-bit numbers in 16 bits, so does this: a
/// damaged file overflows the same way.
fn pass(c: [i16; 8], shift: usize) -> [i32; 8] {
    let wide = |value: i16| Wrapping(i32::from(value));
    let sum = |a: i16, b: i16| wide(a.wrapping_add(b));
    // Even part.
    let z = (wide(c[2]) + wide(c[6])) * F_0_541;
    let even_2 = z - wide(c[6]) * F_1_847;
    let even_3 = z + wide(c[2]) * F_0_765;
    let even_0 = sum(c[0], c[4]) << CONST_BITS;
    let even_1 = wide(c[0].wrapping_sub(c[4])) << CONST_BITS;
    let even = [even_0 + even_3, even_1 + even_2, even_1 - even_2, even_0 - even_3];
    // Odd part.
    let (sum_73, sum_51) = (sum(c[7], c[3]), sum(c[5], c[1]));
    let z5 = (sum_73 + sum_51) * F_1_175;
    let z1 = -(wide(c[7]) + wide(c[1])) * F_0_899;
    let z2 = -(wide(c[5]) + wide(c[3])) * F_2_562;
    let z3 = z5 - sum_73 * F_1_961;
    let z4 = z5 - sum_51 * F_0_390;
    let odd = [
        wide(c[1]) * F_1_501 + z1 + z4,
        wide(c[3]) * F_3_072 + z2 + z3,
        wide(c[5]) * F_2_053 + z2 + z4,
        wide(c[7]) * F_0_298 + z1 + z3,
    ];
    let half = Wrapping(1 << (shift - 1));
    std::array::from_fn(|place| {
        let pair = place.min(7 - place);
        let sum = if place < 4 { even[pair] + odd[pair] } else { even[pair] - odd[pair] };
        ((sum + half) >> shift).0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_first_coefficient_is_its_eighth() {
        let mut coefficients = [0; 64];
        for (value, expected) in [(0, 128), (8, 129), (-8, 127), (4, 129), (3, 128), (2000, 255), (-2000, 0)] {
            coefficients[0] = value;
            assert_eq!(levels(&coefficients, &[1; 64]), [expected; 64], "{value}");
        }
    }

    #[test]
    fn overflow_does_not_stop_it() {
        for value in [i16::MIN, i16::MAX] {
            levels(&[value; 64], &[u16::MAX; 64]);
            levels(&[value; 64], &[1; 64]);
        }
    }
}
