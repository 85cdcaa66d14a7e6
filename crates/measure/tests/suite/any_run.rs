//! Statements that hold for any run: rates, orders of figures, and that nothing depends on where time begins, on the order
//! of the records or on the way through the disk.

use crate::by_stamps::{request, run, shift, user};
use measure::{
    Clock, Connection, Definitions, EventKind, Line, METRICS, Outcome, RequestRecord, RunLog, RunSummary, SloLimit,
    Summarise, TimeLimit,
};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

const SPAN_NS: u64 = 3_300_000_000;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Complete),
        1 => Just(Outcome::ServerError { message: "\"显存\u{2028}不足\"".into() }),
        1 => Just(Outcome::Truncated { reason: "no end marker".into() }),
        1 => Just(Outcome::TimedOut { limit: TimeLimit::Idle }),
        1 => Just(Outcome::Cancelled),
    ]
}

/// Events at distinct times after the send, the last one no token; some billed tokens; a start and a round.
fn record() -> impl Strategy<Value = RequestRecord> {
    let kinds = vec(proptest::sample::select(["r", "t", "t", "t", "e", "g", "k", "f", "u", "n", "o"].as_slice()), 40);
    (
        btree_set(1..SPAN_NS, 1..40),
        kinds,
        0u64..300,
        0..SPAN_NS,
        0u32..3,
        outcome(),
        proptest::option::of(0u64..2_000_000),
        any::<bool>(),
    )
        .prop_map(|(times, kinds, billed, start_ns, round, outcome, lag_ns, reused)| {
            let kind = |word: &str| word.chars().next().and_then(EventKind::from_letter).unwrap();
            let mut events: Vec<_> = kinds.iter().zip(&times).map(|(word, ns)| (kind(word), *ns)).collect();
            events.push((EventKind::Done, SPAN_NS));
            let mut record = RequestRecord { round, outcome, ..request(0, billed, &events) };
            record.connection = Some(Connection { id: 1, reused: u32::from(reused), connect_ns: 7, reopened: false });
            shift(&mut record, start_ns);
            for event in &mut record.events {
                event.kernel_ns = lag_ns.map(|lag_ns| event.user_ns.saturating_sub(lag_ns));
            }
            record
        })
}

fn any_log() -> impl Strategy<Value = RunLog> {
    vec(record(), 1..7).prop_map(|mut records| {
        records.iter_mut().zip(0..).for_each(|(record, index)| record.index = index);
        run(records)
    })
}

fn any_how() -> impl Strategy<Value = Summarise> {
    let definitions = prop_oneof![Just(Definitions::Standard), Just(Definitions::Vllm)];
    (definitions, prop_oneof![Just(Clock::Kernel), Just(Clock::User)], 0.0f64..4000.0).prop_map(
        |(definitions, clock, max)| {
            let goodput = vec![SloLimit { metric: "ttft_ms".into(), max }];
            Summarise { definitions, clock, goodput, ..Summarise::default() }
        },
    )
}

/// The most requests whose send lies at or before an instant at which they have not ended, tried at every send.
fn in_flight(log: &RunLog) -> Option<u64> {
    let spans: Vec<_> = log.records.iter().filter_map(|record| record.sent_ns.zip(record.ended_ns)).collect();
    let at = |now: u64| spans.iter().filter(|(sent, ended)| *sent <= now && now < *ended).count() as u64;
    spans.iter().map(|(sent, _)| at(*sent)).max()
}

