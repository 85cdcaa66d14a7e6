//! One request seen under one set of definitions and one clock: where its tokens are.

use crate::event::{EventKind, EventStamp};
use crate::record::RequestRecord;
use serde::{Deserialize, Serialize};

/// What counts as a token event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Definitions {
    /// Ours: events after the role-only one that bring content, reasoning or a tool call.
    #[default]
    Standard,
    /// The older meaning, as in `vllm bench serve` and the Python script: any event with choices.
    Vllm,
}

/// Which of the two times of an event is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// The kernel's receive time, where every token event of the request has one; else our own reads throughout.
    #[default]
    Kernel,
    /// Our own reads.
    User,
}

/// The token events of one request and their times.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline<'a> {
    /// The record it was made from.
    pub record: &'a RequestRecord,
    /// Times of the token events, ns from the origin of the run, with the tokens each brought where the server tells.
    pub tokens: Vec<(u64, Option<u32>)>,
    /// The first answer token that is no reasoning.
    pub first_answer_ns: Option<u64>,
    /// The first event of any kind.
    pub first_event_ns: Option<u64>,
    /// The last event of any kind.
    pub last_event_ns: Option<u64>,
    /// How many token events the request had, those that its record left out included; `None` where the record does not
    /// tell (the older definitions and a record with events left out).
    pub token_events: Option<u64>,
    /// Empty token events left out because the server billed fewer tokens than there were token events.
    pub empties_left_out: u64,
    /// Whether the times are the kernel's.
    pub by_kernel: bool,
    /// Token events that came in the same read as the token event before them.
    pub coalesced: usize,
}

impl<'a> Timeline<'a> {
    /// Applies definitions and clock to a record.
    #[must_use]
    pub fn new(record: &'a RequestRecord, definitions: Definitions, clock: Clock) -> Self {
        let Chosen { events: chosen, count: token_events, empties_left_out } = token_events(record, definitions);
        let by_kernel =
            clock == Clock::Kernel && !chosen.is_empty() && chosen.iter().all(|event| event.kernel_ns.is_some());
        let time = |event: &EventStamp| event.kernel_ns.filter(|_| by_kernel).unwrap_or(event.user_ns);
        let answer = |event: &&&EventStamp| matches!(event.kind, EventKind::Text | EventKind::Empty);
        Self {
            record,
            tokens: chosen.iter().map(|event| (time(event), event.tokens)).collect(),
            first_answer_ns: chosen.iter().find(|event| answer(event)).map(|event| time(event)),
            first_event_ns: record.events.first().map(time),
            last_event_ns: record.events.last().map(time),
            token_events,
            empties_left_out,
            by_kernel,
            coalesced: chosen.windows(2).filter(|pair| pair[0].user_ns == pair[1].user_ns).count(),
        }
    }

    /// The first token event.
    #[must_use]
    pub fn first_token_ns(&self) -> Option<u64> {
        self.tokens.first().map(|(time, _)| *time)
    }

    /// The last token event.
    #[must_use]
    pub fn last_token_ns(&self) -> Option<u64> {
        self.tokens.last().map(|(time, _)| *time)
    }

    /// The gaps between consecutive token events, ns, each with the tokens that the later one brought. None where events
    /// were left out of the record.
    pub fn gaps(&self) -> impl Iterator<Item = (u64, Option<u32>)> + '_ {
        let tokens = if self.record.events_left_out > 0 { &[] } else { self.tokens.as_slice() };
        tokens.windows(2).map(|pair| (pair[1].0.saturating_sub(pair[0].0), pair[1].1))
    }

    /// Output tokens: what the server billed, else what the client counted over the whole text.
    #[must_use]
    pub fn output_tokens(&self) -> Option<u64> {
        self.record.usage.and_then(|usage| usage.completion).or(self.record.retokenised)
    }
}

/// The events of a record that count as tokens.
struct Chosen<'a> {
    events: Vec<&'a EventStamp>,
    count: Option<u64>,
    empties_left_out: u64,
}

/// An empty string is half a character and counts, unless there would then be more token events than tokens billed.
fn token_events(record: &RequestRecord, definitions: Definitions) -> Chosen<'_> {
    if definitions == Definitions::Vllm {
        let events: Vec<&EventStamp> = record.events.iter().filter(|event| event.kind.has_choices()).collect();
        let count = (record.events_left_out == 0).then_some(events.len() as u64);
        return Chosen { events, count, empties_left_out: 0 };
    }
    let all: Vec<&EventStamp> = record.events.iter().filter(|event| event.kind.is_token()).collect();
    let count = all.len() as u64 + record.token_events_left_out;
    let billed = record.usage.and_then(|usage| usage.completion);
    if billed.is_none_or(|billed| count <= billed) {
        return Chosen { events: all, count: Some(count), empties_left_out: 0 };
    }
    let (full, empty): (Vec<&EventStamp>, Vec<&EventStamp>) =
        all.into_iter().partition(|event| event.kind != EventKind::Empty);
    let empties = empty.len() as u64 + record.empty_events_left_out;
    Chosen { events: full, count: Some(count.saturating_sub(empties)), empties_left_out: empties }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Phase, TokenUsage};

    /// A record with one event for each letter, 10 ns apart from 1000; the kernel is 2 ns earlier.
    fn record(kinds: &str, completion: Option<u64>) -> RequestRecord {
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.sent_ns = Some(900);
        record.usage = completion.map(|completion| TokenUsage { completion: Some(completion), ..Default::default() });
        record.events = kinds
            .chars()
            .enumerate()
            .map(|(i, letter)| EventStamp {
                kind: EventKind::from_letter(letter).unwrap(),
                user_ns: 1000 + 10 * i as u64,
                kernel_ns: Some(998 + 10 * i as u64),
                bytes: 1,
                tokens: None,
            })
            .collect();
        record
    }

    fn check(kinds: &str, completion: Option<u64>, definitions: Definitions, times: &[u64], left_out: u64) {
        let record = record(kinds, completion);
        let line = Timeline::new(&record, definitions, Clock::User);
        let got: Vec<u64> = line.tokens.iter().map(|(time, _)| *time).collect();
        assert_eq!((got.as_slice(), line.empties_left_out), (times, left_out), "{kinds}");
    }

    #[test]
    fn what_counts_as_a_token() {
        use Definitions::{Standard, Vllm};
        check("rttfud", Some(2), Standard, &[1010, 1020], 0);
        check("rttfud", Some(2), Vllm, &[1000, 1010, 1020, 1030], 0);
        check("rtetud", Some(3), Standard, &[1010, 1020, 1030], 0);
        check("rtetud", Some(2), Standard, &[1010, 1030], 1);
        check("rtetud", None, Standard, &[1010, 1020, 1030], 0);
        check("rgktd", None, Standard, &[1010, 1020, 1030], 0);
        check("rnud", None, Standard, &[], 0);
        check("", None, Standard, &[], 0);
    }

    #[test]
    fn the_kernels_clock_needs_every_token_event() {
        let mut record = record("rtt", None);
        assert_eq!(Timeline::new(&record, Definitions::Standard, Clock::Kernel).first_token_ns(), Some(1008));
        record.events[2].kernel_ns = None;
        let line = Timeline::new(&record, Definitions::Standard, Clock::Kernel);
        assert_eq!((line.first_token_ns(), line.by_kernel), (Some(1010), false));
    }

    #[test]
    fn events_of_one_read_are_coalesced() {
        let mut record = record("rttt", None);
        record.events[3].user_ns = record.events[2].user_ns;
        assert_eq!(Timeline::new(&record, Definitions::Standard, Clock::User).coalesced, 1);
    }
}
