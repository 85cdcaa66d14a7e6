//! Three-axis rotary positions (M-RoPE): time, height, width. They mirror `Qwen2VLModel.get_rope_index` of
//! transformers 5 for pictures (`models/qwen2_vl/modeling_qwen2_vl.py`).

use super::ImageSpan;

/// The positions of a prompt, and how to go on after it.
///
/// Text counts up on all three axes alike. A picture starts one past what came before: time stands still, height counts
/// rows and width counts columns of its tokens. What follows starts past the greatest position so far, so that a
/// picture takes max(rows, columns) positions and not rows x columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    axes: [Vec<u32>; 3],
    next: u32,
}

impl Positions {
    pub(super) fn new(tokens: usize, spans: &[ImageSpan], merge_size: u32) -> Self {
        let mut axes: [Vec<u32>; 3] = std::array::from_fn(|_| Vec::with_capacity(tokens));
        let mut next = 0;
        let mut done = 0;
        for span in spans {
            next = text(&mut axes, next, span.start - done);
            next = image(&mut axes, next, span, merge_size.max(1));
            done = span.end();
        }
        next = text(&mut axes, next, tokens - done);
        Self { axes, next }
    }

    /// Time, height and width of every token of the prompt.
    #[must_use]
    pub fn axes(&self) -> &[Vec<u32>; 3] {
        &self.axes
    }

    /// Time, height and width of a token of the sequence: of the prompt, or generated after it.
    #[must_use]
    pub fn at(&self, token: usize) -> [u32; 3] {
        let prompt = self.axes[0].len();
        match token.checked_sub(prompt) {
            None => std::array::from_fn(|axis| self.axes[axis].get(token).copied().unwrap_or(0)),
            Some(after) => [self.next.saturating_add(u32::try_from(after).unwrap_or(u32::MAX)); 3],
        }
    }

    /// `mrope_position_delta`: a generated token's position is its place in the sequence plus this.
    #[must_use]
    pub fn delta(&self) -> i64 {
        i64::from(self.next) - i64::try_from(self.axes[0].len()).unwrap_or(i64::MAX)
    }
}

fn text(axes: &mut [Vec<u32>; 3], from: u32, tokens: usize) -> u32 {
    let to = from + u32::try_from(tokens).unwrap_or(u32::MAX - from);
    axes.iter_mut().for_each(|axis| axis.extend(from..to));
    to
}

fn image(axes: &mut [Vec<u32>; 3], from: u32, span: &ImageSpan, merge_size: u32) -> u32 {
    let (rows, columns) = (span.grid.h / merge_size, span.grid.w / merge_size);
    let [time, height, width] = axes;
    for frame in 0..span.grid.t {
        for row in 0..rows {
            time.extend(std::iter::repeat_n(from + frame, columns as usize));
            height.extend(std::iter::repeat_n(from + row, columns as usize));
            width.extend(from..from + columns);
        }
    }
    from + rows.max(columns)
}
