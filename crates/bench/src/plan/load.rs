//! When requests are sent, how many, and how many at once.

use super::values::within;
use super::{PlanError, words};
use crate::cli::{Arrivals, RunArgs};
use serde::Serialize;

/// Requests a second at most: what one machine can send.
const RATE_MAX: f64 = 1e6;
/// Most even arrivals that a shape can ask for.
const SHAPE_MAX: f64 = 1e6;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Each as soon as there is room among those in flight.
    ClosedLoop,
    /// At given times, whatever the server does.
    OpenLoop {
        /// Even or random.
        arrivals: Arrivals,
    },
}

/// Schedule, cap and number of requests.
pub(super) fn load(args: &RunArgs) -> Result<(Schedule, Option<u32>, Option<u64>), PlanError> {
    let refuse = |en: &str, zh: &str| Err(PlanError::Combination(words(en, zh)));
    let Some(rate) = args.request_rate else { return Ok(closed_loop(args)) };
    if args.batch_size.is_some() {
        return refuse(
            "--batch_size is a closed loop and --request-rate an open one: for a cap give --max-concurrency, for the number of requests --num-prompts",
            "--batch_size 是闭环，--request-rate 是开环：在途上限请用 --max-concurrency，请求数请用 --num-prompts",
        );
    }
    if args.num_prompts.is_none() && args.duration.is_none() {
        return refuse(
            "--request-rate needs --num-prompts or --duration: how long should it go on?",
            "--request-rate 需要 --num-prompts 或 --duration：要持续多久？",
        );
    }
    // `vllm bench serve` calls "all at once" an infinite rate.
    if rate == f64::INFINITY {
        if args.max_concurrency.is_none() && args.num_prompts.is_none() {
            return refuse(
                "--request-rate inf sends everything at once: it needs --num-prompts or --max-concurrency",
                "--request-rate inf 同时发送全部请求：需要 --num-prompts 或 --max-concurrency",
            );
        }
        let all = args.num_prompts.and_then(|requests| u32::try_from(requests).ok());
        return Ok((Schedule::ClosedLoop, args.max_concurrency.or(all), args.num_prompts));
    }
    within(rate, RATE_MAX, "--request-rate")?;
    if let Some(shape) = args.burstiness {
        within(shape, SHAPE_MAX, "--burstiness")?;
        if args.arrivals == Arrivals::Constant {
            return refuse(
                "--burstiness shapes random arrivals, and --arrivals constant asks for even ones: give one of them",
                "--burstiness 用于随机到达，而 --arrivals constant 要求均匀到达：只能给出其一",
            );
        }
    }
    Ok((Schedule::OpenLoop { arrivals: args.arrivals }, args.max_concurrency, args.num_prompts))
}

fn closed_loop(args: &RunArgs) -> (Schedule, Option<u32>, Option<u64>) {
    let cap = match (args.max_concurrency, args.batch_size) {
        (Some(most), Some(batch)) => most.min(batch),
        (most, batch) => most.or(batch).unwrap_or(1),
    };
    let requests = match (args.num_prompts, args.duration) {
        (Some(requests), _) => Some(requests),
        (None, Some(_)) => None,
        // The script's meaning: as many as are sent at once.
        (None, None) => Some(u64::from(args.batch_size.unwrap_or(cap))),
    };
    (Schedule::ClosedLoop, Some(cap), requests)
}