proptest! {
    #[test]
    fn rates_agree_with_counts_and_time(log in any_log(), how in any_how()) {
        let summary = RunSummary::of(&log, &how);
        let (rates, seconds) = (&summary.throughput, summary.duration_s.unwrap());
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
        if let Some(rate) = rates.requests_per_s {
            prop_assert!(near(rate * seconds, summary.counts.complete as f64));
        }
        if let (Some(average), Some(peak)) = (rates.output_tokens_per_s, rates.peak_output_tokens_per_s) {
            prop_assert!(near(average * seconds, summary.totals.output_tokens.unwrap() as f64));
            prop_assert!(peak >= average * (1.0 - 1e-9), "peak {} below the average {}", peak, average);
        }
        prop_assert_eq!(rates.output_tokens_per_s.is_some(), rates.peak_output_tokens_per_s.is_some());
        prop_assert_eq!(rates.concurrency_max, in_flight(&log));
        let goodput = summary.goodput.unwrap();
        prop_assert!(goodput.good <= summary.counts.complete);
        prop_assert!(near(goodput.requests_per_s.unwrap() * seconds, goodput.good as f64));
        let counts = summary.counts;
        prop_assert_eq!(counts.complete + counts.failed, counts.planned);
        prop_assert_eq!(counts.by_outcome.values().sum::<u64>(), counts.planned);
    }

    #[test]
    fn statistics_are_in_order_and_none_is_made_of_nothing(log in any_log(), how in any_how()) {
        let summary = RunSummary::of(&log, &how);
        for metric in &summary.metrics {
            let line = [metric.min, metric.median.value, metric.p90.value, metric.p95.value, metric.p99.value, metric.max];
            prop_assert!(line.windows(2).all(|pair| pair[0] <= pair[1]), "{}: {:?}", metric.name, line);
            prop_assert!(metric.n > 0 && metric.std >= 0.0);
            prop_assert!((metric.min..=metric.max).contains(&metric.mean.value) || metric.max - metric.min < 1e-6);
            let pooled = METRICS.iter().any(|known| known.name == metric.name && known.pooled);
            if pooled {
                prop_assert_eq!((metric.mean.interval, metric.p99.interval), (None, None));
            } else {
                prop_assert_eq!(metric.n + metric.undefined, summary.counts.complete, "{}", &metric.name);
            }
        }
        // Each request alone: its first event, first token, first answer and end follow one another.
        for record in &log.records {
            let complete = RequestRecord { outcome: Outcome::Complete, ..record.clone() };
            let one = RunSummary::of(&run(vec![complete]), &how);
            let names = ["first_event_ms", "ttft_ms", "first_answer_ms", "e2e_ms"];
            let line: Vec<f64> = names.iter().filter_map(|name| Some(one.metric(name)?.mean.value)).collect();
            prop_assert!(line.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", line);
        }
    }

    #[test]
    fn where_time_begins_and_which_record_comes_first_do_not_matter(
        log in any_log(),
        how in any_how(),
        by_ns in 0u64..1_000_000_000_000_000,
    ) {
        let summary = RunSummary::of(&log, &how);
        let mut later = log.clone();
        later.records.iter_mut().for_each(|record| shift(record, by_ns));
        later.records.reverse();
        let other = RunSummary::of(&later, &how);
        prop_assert_eq!(&other.metrics, &summary.metrics);
        prop_assert_eq!(&other.counts, &summary.counts);
        prop_assert_eq!(&other.totals, &summary.totals);
        prop_assert_eq!(&other.goodput, &summary.goodput);
        prop_assert_eq!(other.duration_s, summary.duration_s);
        prop_assert_eq!(other.throughput.concurrency_max, summary.throughput.concurrency_max);
        prop_assert_eq!(other.burst_spread_ms, summary.burst_spread_ms);
    }

    #[test]
    fn a_log_from_the_disk_gives_the_same_figures(log in any_log(), how in any_how(), cut in any::<prop::sample::Index>()) {
        let mut lines = vec![Line::Header(Box::new(log.header.clone()))];
        lines.extend(log.records.iter().rev().map(|record| Line::Request(Box::new(record.clone()))));
        lines.push(Line::Footer(Box::new(log.footer.clone().unwrap())));
        let text: String = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect();
        let read = RunLog::parse(&text).unwrap();
        prop_assert_eq!(&read, &log);
        prop_assert_eq!(RunSummary::of(&read, &how), RunSummary::of(&log, &how));
        // Cut off anywhere behind the header, the records of whole lines are there, each as it was.
        let header_bytes = text.find('\n').unwrap() + 1;
        let end = header_bytes + cut.index(text.len() - header_bytes);
        let torn = RunLog::parse_bytes(&text.as_bytes()[..end]).unwrap();
        let whole_lines = text.as_bytes()[header_bytes..end].iter().filter(|byte| **byte == b'\n').count();
        prop_assert!([whole_lines, whole_lines + 1].contains(&(torn.records.len() + usize::from(torn.footer.is_some()))));
        prop_assert!(torn.records.iter().all(|record| log.records.contains(record)));
    }

    #[test]
    fn a_longer_time_is_longer_by_as_much(log in any_log(), definitions in any::<bool>()) {
        // Times twice as long: twice the latencies and durations, half the rates.
        let definitions = if definitions { Definitions::Vllm } else { Definitions::Standard };
        let how = Summarise { definitions, ..user() };
        let mut slow = log.clone();
        for record in &mut slow.records {
            for time in [&mut record.admitted_ns, &mut record.sent_ns, &mut record.body_sent_ns, &mut record.ended_ns] {
                *time = time.map(|time| 2 * time);
            }
            record.intended_ns *= 2;
            record.connection = None;
            record.events.iter_mut().for_each(|event| event.user_ns *= 2);
        }
        let (fast, slow) = (RunSummary::of(&log, &how), RunSummary::of(&slow, &how));
        let near = |twice: f64, once: f64| (twice - 2.0 * once).abs() <= 1e-9 * twice.abs().max(1.0);
        prop_assert!(near(slow.duration_s.unwrap(), fast.duration_s.unwrap()));
        for metric in &slow.metrics {
            let once = fast.metric(&metric.name).unwrap();
            prop_assert!(near(metric.mean.value, once.mean.value) && near(metric.p99.value, once.p99.value));
            prop_assert_eq!((metric.n, metric.undefined), (once.n, once.undefined));
        }
        let rate = |summary: &RunSummary| summary.throughput.output_tokens_per_s.unwrap_or(0.0);
        prop_assert!(near(rate(&fast), rate(&slow)));
    }
}
