//! Which tokens may be drawn and how likely each is: temperature, then `min_p`, `top_k`, `top_p`, in vLLM's order
//! (`vllm/v1/sample/sampler.py`, `ops/topk_topp_sampler.py`). Sums are float64, in the order of the ids or of the
//! likeliness, so that they do not depend on a batch.

use super::SamplingParams;

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
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) / params.temperature;
    let all = (0..).zip(row).map(|(id, logit)| {
        let logit = logit / params.temperature;
        Choice { id, logit, weight: (f64::from(logit) - f64::from(greatest)).exp() }
    });
    // The likeliest token has weight 1, so `min_p` of its probability is a weight of `min_p`.
    let least = f64::from(params.min_p);
    let mut kept: Vec<Choice> = all.filter(|choice| choice.weight > 0.0 && choice.weight >= least).collect();
    if params.top_k > 0 && params.top_k < kept.len() {
        keep_top_k(&mut kept, params.top_k);
    }
    if params.top_p < 1.0 {
        keep_top_p(&mut kept, f64::from(params.top_p));
    }
    kept
}

/// Keeps what is at least as likely as the `k`th likeliest; tokens equal to it all stay, as in vLLM.
fn keep_top_k(choices: &mut Vec<Choice>, k: usize) {
    let mut logits: Vec<f32> = choices.iter().map(|choice| choice.logit).collect();
    let (_, border, _) = logits.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let border = *border;
    choices.retain(|choice| choice.logit >= border);
}

/// Drops the least likely tokens that together have a probability of at most `1 - p`; of equally likely ones the
/// higher id goes first (vLLM leaves that open). The likeliest stays.
fn keep_top_p(choices: &mut Vec<Choice>, p: f64) {
    choices.sort_unstable_by(|a, b| a.logit.total_cmp(&b.logit).then(b.id.cmp(&a.id)));
    let total: f64 = choices.iter().map(|choice| choice.weight).sum();
    let mut below = 0.0;
    let dropped = choices.iter().take_while(|choice| {
        below += choice.weight / total;
        below <= 1.0 - p
    });
    let dropped = dropped.count().min(choices.len().saturating_sub(1));
    choices.drain(..dropped);
    choices.sort_unstable_by_key(|choice| choice.id);
}
