//! RMSNorm and LayerNorm of one row, with one order of summation. It must not know layers.

/// Sums that run side by side: value `i` of a row belongs to sum `i % 16`.
const LANES: usize = 16;

/// `x / sqrt(mean(x²) + eps) · weight`, as transformers' `Qwen2VLRMSNorm`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let mean = sum(x, |value| value * value) / x.len() as f32;
    let scale = 1.0 / (mean + eps).sqrt();
    for ((out, value), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = weight * (value * scale);
    }
}

/// The weights of a LayerNorm.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    pub(crate) weight: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl LayerNorm {
    /// The epsilon of every LayerNorm of Qwen2-VL.
    const EPS: f32 = 1e-6;

    /// `(x - mean) / sqrt(variance + eps) · weight + bias`, as torch's `LayerNorm`.
    pub(crate) fn apply(&self, x: &[f32], out: &mut [f32]) {
        let count = x.len() as f32;
        let mean = sum(x, |value| value) / count;
        let variance = sum(x, |value| (value - mean) * (value - mean)) / count;
        let scale = 1.0 / (variance + Self::EPS).sqrt();
        for (((out, value), weight), bias) in out.iter_mut().zip(x).zip(&self.weight).zip(&self.bias) {
            *out = (value - mean) * scale * weight + bias;
        }
    }
}

fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for values in whole {
        for (lane, value) in lanes.iter_mut().zip(values) {
            *lane += term(*value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += term(*value);
    }
    lanes.chunks(4).map(|four| (four[0] + four[1]) + (four[2] + four[3])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rms_of_three_and_four() {
        // mean of squares 12.5, so the scale is 1 / sqrt(12.5).
        let mut out = [0.0; 2];
        rms_norm(&[3.0, 4.0], &[1.0, 2.0], 0.0, &mut out);
        let scale = 1.0 / 12.5f32.sqrt();
        assert!((out[0] - 3.0 * scale).abs() < 1e-6 && (out[1] - 8.0 * scale).abs() < 1e-6);
    }

    #[test]
    fn a_layer_norm_has_the_mean_and_the_spread_of_its_weights() {
        let x: Vec<f32> = (0..50).map(|value| value as f32).collect();
        let norm = LayerNorm { weight: vec![2.0; 50], bias: vec![7.0; 50] };
        let mut out = vec![0.0; 50];
        norm.apply(&x, &mut out);
        let mean = out.iter().sum::<f32>() / 50.0;
        let variance = out.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 50.0;
        assert!((mean - 7.0).abs() < 1e-5 && (variance - 4.0).abs() < 1e-4, "{mean} {variance}");
    }
}
