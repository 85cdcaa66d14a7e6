//! Bicubic resizing with antialias of 8-bit pictures, equal in every bit to what
//! torchvision's `resize` does on the CPU. It must not know models or files.
//!
//! The reference is `upsample_bicubic2d_aa` of PyTorch 2 on uint8: weights in
//! double precision, normalised, then rounded to 16-bit integers with as many
//! fraction bits as the greatest weight allows; a horizontal and a vertical pass,
//! each rounded to 8 bits.

use super::RgbImage;

/// The picture at another size.
///
/// A side of 0 gives an empty picture.
#[must_use]
pub fn resize(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let wide = if width == image.width {
        image.pixels.clone()
    } else {
        let taps = Taps::new(image.width as usize, width as usize);
        horizontal(&image.pixels, image.width as usize, &taps)
    };
    if height == image.height {
        return RgbImage { width, height, pixels: wide };
    }
    let taps = Taps::new(image.height as usize, height as usize);
    RgbImage { width, height, pixels: vertical(&wide, width as usize * 3, &taps) }
}

/// Which input places make one output place, and with what weights.
struct Span {
    start: usize,
    /// Where this span's weights begin in [`Taps::weights`].
    first: usize,
    len: usize,
}

/// The weights of one pass: one span for each output place.
struct Taps {
    spans: Vec<Span>,
    weights: Vec<i16>,
    precision: u32,
}

/// Reach of the cubic kernel to either side, in places of the coarser grid.
const SUPPORT: f64 = 2.0;
/// Most fraction bits of a weight.
const PRECISION_MAX: u32 = 22;

impl Taps {
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let support = SUPPORT * scale.max(1.0);
        let reach = support.ceil() as usize * 2 + 1;
        let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
        let mut spans = Vec::with_capacity(to);
        let mut exact: Vec<f64> = Vec::new();
        for place in 0..to {
            let centre = scale * (place as f64 + 0.5);
            // Truncation toward zero, as a C cast; a negative start is cut to 0.
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from).min(start + reach);
            let first = exact.len();
            let mut total = 0.0;
            for input in start..end {
                let weight = cubic((input as f64 - centre + 0.5) * inverse);
                exact.push(weight);
                total += weight;
            }
            if total != 0.0 {
                exact.iter_mut().skip(first).for_each(|weight| *weight /= total);
            }
            spans.push(Span { start, first, len: exact.len() - first });
        }
        let precision = precision(exact.iter().copied().fold(0.0, f64::max));
        let unit = f64::from(1_u32 << precision);
        let weights = exact.iter().map(|weight| (weight * unit + 0.5_f64.copysign(*weight)) as i16).collect();
        Self { spans, weights, precision }
    }

    fn weights(&self, span: &Span) -> &[i16] {
        self.weights.get(span.first..span.first + span.len).unwrap_or_default()
    }

    /// A sum of weighted bytes as a byte, half upward.
    fn byte(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }

    /// What a sum starts with, so that the shift rounds.
    fn half(&self) -> i32 {
        (1 << self.precision) >> 1
    }
}

/// The greatest number of fraction bits with which the greatest weight still fits 16 bits.
fn precision(greatest: f64) -> u32 {
    let fits = |bits: u32| ((0.5 + greatest * f64::from(1_u32 << (bits + 1))) as i64) < 1 << 15;
    (0..PRECISION_MAX).find(|bits| !fits(*bits)).unwrap_or(PRECISION_MAX)
}

/// Keys' cubic convolution kernel with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn horizontal(pixels: &[u8], width: usize, taps: &Taps) -> Vec<u8> {
    let rows = pixels.chunks_exact((width * 3).max(1));
    let row_bytes = taps.spans.len() * 3;
    let mut out = vec![0; rows.len() * row_bytes];
    for (row, to) in rows.zip(out.chunks_exact_mut(row_bytes.max(1))) {
        let row = row.as_chunks::<3>().0;
        for (span, to) in taps.spans.iter().zip(to.as_chunks_mut::<3>().0) {
            let inputs = row.get(span.start..span.start + span.len).unwrap_or_default();
            let half = taps.half();
            let (mut red, mut green, mut blue) = (half, half, half);
            for ([r, g, b], weight) in inputs.iter().zip(taps.weights(span)) {
                red = plus(red, *r, *weight);
                green = plus(green, *g, *weight);
                blue = plus(blue, *b, *weight);
            }
            *to = [taps.byte(red), taps.byte(green), taps.byte(blue)];
        }
    }
    out
}

/// Adds a weighted sample. A sum cannot overflow (the weights of a place add up to less
/// than 2^17); saying so lets vectors be used where overflow is checked.
#[inline]
fn plus(sum: i32, sample: u8, weight: i16) -> i32 {
    sum.wrapping_add(i32::from(i16::from(sample)) * i32::from(weight))
}

fn vertical(pixels: &[u8], row_bytes: usize, taps: &Taps) -> Vec<u8> {
    let mut out = Vec::with_capacity(taps.spans.len() * row_bytes);
    let mut sums = vec![0; row_bytes];
    for span in &taps.spans {
        sums.fill(taps.half());
        let inputs = pixels.get(span.start * row_bytes..(span.start + span.len) * row_bytes).unwrap_or_default();
        for (row, weight) in inputs.chunks_exact(row_bytes.max(1)).zip(taps.weights(span)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum = plus(*sum, *value, *weight);
            }
        }
        out.extend(sums.iter().map(|sum| taps.byte(*sum)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_picture_stays_plain() {
        for (width, height) in [(1, 1), (3, 200), (64, 5)] {
            let image = RgbImage { width, height, pixels: [7, 128, 255].repeat((width * height) as usize) };
            let out = resize(&image, 17, 29);
            assert_eq!(out.pixels, [7, 128, 255].repeat(17 * 29));
        }
    }

    #[test]
    fn the_kernel_is_one_at_its_middle_and_zero_at_whole_numbers() {
        let values = [0.0, 1.0, -1.0, 2.0, 2.5].map(cubic);
        assert_eq!(values, [1.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn weights_use_fifteen_bits() {
        // 1.0 needs 2^14; anything up to 0.9999 fits with one more bit.
        assert_eq!((precision(1.0), precision(0.9), precision(0.25)), (14, 15, 16));
    }
}
