//! Rows of a component at the picture's full size, in every bit as libjpeg's smooth
//! upsampling makes them (`jdsample`): a triangle filter where a factor is 2, a
//! repetition elsewhere.

use super::frame::{Component, Frame};
use super::{Error, broken};

/// How a component becomes as large as the picture.
#[derive(Clone, Copy)]
pub(super) enum Upsampling {
    Full,
    /// Twice as wide, smooth.
    Wide,
    /// Twice as high, smooth.
    High,
    /// Twice as wide and high, smooth.
    Both,
    /// Each sample so many times to the right and down.
    Repeated(usize, usize),
}

impl Upsampling {
    pub(super) fn new(component: &Component, frame: &Frame) -> Result<Self, Error> {
        let (wide, high) = (frame.h_max / component.h, frame.v_max / component.v);
        if wide * component.h != frame.h_max || high * component.v != frame.v_max {
            return Err(broken("sampling factors that do not divide"));
        }
        // The smooth ways need a neighbour on either side.
        let smooth = component.samples_wide > 2;
        Ok(match (wide, high) {
            (1, 1) => Self::Full,
            (2, 1) if smooth => Self::Wide,
            (1, 2) => Self::High,
            (2, 2) if smooth => Self::Both,
            _ => Self::Repeated(wide, high),
        })
    }

    /// Row `y` of the picture into `out`, which is as wide as the picture.
    pub(super) fn row(self, component: &Component, y: usize, out: &mut [u8]) {
        let near = component.row((y / 2) as isize);
        // An upper row leans to the one above, a lower row to the one below.
        let far = component.row((y / 2) as isize + if y.is_multiple_of(2) { -1 } else { 1 });
        match self {
            Self::Full => copy(component.row(y as isize).iter().copied(), out),
            Self::Repeated(wide, high) => {
                let row = component.row((y / high) as isize);
                copy(row.iter().flat_map(|level| std::iter::repeat_n(*level, wide)), out);
            }
            Self::Wide => {
                let row = component.row(y as isize);
                smooth(row.len(), |x| u32::from(row.get(x).copied().unwrap_or_default()), [1, 2], 2, out);
            }
            Self::High => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                copy(near.iter().zip(far).map(|(near, far)| ((column(*near, *far) + bias) >> 2) as u8), out);
            }
            Self::Both => {
                let sum = |x: usize| near.get(x).zip(far.get(x)).map_or(0, |(near, far)| column(*near, *far));
                smooth(near.len(), sum, [8, 7], 4, out);
            }
        }
    }
}

/// Three parts of the nearer row and one of the farther.
fn column(near: u8, far: u8) -> u32 {
    u32::from(near) * 3 + u32::from(far)
}

/// Two samples from each: three parts of it and one of the neighbour on that side.
/// At either end the sample stands alone. `biases` are those of the left and right
/// sample of a pair.
fn smooth(count: usize, sum: impl Fn(usize) -> u32, biases: [u32; 2], shift: u32, out: &mut [u8]) {
    let [left, right] = biases;
    for (x, pair) in out.chunks_mut(2).enumerate() {
        let here = sum(x);
        let before = if x == 0 { here } else { sum(x - 1) };
        let after = if x + 1 >= count { here } else { sum(x + 1) };
        let values = [here * 3 + before + left, here * 3 + after + right];
        for (level, value) in pair.iter_mut().zip(values) {
            *level = (value >> shift) as u8;
        }
    }
}

fn copy(levels: impl Iterator<Item = u8>, out: &mut [u8]) {
    out.iter_mut().zip(levels).for_each(|(to, from)| *to = from);
}
