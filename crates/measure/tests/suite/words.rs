//! What is said to people: every figure has its words in both languages, and nothing unknown is said as a number.

use crate::by_stamps::{request, run, user};
use measure::{EventKind, Lang, METRICS, RunLog, RunSummary, Summarise, report};
use std::collections::HashSet;

const MS: u64 = 1_000_000;

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_figure_has_a_name_of_its_own_and_a_title_in_both_languages() {
    let mut seen = HashSet::new();
    for metric in METRICS {
        // The unit is the name's last part.
        assert!(metric.name.ends_with("_ms") && seen.insert(metric.name.to_owned()), "{}", metric.name);
        let (english, chinese) = (metric.title(Lang::En), metric.title(Lang::Zh));
        assert!(!english.is_empty() && !is_chinese(english) && seen.insert(english.to_owned()), "{english}");
        assert!(is_chinese(chinese) && seen.insert(chinese.to_owned()), "{chinese}");
    }
}

#[test]
fn every_figure_is_defined_in_the_document() {
    let document = include_str!("../../../../METRICS.md");
    for metric in METRICS {
        assert_eq!(document.matches(&format!("\n| `{}` | ", metric.name)).count(), 1, "{}", metric.name);
    }
}

/// A run in which every figure is known and differs from the others: a role event, a word of reasoning, two tokens an event, on a
/// new connection, sent after its time.
fn rich() -> RunLog {
    let mut events = vec![(EventKind::Role, 50 * MS), (EventKind::Reasoning, 80 * MS)];
    events.extend((0..60).map(|i| (EventKind::Text, (100 + 20 * i) * MS)));
    let mut record = request(0, 122, &events);
    record.events.iter_mut().filter(|event| event.kind.is_token()).for_each(|event| event.tokens = Some(2));
    (record.admitted_ns, record.sent_ns) = (Some(MS), Some(3 * MS));
    record.connection = Some(measure::Connection { id: 1, reused: 0, connect_ns: 3 * MS, reopened: false });
    run(vec![record])
}

/// The row of a figure in a report.
fn row<'a>(text: &'a str, title: &str) -> Option<&'a str> {
    text.lines().find(|line| line.strip_prefix(title).is_some_and(|rest| rest.starts_with("  ")))
}

#[test]
fn every_figure_is_in_the_report() {
    let log = rich();
    let summary = RunSummary::of(&log, &user());
    assert_eq!(summary.metrics.len(), METRICS.len());
    for lang in [Lang::En, Lang::Zh] {
        let text = report(&log, &summary, lang);
        for metric in METRICS {
            let row = row(&text, metric.title(lang)).unwrap_or_else(|| panic!("{}: {text}", metric.name));
            let mean = format!(" {:.3} ", summary.metric(metric.name).unwrap().mean.value);
            assert!(row.contains(&mean), "{row}");
        }
        for caution in &summary.cautions {
            assert!(text.contains(&caution.text(lang)), "{text}");
        }
    }
}

#[test]
fn a_row_that_repeats_another_is_left_out_and_one_value_is_shown_once() {
    let record = request(0, 2, &[(EventKind::Text, 100 * MS), (EventKind::Text, 120 * MS)]);
    let log = run(vec![record]);
    let text = report(&log, &RunSummary::of(&log, &user()), Lang::En);
    for title in ["First event", "First answer token", "Wait in the client"] {
        assert_eq!(row(&text, title), None, "{text}");
    }
    let ttft = row(&text, "TTFT").unwrap();
    assert_eq!(ttft.split_whitespace().collect::<Vec<_>>(), ["TTFT", "1", "100.000", "-", "-", "-", "-", "-"]);
}

#[test]
fn what_a_record_of_bounds_cannot_tell_is_not_told() {
    let whole = rich();
    let mut bounds = whole.clone();
    bounds.records[0].leave_out_events();
    assert!(bounds.records[0].events_left_out > 0);
    let gaps = |name: &str| METRICS.iter().any(|metric| metric.name == name && metric.pooled);
    for lang in [Lang::En, Lang::Zh] {
        let [all, left] = [&whole, &bounds].map(|log| report(log, &RunSummary::of(log, &user()), lang));
        for metric in METRICS {
            let title = metric.title(lang);
            let want = if gaps(metric.name) { None } else { row(&all, title) };
            assert_eq!(row(&left, title), want, "{}", metric.name);
        }
        let peak = lang.pick("peak n/a", "峰值 n/a");
        assert!(left.contains(peak) && !all.contains(peak), "{left}");
        assert!(left.contains("--detail summary") && !all.contains("--detail summary"), "{left}");
    }
}

#[test]
fn a_request_too_short_to_leave_anything_out_keeps_its_gaps() {
    let events = [(EventKind::Role, 9), (EventKind::Text, 10), (EventKind::Text, 30), (EventKind::Done, 31)];
    let mut record = request(0, 2, &events.map(|(kind, ms)| (kind, ms * MS)));
    record.leave_out_events();
    let log = run(vec![record]);
    let summary = RunSummary::of(&log, &user());
    assert_eq!(summary.metric("itl_ms").map(|metric| (metric.n, metric.mean.value)), Some((1, 20.0)));
    assert!(!report(&log, &summary, Lang::En).contains("--detail summary"));
}

#[test]
fn an_unknown_value_is_no_number_in_any_language() {
    // Without usage, without events, with no time between send and end, and with nothing at all.
    let mut unbilled = rich();
    unbilled.records[0].usage = None;
    let silent = run(vec![request(0, 0, &[])]);
    let instant = run(vec![request(0, 1, &[(EventKind::Text, 0)])]);
    for (name, log) in [("unbilled", unbilled), ("silent", silent), ("instant", instant), ("nothing", run(Vec::new()))]
    {
        let summary = RunSummary::of(&log, &Summarise::default());
        assert_eq!(summary.throughput.output_tokens_per_s, None, "{name}");
        for lang in [Lang::En, Lang::Zh] {
            let text = report(&log, &summary, lang) + &measure::block(&summary);
            let bad = ["NaN", "inf ", "inf,", "null", "None", "Some("].into_iter().find(|bad| text.contains(bad));
            assert_eq!(bad, None, "{name}: {text}");
            // Where nothing completed there are no figures to be unknown.
            let said = text.contains(lang.pick("output n/a", "输出 n/a"));
            assert_eq!(said, summary.counts.complete > 0, "{name}: {text}");
            assert!(text.contains("Output token throughput (tok/s):         n/a       \n"), "{name}: {text}");
        }
    }
}
