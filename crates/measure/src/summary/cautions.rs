//! Which cautions a run deserves.

use super::RunSummary;
use crate::caution::Caution;
use crate::record::{Degenerate, Outcome, Phase};
use crate::runlog::{ProofVerdict, RunLog};
use crate::timeline::{Definitions, Timeline};
use std::collections::HashSet;

/// All that apply, the gravest first.
pub(super) fn of(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], clock_was_set: bool) -> Vec<Caution> {
    let mut out = Vec::new();
    of_the_run(log, summary, complete, &mut out);
    of_the_images(log, complete, &mut out);
    of_the_caches(log, summary, complete, &mut out);
    of_the_tokens(log, summary, complete, &mut out);
    of_the_events(complete, &mut out);
    of_the_client(log, summary, complete, clock_was_set, &mut out);
    out
}

fn of_the_run(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    let counts = &summary.counts;
    if complete.iter().any(|line| line.record.events_left_out > 0) {
        out.push(Caution::EventsLeftOut);
    }
    if !summary.complete_run {
        let by = log.footer.as_ref().and_then(|footer| footer.interrupted.clone());
        let stopped = ["cancelled", "not_sent"].iter().filter_map(|name| counts.by_outcome.get(*name)).sum::<u64>();
        out.push(Caution::Incomplete {
            by: by.unwrap_or_else(|| "a crash".into()),
            planned: counts.planned,
            ended: counts.planned - stopped,
        });
    }
    if counts.failed > 0 && counts.complete > 0 {
        out.push(Caution::Survivors { complete: counts.complete, failed: counts.failed });
    }
    if let Some(requests) = counts.by_outcome.get("not_sent").filter(|_| summary.complete_run) {
        out.push(Caution::NotSent { requests: *requests });
    }
    if summary.definitions == Definitions::Vllm {
        out.push(Caution::OlderDefinitions);
    }
    if let Some(proof) = log.footer.as_ref().and_then(|footer| footer.image_proof.as_ref()) {
        let billed = proof.with_image.zip(proof.without_image).map(|(with, without)| with.saturating_sub(without));
        match proof.verdict {
            ProofVerdict::Seen => {}
            ProofVerdict::NotSeen => out.push(Caution::ProofNotSeen),
            ProofVerdict::BilledWithoutEffect => out.push(Caution::ProofWithoutEffect),
            ProofVerdict::Unknown => out.push(Caution::ProofUnknown),
            ProofVerdict::UnexpectedSize => out.push(Caution::ProofUnexpectedSize {
                billed: billed.unwrap_or(0),
                expected: proof.expected.unwrap_or(0),
            }),
        }
    }
    let bad: Vec<&Degenerate> = log
        .records
        .iter()
        .filter(|record| matches!(record.phase, Phase::Measured | Phase::Accuracy))
        .filter_map(|record| record.degenerate.as_ref())
        .collect();
    if let Some(Degenerate::Repeats(head) | Degenerate::BadLogprobs(head)) = bad.first() {
        out.push(Caution::Degenerate { requests: bad.len() as u64, head: head.clone() });
    }
}

fn of_the_images(log: &RunLog, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    for image in log.header.images.iter().filter(|image| image.is_turned()) {
        out.push(Caution::ImageTurned {
            name: image.name.clone(),
            stored: (image.width, image.height),
            seen: image.turned_size(),
        });
    }
    // Two to four tokens an image stand around it; the chat template adds up to some forty in all.
    const TEMPLATE_TOKENS_MAX: u64 = 64;
    let text = log.footer.as_ref().map(|footer| &footer.text_tokens.counts);
    let judged = complete.iter().find_map(|line| {
        let record = line.record;
        let billed = record.usage?.prompt?;
        let text = (*text?.get(record.prompt as usize)?)?;
        Some((record, billed, text))
    });
    let Some((record, billed, text)) = judged else { return };
    if billed < text {
        out.push(Caution::UsageBelowText { prompt: billed, text });
        return;
    }
    let expected: Option<u64> = (record.images.iter())
        .map(|image| log.header.expected_image_tokens.get(*image as usize).copied().flatten())
        .reduce(|sum, each| Some(sum? + each?))
        .flatten();
    let Some(expected) = expected.filter(|expected| *expected > 0) else { return };
    let beyond = billed - text;
    let room = TEMPLATE_TOKENS_MAX + 4 * record.images.len() as u64;
    if beyond < expected && record.images.len() > 1 {
        out.push(Caution::FewerImagesBilled {
            images: record.images.len() as u64,
            expected,
            billed_beyond_text: beyond,
        });
    } else if beyond < expected || beyond > expected + room {
        out.push(Caution::ImageTokens { billed_beyond_text: beyond, expected });
    }
}

