//! The three activation functions of Qwen2-VL, in place. It must not know layers.

use super::kernel::exp;

/// `silu(gate) · up`, with `gate` and `up` the two halves of `both`: SwiGLU.
pub(crate) fn swiglu(both: &[f32], out: &mut [f32]) {
    let (gate, up) = both.split_at(out.len());
    for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
        *out = gate / (1.0 + exp(-gate)) * up;
    }
}

/// `x · sigmoid(1.702 x)`: the vision blocks' `quick_gelu`.
pub(crate) fn quick_gelu(values: &mut [f32]) {
    for value in values {
        *value /= 1.0 + exp(-1.702 * *value);
    }
}

/// `x/2 · (1 + erf(x/√2))`: the merger's GELU, the exact one.
pub(crate) fn gelu(values: &mut [f32]) {
    for value in values {
        *value = *value * 0.5 * (1.0 + libm::erff(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values from torch 2.13 in float64.
    #[test]
    fn they_agree_with_torch() {
        let near =
            |found: f32, expected: f64| assert!((f64::from(found) - expected).abs() < 3e-7, "{found} {expected}");
        let x = [-3.0f32, -0.5, 0.0, 1.25];
        let (mut quick, mut exact) = (x, x);
        quick_gelu(&mut quick);
        gelu(&mut exact);
        let mut swish = [0.0; 4];
        swiglu(&[x, [2.0; 4]].concat(), &mut swish);
        for (place, expected) in TORCH_QUICK_GELU.into_iter().enumerate() {
            near(quick[place], expected);
            near(exact[place], TORCH_GELU[place]);
            near(swish[place], 2.0 * TORCH_SILU[place]);
        }
    }

    const TORCH_QUICK_GELU: [f64; 4] = [-0.01807131, -0.149611563, 0.0, 1.116934301];
    const TORCH_GELU: [f64; 4] = [-0.004049694, -0.154268769, 0.0, 1.117937783];
    const TORCH_SILU: [f64; 4] = [-0.142277620, -0.188770334, 0.0, 0.971624826];
}
