//! Which cautions a run deserves.

use super::RunSummary;
use crate::caution::{Caution, Unproved, WarmCache};
use crate::record::{Degenerate, Outcome, Phase, RequestRecord};
use crate::runlog::{ImageProof, ProofVerdict, RunLog};
use crate::timeline::{Clock, Definitions, Timeline};
use std::collections::HashSet;

/// All that apply, the gravest first.
pub(super) fn of(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], clock_was_set: bool) -> Vec<Caution> {
    let mut out = Vec::new();
    of_the_run(log, summary, complete, &mut out);
    of_the_images(log, complete, &mut out);
    out.extend(warm_cache(log, summary, complete));
    if (1..30).contains(&complete.len()) {
        out.push(Caution::FewRequests { n: complete.len() as u64 });
    }
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
        out.push(Caution::Incomplete {
            by: log.footer.as_ref().and_then(|footer| footer.interrupted.clone()),
            planned: counts.planned,
            ended: counts.planned - counts.unrecorded - without_an_end(summary),
        });
    }
    let failed = counts.failed - without_an_end(summary);
    if failed > 0 && counts.complete > 0 {
        out.push(Caution::Survivors { complete: counts.complete, failed });
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
            ProofVerdict::BilledWithoutEffect => {
                out.push(Caution::ProofWithoutEffect { logprobs: proof.logprob_change.is_some() });
            }
            ProofVerdict::Unknown => out.push(Caution::ProofUnknown { why: why_unproved(log, proof) }),
            ProofVerdict::UnexpectedSize => out.push(Caution::ProofUnexpectedSize {
                billed: billed.unwrap_or(0),
                expected: proof.expected.unwrap_or(0),
            }),
        }
    }
    let answers =
        || log.records.iter().filter(|record| record.phase == Phase::Accuracy && record.outcome == Outcome::Complete);
    let cut_off = answers().filter(|record| record.finish_reason.as_deref() == Some("length")).count() as u64;
    if cut_off > 0 {
        out.push(Caution::AnswersCutOff { answers: cut_off, of: answers().count() as u64 });
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

/// Requests that did not fail: they were never sent, or stopped with the run.
fn without_an_end(summary: &RunSummary) -> u64 {
    ["cancelled", "not_sent"].iter().filter_map(|name| summary.counts.by_outcome.get(*name)).sum()
}

fn of_the_images(log: &RunLog, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    for image in log.header.images.iter().filter(|image| image.is_turned()) {
        out.push(Caution::ImageTurned {
            name: image.name.clone(),
            stored: (image.width, image.height),
            seen: image.turned_size(),
        });
    }
    if let Some((prompt, text)) = judged(log, complete).map(|(_, billed, text)| (billed, text)).find(|(b, t)| b < t) {
        out.push(Caution::UsageBelowText { prompt, text });
        return;
    }
    out.extend(judged(log, complete).find_map(|(record, billed, text)| image_tokens(log, record, billed - text)));
}

/// The requests whose prompt tokens are known to the server and to us: record, billed, tokens of the text.
fn judged<'a>(log: &'a RunLog, complete: &[&Timeline<'a>]) -> impl Iterator<Item = (&'a RequestRecord, u64, u64)> {
    let text = log.footer.as_ref().map(|footer| &footer.text_tokens.counts);
    complete.iter().filter_map(move |line| {
        let text = (*text?.get(line.record.prompt as usize)?)?;
        Some((line.record, line.record.usage?.prompt?, text))
    })
}

fn image_tokens(log: &RunLog, record: &RequestRecord, billed_beyond_text: u64) -> Option<Caution> {
    // Two to four tokens an image stand around it; the chat template adds up to some forty in all.
    const TEMPLATE_TOKENS_MAX: u64 = 64;
    let expected = log.header.expected_tokens(&record.images).filter(|expected| *expected > 0)?;
    let images = record.images.len() as u64;
    let too_few = billed_beyond_text < expected;
    let too_many = billed_beyond_text.saturating_sub(expected) > TEMPLATE_TOKENS_MAX + 4 * images;
    match images {
        2.. if too_few => Some(Caution::FewerImagesBilled { images, expected, billed_beyond_text }),
        _ => (too_few || too_many).then_some(Caution::ImageTokens { billed_beyond_text, expected }),
    }
}

/// One caution on caches, or none: where nothing was measured, where `--cold` made every request different, and where
/// the server itself says of requests without images that nothing came from its cache.
fn warm_cache(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>]) -> Option<Caution> {
    // A cache of pictures answers whatever is asked of them.
    let key = |record: &RequestRecord| match record.images.is_empty() {
        true => (Some(record.prompt), Vec::new()),
        false => (None, record.images.clone()),
    };
    let sent = |record: &&RequestRecord| record.sent_ns.is_some();
    let is_before =
        |record: &&RequestRecord| matches!(record.phase, Phase::Accuracy | Phase::Preliminary | Phase::Warmup);
    let mut seen: HashSet<_> = log.records.iter().filter(is_before).filter(sent).map(key).collect();
    let measured: Vec<_> = log.records.iter().filter(|record| record.phase == Phase::Measured).filter(sent).collect();
    let repeated = measured.iter().filter(|record| !seen.insert(key(record))).count() as u64;
    let images = measured.iter().any(|record| !record.images.is_empty());
    let telling = complete.iter().filter_map(|line| line.record.usage.filter(|usage| usage.cached.is_some()));
    let telling: Vec<_> = telling.collect();
    let cached_tokens = summary.totals.cached_tokens;
    let none_cached = cached_tokens == Some(0) && !images && telling.len() == complete.len();
    let all_cold = log.header.plan["cold"] == true && repeated == 0;
    let untold = repeated == 0 && cached_tokens.unwrap_or(0) == 0;
    if complete.is_empty() || none_cached || all_cold || untold {
        return None;
    }
    Some(Caution::WarmCache(WarmCache {
        requests: measured.len() as u64,
        repeated,
        images,
        by_duration: log.header.plan["requests"].is_null() && !log.header.plan["duration_s"].is_null(),
        cached_tokens,
        prompt_tokens: cached_tokens
            .map(|_| telling.iter().filter_map(|usage| usage.prompt).fold(0, u64::saturating_add)),
    }))
}

