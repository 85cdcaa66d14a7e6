//! The two blocks of the procedure, to the letter, from records whose times are made to give their figures.

use crate::build::{by_own_reads, log, ns, request};
use measure::{Definitions, RunSummary, Summarise, block};

/// The block of a log.
fn block_of(log: &str) -> &str {
    let from = log.find("============ Serving Benchmark Result ============").unwrap();
    let end = "==================================================\n";
    let to = from + log[from..].find(end).unwrap() + end.len();
    &log[from..to]
}

/// One request of `tokens` events that starts with a role event at `ttft_ms`, as the script counts: the gap after it is
/// `first_gap_ms`, then come gaps of `gap_ms`, whose last one ends at the last token; the stream ends at `end_ms`.
fn events(ttft_ms: f64, gaps_ms: &[f64], end_ms: f64) -> String {
    let mut at = ttft_ms;
    let mut words = format!("r{ttft_ms}");
    for gap in gaps_ms {
        at += gap;
        words.push_str(&format!(" t{at}"));
    }
    words + &format!(" d{end_ms}")
}

fn check(expected: &str, events: &str, output: u64) {
    let how = Summarise { definitions: Definitions::Vllm, ..by_own_reads() };
    let summary = RunSummary::of(&log(vec![request(0, events, 1145, output)]), &how);
    assert_eq!(block(&summary), block_of(expected));
}

#[test]
fn accuracy() {
    // 97 gaps for 97 tokens: sum 16.42 × 96 = 1576.32, mean 16.2507. Sorted, the 49th of 97 is the median 16.41; rank
    // 0.99 × 96 = 95.04 is the 96th plus 0.04 of the step to the 97th: 16.63.
    let rest = 1576.32 - 0.01 - 16.41 - 16.63 - 16.63;
    // 47 gaps below the median beside the tiny one, 46 above it beside the two largest.
    let (below, above) = (16.39, (rest - 47.0 * 16.39) / 46.0);
    assert!(above > 16.41 && above < 16.63, "{above}");
    let gaps: Vec<f64> = [vec![0.01], vec![below; 47], vec![16.41], vec![above; 46], vec![16.63; 2]].concat();
    assert_eq!(gaps.len(), 97);
    check(include_str!("../../../../tests/data/logs/seed_accuracy.txt"), &events(81.17, &gaps, 1658.4), 97);
}

#[test]
fn performance() {
    // 512 gaps for 512 tokens: sum 16.44 × 511 = 8400.84, mean 16.4079; the 256th and the 257th are the median 16.44; rank
    // 0.99 × 511 = 505.89 lies between the 506th and the 507th: 16.59.
    let rest = 8400.84 - 0.01 - 2.0 * 16.44 - 10.0 * 16.59;
    let (below, above) = ((rest - 245.0 * 16.46) / 254.0, 16.46);
    assert!(below > 16.0 && below < 16.44, "{below}");
    let gaps: Vec<f64> = [vec![0.01], vec![below; 254], vec![16.44; 2], vec![above; 245], vec![16.59; 10]].concat();
    assert_eq!((gaps.len(), ns(0.01)), (512, 10_000));
    check(include_str!("../../../../tests/data/logs/seed_performance.txt"), &events(82.05, &gaps, 8484.9), 512);
}
