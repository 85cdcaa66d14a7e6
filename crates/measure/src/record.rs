//! The raw record of one request: everything observed, nothing computed.
//!
//! All times are integer nanoseconds on the monotonic clock, counted from the origin of the run (the header says where
//! that lies). It must not know what counts as a token, nor which clock is believed.

use crate::event::{EventKind, EventStamp};
use crate::lang::Lang;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which part of the run a request belongs to. Only `Measured` enters figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The one request before the load whose answer is printed.
    Accuracy,
    /// The same with `--ignore-eos`: nothing is printed.
    Preliminary,
    /// Before the measured rounds, by `--warmup`.
    Warmup,
    /// What the figures are made of.
    Measured,
    /// Sent by `--image-proof`.
    Proof,
}

/// Which limit a request ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimit {
    /// No token within the limit for the first one.
    FirstToken,
    /// Nothing arrived for too long.
    Idle,
    /// The whole request took too long.
    Total,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// A finish reason, the end marker and at least one token (unless 0 were asked for).
    Complete,
    /// The stream ended early.
    Truncated {
        /// What was missing.
        reason: String,
    },
    /// The server refused or failed, by status or by an error event inside the stream.
    ServerError {
        /// The server's own words.
        message: String,
    },
    /// A limit was reached.
    TimedOut {
        /// Which.
        limit: TimeLimit,
    },
    /// No connection, or it was lost before any answer.
    ConnectFailed {
        /// The system's words.
        message: String,
    },
    /// Never sent: the cap on requests in flight was reached, or the run had ended.
    NotSent {
        /// Why.
        reason: String,
    },
    /// Stopped by the user or by the end of the run.
    Cancelled,
}

impl Outcome {
    /// The outcome's machine name, as in the JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated { .. } => "truncated",
            Self::ServerError { .. } => "server_error",
            Self::TimedOut { .. } => "timed_out",
            Self::ConnectFailed { .. } => "connect_failed",
            Self::NotSent { .. } => "not_sent",
            Self::Cancelled => "cancelled",
        }
    }

    /// What went wrong, for grouping failures; empty for a complete request. What is said by us is in the language, what
    /// was recorded in words (the server's, the system's) is as it was recorded. Files hold the English.
    #[must_use]
    pub fn cause(&self, lang: Lang) -> String {
        match self {
            Self::Complete | Self::Cancelled => String::new(),
            Self::ConnectFailed { message } => lang.pick(message.clone(), format!("连接失败：{message}")),
            Self::Truncated { reason: words }
            | Self::NotSent { reason: words }
            | Self::ServerError { message: words } => words.clone(),
            Self::TimedOut { limit: TimeLimit::FirstToken } => {
                lang.pick("no first token in time", "时限内没有首个 token").into()
            }
            Self::TimedOut { limit: TimeLimit::Idle } => {
                lang.pick("nothing arrived for too long", "过久没有任何数据").into()
            }
            Self::TimedOut { limit: TimeLimit::Total } => lang.pick("the request took too long", "整个请求超时").into(),
        }
    }
}

/// The server's token counts, as it sent them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Prompt tokens, images included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt: Option<u64>,
    /// Generated tokens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completion: Option<u64>,
    /// Prompt tokens taken from the server's prefix cache.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached: Option<u64>,
    /// Generated tokens that were reasoning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning: Option<u64>,
}

/// The connection a request went over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Number of the connection within the run.
    pub id: u32,
    /// How many requests it had carried before.
    pub reused: u32,
    /// What opening it took, TLS and proxy included. Never part of TTFT.
    pub connect_ns: u64,
    /// It was opened in place of one that had been idle for too long.
    pub reopened: bool,
}

/// Output that no working model produces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degenerate {
    /// One short piece of text over and over; the text's head.
    Repeats(String),
    /// Log probabilities that are null or no finite number; the text's head.
    BadLogprobs(String),
}