fn of_the_tokens(log: &RunLog, summary: &RunSummary, complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    if log.header.ignore_eos {
        // The client's own count knows no tokens that leave no text: only a clear difference tells.
        let wrong = |line: &&&Timeline<'_>| {
            let (asked, billed) = (line.record.max_tokens, line.record.usage.and_then(|usage| usage.completion));
            let clear = |counted: u64| counted.abs_diff(asked).saturating_mul(10) > asked;
            billed.map_or_else(|| line.record.retokenised.is_some_and(clear), |billed| billed != asked)
        };
        let different = complete.iter().filter(wrong).count() as u64;
        if different > 0 {
            let asked = complete.iter().find(wrong).map_or(0, |line| line.record.max_tokens);
            out.push(Caution::OutputLength { asked, different, of: complete.len() as u64 });
        }
    }
    let unbilled = |line: &&&Timeline<'_>| line.record.usage.and_then(|usage| usage.completion).is_none();
    let requests = complete.iter().filter(unbilled).count() as u64;
    // Counting comes at the very end of a run: before it, nobody has tried yet.
    let counted = log.footer.as_ref().is_some_and(|footer| !footer.text_tokens.counts.is_empty());
    if requests > 0 && (counted || summary.totals.retokenised == requests) {
        out.push(Caution::NoUsage { requests, retokenised: summary.totals.retokenised == requests });
    }
    if summary.totals.text_input_tokens.is_none() && !complete.is_empty() {
        out.push(if counted { Caution::TextTokensUnknown } else { Caution::TextTokensNotCounted });
    }
    let differ = |line: &&&Timeline<'_>| {
        let server = line.record.usage.and_then(|usage| usage.completion);
        // One or two tokens (an end token that leaves no text) are no difference.
        server
            .zip(line.record.retokenised)
            .is_some_and(|(a, b)| a.abs_diff(b) > 2 && a.abs_diff(b).saturating_mul(10) > a)
    };
    if let Some(line) = complete.iter().find(differ) {
        let server = line.record.usage.and_then(|usage| usage.completion).unwrap_or(0);
        out.push(Caution::CountsDiffer { server, client: line.record.retokenised.unwrap_or(0) });
    }
}

fn why_unproved(log: &RunLog, proof: &ImageProof) -> Unproved {
    // The last four: before them may stand those that a server refused for asking for log probabilities.
    let questions: Vec<_> = log.records.iter().rev().filter(|record| record.phase == Phase::Proof).take(4).collect();
    if questions.is_empty() {
        Unproved::NotDecoded
    } else if questions.iter().any(|record| record.outcome != Outcome::Complete) {
        Unproved::Unanswered
    } else if proof.with_image.is_none() || proof.without_image.is_none() {
        Unproved::NoUsage
    } else {
        Unproved::Unsteady
    }
}

fn of_the_events(complete: &[&Timeline<'_>], out: &mut Vec<Caution>) {
    let events: u64 = complete.iter().map(|line| line.empties_left_out).sum();
    if events > 0 {
        out.push(Caution::EmptyEventsLeftOut { events });
    }
    let gaps: usize = complete.iter().map(|line| line.tokens.len().saturating_sub(1)).sum();
    let together: usize = complete.iter().map(|line| line.coalesced).sum();
    if gaps > 0 && together as f64 / gaps as f64 > 0.05 {
        out.push(Caution::ManyEventsPerRead { share: together as f64 / gaps as f64 });
    }
    let known = complete.iter().filter_map(|line| Some((line.output_tokens()?, line.token_events?)));
    let (tokens, events) =
        known.fold((0, 0), |sum: (u64, u64), one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)));
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
    if let Some(late) = summary.metric("send_lateness_ms").filter(|late| late.p99.value > super::client::LATE_MS_MAX) {
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
    let by_own_reads = complete.iter().filter(|line| !line.by_kernel && !line.tokens.is_empty()).count() as u64;
    let some_kernel = log.header.client.kernel_stamps && summary.clock == Clock::Kernel;
    if some_kernel && !clock_was_set && by_own_reads > 0 {
        out.push(Caution::KernelClockMissing { requests: by_own_reads, of: complete.len() as u64 });
    }
    let reopened = |record: &&RequestRecord| {
        record.outcome != Outcome::Cancelled && record.connection.is_some_and(|c| c.reopened && c.reused == 0)
    };
    let connections = log.records.iter().filter(reopened).count() as u64;
    if connections > 0 {
        out.push(Caution::Reopened { connections });
    }
}