fn of_the_caches(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    let what = |phase: Phase| -> Vec<(u32, &[u32])> {
        log.records.iter().filter(|r| r.phase == phase).map(|r| (r.prompt, r.images.as_slice())).collect()
    };
    let measured = what(Phase::Measured);
    let distinct: HashSet<_> = measured.iter().collect();
    let before: Vec<_> = [Phase::Accuracy, Phase::Preliminary, Phase::Warmup].into_iter().flat_map(what).collect();
    if measured.iter().any(|request| before.contains(request)) {
        out.push(Caution::RepeatsAccuracyRequest { cached_tokens: summary.totals.cached_tokens.filter(|c| *c > 0) });
    } else if let Some(tokens) = summary.totals.cached_tokens.filter(|tokens| *tokens > 0) {
        out.push(Caution::CachedTokens { tokens, of: summary.totals.input_tokens.unwrap_or(0) });
    }
    if distinct.len() == 1 && measured.len() > 1 {
        out.push(Caution::AllRequestsEqual { n: measured.len() as u64 });
    }
    if (1..30).contains(&complete.len()) {
        out.push(Caution::FewRequests { n: complete.len() as u64 });
    }
}

fn of_the_tokens(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    if log.header.ignore_eos {
        let wrong = |line: &&&Timeline<'_>| line.output_tokens().is_some_and(|n| n != line.record.max_tokens);
        let different = complete.iter().filter(wrong).count() as u64;
        if different > 0 {
            let asked = complete.iter().find(wrong).map_or(0, |line| line.record.max_tokens);
            out.push(Caution::OutputLength { asked, different, of: complete.len() as u64 });
        }
    }
    let unbilled = |line: &&&Timeline<'_>| line.record.usage.and_then(|usage| usage.completion).is_none();
    let requests = complete.iter().filter(unbilled).count() as u64;
    if requests > 0 {
        out.push(Caution::NoUsage { requests, retokenised: summary.totals.retokenised == requests });
    }
    if summary.totals.text_input_tokens.is_none() && !complete.is_empty() {
        out.push(Caution::TextTokensUnknown);
    }
    let differ = |line: &&&Timeline<'_>| {
        let server = line.record.usage.and_then(|usage| usage.completion);
        // One or two tokens (an end token that leaves no text) are no difference.
        server.zip(line.record.retokenised).is_some_and(|(a, b)| a.abs_diff(b) > 2 && a.abs_diff(b) * 10 > a)
    };
    if let Some(line) = complete.iter().find(differ) {
        let server = line.record.usage.and_then(|usage| usage.completion).unwrap_or(0);
        out.push(Caution::CountsDiffer { server, client: line.record.retokenised.unwrap_or(0) });
    }
}

fn of_the_events(complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    let events: u64 = complete.iter().map(|line| line.empties_left_out as u64).sum();
    if events > 0 {
        out.push(Caution::EmptyEventsLeftOut { events });
    }
    let gaps: usize = complete.iter().map(|line| line.tokens.len().saturating_sub(1)).sum();
    let together: usize = complete.iter().map(|line| line.coalesced).sum();
    if gaps > 0 && together as f64 / gaps as f64 > 0.05 {
        out.push(Caution::ManyEventsPerRead { share: together as f64 / gaps as f64 });
    }
    let known: Vec<(u64, usize)> = complete
        .iter()
        .filter(|line| line.record.events_left_out == 0)
        .filter_map(|line| Some((line.output_tokens()?, line.tokens.len())))
        .collect();
    let (tokens, events) = known.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if events > 0 && tokens as f64 / events as f64 > 1.1 {
        out.push(Caution::ManyTokensPerEvent { mean: tokens as f64 / events as f64 });
    }
}

fn of_the_client(
    log: &RunLog,
    summary: &RunSummary,
    complete: &[&Timeline<'_>],
    clock_was_set: bool,
    out: &mut Vec<Caution>,
) {
    const LATE_MS_MAX: f64 = 5.0;
    if let Some(late) = summary.metric("send_lateness_ms").filter(|late| late.p99.value > LATE_MS_MAX) {
        out.push(Caution::LateSends { p99_ms: late.p99.value });
    }
    if let Some(footer) = &log.footer {
        if let Some(ns) = footer.wall_clock_step_ns.filter(|_| clock_was_set) {
            out.push(Caution::WallClockStep { ns });
        }
        if let Some(proxy) = &footer.proxy {
            out.push(Caution::Proxy { proxy: proxy.clone() });
        }
    }
    let by_own_reads = complete.len() as u64 - summary.requests_by_kernel_clock;
    let some_kernel = log.header.client.kernel_stamps && summary.clock == crate::timeline::Clock::Kernel;
    if some_kernel && !clock_was_set && by_own_reads > 0 {
        out.push(Caution::KernelClockMissing { requests: by_own_reads, of: complete.len() as u64 });
    }
    let reopened = |record: &&crate::record::RequestRecord| {
        record.outcome != Outcome::Cancelled && record.connection.is_some_and(|c| c.reopened && c.reused == 0)
    };
    let connections = log.records.iter().filter(reopened).count() as u64;
    if connections > 0 {
        out.push(Caution::Reopened { connections });
    }
}
