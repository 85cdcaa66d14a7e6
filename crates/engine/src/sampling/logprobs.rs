//! Log probabilities of a row of logits before penalties, temperature and filters (vLLM's default,
//! `logprobs_mode=raw_logprobs`).

use super::BadLogits;

/// One token of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// 1 for the likeliest token; equally likely tokens all count as before it.
    pub rank: u32,
}

/// The log probabilities at one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Logprobs {
    /// The token that stands there.
    pub taken: TokenLogprob,
    /// The likeliest tokens, likeliest first, of equally likely ones the lower id first. Ranks are 1, 2, 3, …
    pub top: Vec<TokenLogprob>,
}

impl Logprobs {
    /// The log probability of `taken` and of the `top` likeliest tokens.
    ///
    /// # Errors
    /// [`BadLogits`] if the row is empty, lacks `taken`, or holds a NaN.
    pub fn of(row: &[f32], taken: u32, top: usize) -> Result<Self, BadLogits> {
        let log_sum = log_sum_exp(row)?;
        let logprob = |logit: f32| (f64::from(logit) - log_sum) as f32;
        let taken_logit = *row.get(taken as usize).ok_or(BadLogits::NoSuchToken { id: taken, width: row.len() })?;
        let rank = row.iter().filter(|logit| **logit >= taken_logit).count();
        let best = likeliest(row, top).into_iter().zip(1..);
        Ok(Self {
            taken: TokenLogprob {
                id: taken,
                logprob: logprob(taken_logit),
                rank: u32::try_from(rank).unwrap_or(u32::MAX),
            },
            top: best.map(|((id, logit), rank)| TokenLogprob { id, logprob: logprob(logit), rank }).collect(),
        })
    }

    /// The taken token, then the likeliest, each token once: the order of vLLM's lists. Its replies show the first
    /// `top_logprobs` of them.
    pub fn listed(&self) -> impl Iterator<Item = &TokenLogprob> {
        std::iter::once(&self.taken).chain(self.top.iter().filter(|token| token.id != self.taken.id))
    }
}

/// The logarithm of the sum of exponentials, in float64: the order of the sum is that of the ids.
fn log_sum_exp(row: &[f32]) -> Result<f64, BadLogits> {
    let mut greatest = f32::NEG_INFINITY;
    for logit in row {
        if logit.is_nan() {
            return Err(BadLogits::NotANumber);
        }
        greatest = greatest.max(*logit);
    }
    if !greatest.is_finite() {
        return Err(BadLogits::NothingPossible);
    }
    let greatest = f64::from(greatest);
    let sum: f64 = row.iter().map(|logit| (f64::from(*logit) - greatest).exp()).sum();
    Ok(greatest + sum.ln())
}

/// The `count` greatest logits and their ids, greatest first, of equals the lower id first.
fn likeliest(row: &[f32], count: usize) -> Vec<(u32, f32)> {
    let count = count.min(row.len());
    if count == 0 {
        return Vec::new();
    }
    let mut all: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < all.len() {
        all.select_nth_unstable_by(count - 1, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}
