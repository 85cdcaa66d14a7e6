//! Which tokens may be drawn and how likely each is: temperature, then `min_p`, `top_k`, `top_p`, as vLLM defines them
//! (`vllm/v1/sample/sampler.py`, `ops/topk_topp_sampler.py`). Sums are float64, in the order of the ids or of the
//! likeliness, so that they do not depend on a batch.

use super::SamplingParams;

/// How many of the likeliest tokens `top_p` looks at first: sorting a whole vocabulary takes longer than all else here.
const HEAD: usize = 1024;
/// Up to this `top_k` its border is found in one pass over the row.
const INSERTED_MAX: usize = 64;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    /// The token.
    pub(super) id: u32,
    /// Its logit over the temperature.
    logit: f32,
    /// How likely it is, in parts of the likeliest.
    pub(super) weight: f64,
}

/// The tokens that may be drawn, by id. `row` holds logits after penalties, without NaN; its greatest is finite.
pub(super) fn choices(row: &[f32], params: &SamplingParams) -> Vec<Choice> {
    let scaled: Vec<f32> = row.iter().map(|logit| logit / params.temperature).collect();
    let greatest = f64::from(scaled.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    // `min_p` and `top_k` both keep what lies above a border, so their order does not matter; this one saves
    // exponentials.
    let border = top_k_border(&scaled, params.top_k);
    // The likeliest token has weight 1, so `min_p` of its probability is a weight of `min_p`.
    let least = f64::from(params.min_p);
    let above = (0..).zip(scaled).filter(|(_, logit)| *logit >= border);
    let weighed = above.map(|(id, logit)| Choice { id, logit, weight: (f64::from(logit) - greatest).exp() });
    let mut kept: Vec<Choice> = weighed.filter(|choice| choice.weight > 0.0 && choice.weight >= least).collect();
    if params.top_p < 1.0 {
        keep_top_p(&mut kept, f64::from(params.top_p));
    }
    kept
}

/// The logit of the `k`th likeliest token; tokens equal to it all stay, as in vLLM.
fn top_k_border(logits: &[f32], k: usize) -> f32 {
    if k == 0 || k >= logits.len() {
        return f32::NEG_INFINITY;
    }
    if k > INSERTED_MAX {
        let mut logits = logits.to_vec();
        return *logits.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1;
    }
    // The `k` greatest so far, greatest first: few logits of a vocabulary get past the last of them.
    let mut greatest = vec![f32::NEG_INFINITY; k];
    for logit in logits {
        if *logit > greatest[k - 1] {
            let place = greatest.partition_point(|greater| greater >= logit);
            greatest[place..].rotate_right(1);
            greatest[place] = *logit;
        }
    }
    greatest[k - 1]
}

/// Drops the least likely tokens that together have a probability of at most `1 - p`; of equally likely ones the
/// higher id goes first (vLLM leaves that open). The likeliest stays.
fn keep_top_p(choices: &mut Vec<Choice>, p: f64) {
    let order = |a: &Choice, b: &Choice| b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id));
    let total: f64 = choices.iter().map(|choice| choice.weight).sum();
    let mut head = HEAD;
    let kept = loop {
        if head < choices.len() {
            choices.select_nth_unstable_by(head - 1, order);
        }
        head = head.min(choices.len());
        choices[..head].sort_unstable_by(order);
        let mut above = 0.0;
        let likely = choices[..head].iter().take_while(|choice| {
            // The token and all that are less likely.
            let below = (total - above) / total;
            above += choice.weight;
            below > 1.0 - p
        });
        let kept = likely.count();
        if kept < head || head == choices.len() {
            break kept;
        }
        head *= 8;
    };
    choices.truncate(kept.max(1));
    choices.sort_unstable_by_key(|choice| choice.id);
}