/// Everything observed of one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Number of the request within the run, in planned order.
    pub index: u64,
    /// Which part of the run it belongs to.
    pub phase: Phase,
    /// Which round, from 0.
    pub round: u32,
    /// Which prompt of the header.
    pub prompt: u32,
    /// Which images of the header, in their order in the message.
    #[serde(default)]
    pub images: Vec<u32>,
    /// The tokens asked for at most.
    pub max_tokens: u64,
    /// When it was to be sent.
    pub intended_ns: u64,
    /// When the cap on requests in flight let it go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub admitted_ns: Option<u64>,
    /// Just before the first write.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sent_ns: Option<u64>,
    /// When the last byte of the request had been handed to the kernel.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body_sent_ns: Option<u64>,
    /// The longer of the writes that began and ended the request: from the clock before it to the clock after it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub write_ns_max: Option<u64>,
    /// When the response's head had been read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub headers_ns: Option<u64>,
    /// When the end was known: end of stream, failure or cancellation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_ns: Option<u64>,
    /// The connection, once there was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub connection: Option<Connection>,
    /// Size of the request's body.
    pub body_bytes: u64,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// The server's id of the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub server_id: Option<String>,
    /// The events, in order. With `--detail summary` only those that bound the figures.
    #[serde(with = "crate::event", default)]
    pub events: Vec<EventStamp>,
    /// How many events between those kept were left out: gaps between them are then no latencies between tokens.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub events_left_out: u64,
    /// How many of those brought text (an empty string too), reasoning or a tool call.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub token_events_left_out: u64,
    /// How many of those brought an empty string.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub empty_events_left_out: u64,
    /// The server's last usage object.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<TokenUsage>,
    /// Output tokens counted by the client over the WHOLE text, where the server sends no usage.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retokenised: Option<u64>,
    /// Why the generation ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finish_reason: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// The reasoning before it, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning: Option<String>,
    /// SHA-256 of the answer, reasoning before it included: equal digests are equal answers. `None` without a word.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text_sha256: Option<String>,
    /// The log probabilities of the answer's first tokens, at most 24, where they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub logprobs: Vec<f64>,
    /// Output that no working model produces.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub degenerate: Option<Degenerate>,
}

impl RequestRecord {
    /// A record of a request that nothing has happened to yet.
    #[must_use]
    pub fn planned(index: u64, phase: Phase) -> Self {
        Self {
            index,
            phase,
            round: 0,
            prompt: 0,
            images: Vec::new(),
            max_tokens: 0,
            intended_ns: 0,
            admitted_ns: None,
            sent_ns: None,
            body_sent_ns: None,
            write_ns_max: None,
            headers_ns: None,
            ended_ns: None,
            connection: None,
            body_bytes: 0,
            status: None,
            server_id: None,
            events: Vec::new(),
            events_left_out: 0,
            token_events_left_out: 0,
            empty_events_left_out: 0,
            usage: None,
            retokenised: None,
            finish_reason: None,
            outcome: Outcome::NotSent { reason: "planned".into() },
            text: None,
            reasoning: None,
            text_sha256: None,
            logprobs: Vec::new(),
            degenerate: None,
        }
    }
}

impl RequestRecord {
    /// Leaves out every event that bounds no figure: what stays gives TTFT, TPOT, end to end and durations to the
    /// nanosecond by either definition and either clock, and no latencies between tokens.
    pub fn leave_out_events(&mut self) {
        let tests: [fn(&EventStamp) -> bool; 5] = [
            |event| event.kind.is_token(),
            |event| event.kind.is_token() && event.kind != EventKind::Empty,
            |event| matches!(event.kind, EventKind::Text | EventKind::Empty),
            |event| event.kind == EventKind::Text,
            |event| event.kind.has_choices(),
        ];
        let events = std::mem::take(&mut self.events);
        let mut keep: BTreeSet<usize> = [0, events.len().saturating_sub(1)].into();
        for test in tests {
            keep.extend(events.iter().position(test));
            keep.extend(events.iter().rposition(test));
            // One event without the kernel's time decides that none of the request's is used.
            keep.extend(events.iter().position(|event| test(event) && event.kernel_ns.is_none()));
        }
        for (number, event) in events.into_iter().enumerate() {
            if keep.contains(&number) {
                self.events.push(event);
                continue;
            }
            self.events_left_out += 1;
            self.token_events_left_out += u64::from(event.kind.is_token());
            self.empty_events_left_out += u64::from(event.kind == EventKind::Empty);
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_bounds_every_figure() {
        let mut record = RequestRecord::planned(0, Phase::Measured);
        record.events = "rgtteettfud"
            .chars()
            .enumerate()
            .map(|(i, letter)| EventStamp {
                kind: EventKind::from_letter(letter).unwrap(),
                user_ns: i as u64,
                kernel_ns: None,
                bytes: 1,
                tokens: None,
            })
            .collect();
        record.leave_out_events();
        let kept: String = record.events.iter().map(|event| event.kind.letter()).collect();
        assert_eq!((kept.as_str(), record.events_left_out), ("rgttfd", 5));
        assert_eq!((record.token_events_left_out, record.empty_events_left_out), (4, 2));
        let times: Vec<u64> = record.events.iter().map(|event| event.user_ns).collect();
        assert_eq!(times, [0, 1, 2, 7, 8, 10]);
        let mut empty = RequestRecord::planned(0, Phase::Measured);
        empty.leave_out_events();
        assert_eq!((empty.events.len(), empty.events_left_out), (0, 0));
    }
}
