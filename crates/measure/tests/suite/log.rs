//! The log on disk: what a crash leaves is read, what is damaged is refused.

use crate::build::{by_own_reads, footer, header, request};
use measure::{Line, LogError, Outcome, Phase, RequestRecord, RunLog, RunSummary};
use proptest::prelude::*;

fn line(line: &Line) -> String {
    serde_json::to_string(line).unwrap() + "\n"
}

/// Header, two requests (the second ended first) and a footer.
fn lines() -> [String; 4] {
    let mut failed = request(0, "r90 t100 x120", 11, 1);
    failed.outcome = Outcome::ServerError { message: "显存不足 🚧".into() };
    let mut unbilled = request(1, "r90 t100 t120 d121", 11, 2);
    unbilled.usage = None;
    let mut footer = footer(3);
    footer.retokenised = vec![(1, 7)];
    [
        line(&Line::Header(Box::new(header()))),
        line(&Line::Request(Box::new(unbilled))),
        line(&Line::Request(Box::new(failed))),
        line(&Line::Footer(Box::new(footer))),
    ]
}

#[test]
fn a_whole_log() {
    let log = RunLog::parse(&lines().concat()).unwrap();
    assert!(log.is_whole());
    assert_eq!(log.records.iter().map(|record| record.index).collect::<Vec<_>>(), [0, 1]);
    // What the footer says of a request is put into its record.
    assert_eq!((log.records[0].retokenised, log.records[1].retokenised), (None, Some(7)));
    assert_eq!(log.records[0].outcome.cause(measure::Lang::En), "显存不足 🚧");
    // The same by another system's line ends, and without the last one.
    let text = lines().concat();
    assert_eq!(RunLog::parse(&text.replace('\n', "\r\n")).unwrap(), log);
    assert_eq!(RunLog::parse(text.trim_end()).unwrap(), log);
    assert_eq!(RunLog::parse(&text.replace('\n', "\n\n")).unwrap(), log);
}

#[test]
fn killed_between_two_lines() {
    let [header, first, second, _] = lines();
    let log = RunLog::parse(&(header.clone() + &first + &second)).unwrap();
    assert_eq!((log.records.len(), log.footer.is_none(), log.is_whole()), (2, true, false));
    assert_eq!(RunLog::parse(&header).unwrap().records.len(), 0);
}

#[test]
fn torn_anywhere_in_the_last_line() {
    let [header, first, second, footer] = lines();
    for (whole, torn, records) in [(header.clone() + &first, &second, 1), (header + &first + &second, &footer, 2)] {
        // The line without its end is whole; every shorter piece of it, cut in a character too, is dropped.
        for cut in 0..torn.len() - 1 {
            let bytes = [whole.as_bytes(), &torn.as_bytes()[..cut]].concat();
            let log = RunLog::parse_bytes(&bytes).unwrap();
            assert_eq!((log.records.len(), log.is_whole()), (records, false), "{cut}");
        }
    }
    // What a file system may leave after a loss of power.
    let [header, first, ..] = lines();
    assert_eq!(RunLog::parse_bytes(&[(header + &first).as_bytes(), &[0; 512]].concat()).unwrap().records.len(), 1);
}

#[test]
fn damage_is_refused_with_its_line() {
    let [header, first, second, footer] = lines();
    let bad = |lines: &[&str]| match RunLog::parse(&lines.concat()) {
        Err(LogError::BadLine { line, why }) => (line, why),
        other => panic!("{other:?}"),
    };
    let torn = format!("{}\n", &second[..second.len() / 2]);
    assert_eq!(bad(&[&header, &torn, &first]).0, 2);
    // With its line end it was written whole: not what a crash leaves.
    assert_eq!(bad(&[&header, &first, &torn]).0, 3);
    assert_eq!(bad(&[&header, "\n", &torn, &first]).0, 3);
    assert_eq!(bad(&[&header, &first, &header]), (3, "a second header".into()));
    assert_eq!(bad(&[&header, &footer, &first]), (3, "the log goes on after its footer".into()));
    assert_eq!(bad(&[&header, "{\"type\":\"unheard-of\"}\n", &footer]).0, 2);
    let bytes = [header.as_bytes(), b"{\"type\":\"\xff\"}\n", first.as_bytes()].concat();
    assert!(matches!(RunLog::parse_bytes(&bytes), Err(LogError::BadLine { line: 2, .. })));
}

#[test]
fn what_is_no_log_and_what_is_a_newer_one() {
    let [header, first, ..] = lines();
    for text in ["", "\n\n", "hello", "[1]\n", "null", "{}\n", &first, &header[..header.len() / 2]] {
        assert_eq!(RunLog::parse(text), Err(LogError::NoHeader), "{text}");
    }
    // A newer form may have any fields.
    let newer = "{\"type\":\"header\",\"schema\":2,\"colour\":\"red\"}\n";
    assert_eq!(RunLog::parse(newer), Err(LogError::Newer { found: 2 }));
    let huge = "{\"type\":\"header\",\"schema\":18446744073709551615}\n";
    assert_eq!(RunLog::parse(huge), Err(LogError::Newer { found: u32::MAX }));
    let lacking = "{\"type\":\"header\",\"schema\":1}\n";
    assert!(matches!(RunLog::parse(lacking), Err(LogError::BadLine { line: 1, .. })));
    // Fields that a later writer of the same form adds are passed over.
    let more = header.replacen("{", "{\"colour\":\"red\",", 1);
    assert_eq!(RunLog::parse(&more).unwrap(), RunLog::parse(&header).unwrap());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..2000) {
        let _ = RunLog::parse_bytes(&bytes);
        let mut log = lines().concat().into_bytes();
        let at = at.min(log.len());
        log.splice(at..at, bytes);
        let _ = RunLog::parse_bytes(&log);
    }

    #[test]
    fn any_times_are_summarised_without_panic(
        times in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), 0u32..3, any::<bool>()), 0..8),
        billed in proptest::option::of(any::<u64>()),
    ) {
        let records = times.iter().zip(0..).map(|((sent, at, end, round, complete), index)| {
            let mut record = RequestRecord::planned(index, Phase::Measured);
            record.round = *round;
            (record.sent_ns, record.ended_ns, record.intended_ns) = (Some(*sent), Some(*end), *end);
            record.events = request(0, "r90 t100 t120 d121", 11, 2).events;
            record.events[1].user_ns = *at;
            record.events[3].kernel_ns = Some(*end);
            record.usage = Some(measure::TokenUsage { prompt: billed, completion: billed, ..Default::default() });
            if *complete {
                record.outcome = Outcome::Complete;
            }
            record
        });
        let log = RunLog { header: header(), records: records.collect(), footer: Some(footer(u64::MAX)) };
        let summary = RunSummary::of(&log, &by_own_reads());
        let _ = (measure::block(&summary), measure::report(&log, &summary, measure::Lang::En));
    }
}
