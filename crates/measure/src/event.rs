//! The events of a stream: what each was and when it came. In a record they are columns of differences, which keeps a
//! record of 512 events near 6 KB. It must not know what counts as a token.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one event of the stream was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Names the role and brings nothing else, before any token.
    Role,
    /// Answer text.
    Text,
    /// A content key with an empty string, after the role.
    Empty,
    /// Reasoning text.
    Reasoning,
    /// A tool call.
    ToolCall,
    /// A finish reason and nothing else.
    Finish,
    /// Usage and no choices.
    Usage,
    /// Choices with nothing in them.
    Nothing,
    /// An error.
    Error,
    /// The end marker.
    Done,
    /// Not what the protocol has: bad JSON, or an object without choices and usage.
    Other,
}

impl EventKind {
    const LETTERS: [(Self, char); 11] = [
        (Self::Role, 'r'),
        (Self::Text, 't'),
        (Self::Empty, 'e'),
        (Self::Reasoning, 'g'),
        (Self::ToolCall, 'k'),
        (Self::Finish, 'f'),
        (Self::Usage, 'u'),
        (Self::Nothing, 'n'),
        (Self::Error, 'x'),
        (Self::Done, 'd'),
        (Self::Other, 'o'),
    ];

    /// Its letter in a record's `kinds` column.
    #[must_use]
    pub fn letter(self) -> char {
        Self::LETTERS.iter().find(|(kind, _)| *kind == self).map_or('o', |(_, letter)| *letter)
    }

    /// The kind with this letter.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|(_, other)| *other == letter).map(|(kind, _)| *kind)
    }

    /// Whether it brings what can count as a token: text (an empty string too), reasoning or a tool call.
    #[must_use]
    pub fn is_token(self) -> bool {
        matches!(self, Self::Text | Self::Empty | Self::Reasoning | Self::ToolCall)
    }

    /// Whether a client that follows vLLM's older script counts it as a token: any event with choices.
    #[must_use]
    pub fn has_choices(self) -> bool {
        !matches!(self, Self::Usage | Self::Error | Self::Done | Self::Other)
    }
}

/// One event: what it was and when it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventStamp {
    /// What it was.
    pub kind: EventKind,
    /// When our read of its last byte returned.
    pub user_ns: u64,
    /// When the kernel had received it, where the kernel told.
    pub kernel_ns: Option<u64>,
    /// Its size in the stream, in bytes.
    pub bytes: u32,
    /// How many tokens it brought, where the server tells.
    pub tokens: Option<u32>,
}

/// The events of a record as columns: `kinds` a letter each, `user_ns` differences (the first from the origin of the
/// run), `lag_ns` our time minus the kernel's, `bytes`, and `tokens` where any event tells.
#[derive(Serialize, Deserialize)]
struct EventColumns {
    kinds: String,
    user_ns: Vec<u64>,
    lag_ns: Vec<Option<u64>>,
    bytes: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tokens: Option<Vec<Option<u32>>>,
}

/// For `serde(with)`: events → columns.
pub(crate) fn serialize<S: Serializer>(events: &[EventStamp], serializer: S) -> Result<S::Ok, S::Error> {
    let mut before = 0;
    let columns = EventColumns {
        kinds: events.iter().map(|event| event.kind.letter()).collect(),
        user_ns: events
            .iter()
            .map(|event| {
                let step = event.user_ns.saturating_sub(before);
                before = event.user_ns;
                step
            })
            .collect(),
        lag_ns: events
            .iter()
            .map(|event| event.kernel_ns.map(|kernel_ns| event.user_ns.saturating_sub(kernel_ns)))
            .collect(),
        bytes: events.iter().map(|event| event.bytes).collect(),
        tokens: events
            .iter()
            .any(|event| event.tokens.is_some())
            .then(|| events.iter().map(|event| event.tokens).collect()),
    };
    columns.serialize(serializer)
}

/// For `serde(with)`: columns → events.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<EventStamp>, D::Error> {
    use serde::de::Error;
    let columns = EventColumns::deserialize(deserializer)?;
    let count = columns.kinds.chars().count();
    let tokens = columns.tokens.unwrap_or_else(|| vec![None; count]);
    if [columns.user_ns.len(), columns.lag_ns.len(), columns.bytes.len(), tokens.len()] != [count; 4] {
        return Err(D::Error::custom("the event columns have different lengths"));
    }
    let mut user_ns = 0u64;
    let rows = columns.kinds.chars().zip(columns.user_ns).zip(columns.lag_ns).zip(columns.bytes).zip(tokens);
    rows.map(|((((letter, step), lag), bytes), tokens)| {
        let kind =
            EventKind::from_letter(letter).ok_or_else(|| D::Error::custom(format!("unknown event kind {letter:?}")))?;
        user_ns = user_ns.saturating_add(step);
        Ok(EventStamp { kind, user_ns, kernel_ns: lag.map(|lag| user_ns.saturating_sub(lag)), bytes, tokens })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Phase, RequestRecord};
    use proptest::prelude::*;

    #[test]
    fn every_kind_has_a_letter_of_its_own() {
        for (kind, letter) in EventKind::LETTERS {
            assert_eq!((kind.letter(), EventKind::from_letter(letter)), (letter, Some(kind)));
        }
    }

    #[test]
    fn columns_of_unequal_length_are_refused() {
        let mut json = serde_json::to_value(RequestRecord::planned(0, Phase::Measured)).unwrap();
        json["events"] = serde_json::json!({"kinds": "rt", "user_ns": [1], "lag_ns": [null, 1], "bytes": [1, 2]});
        assert!(serde_json::from_value::<RequestRecord>(json.clone()).is_err());
        json["events"] = serde_json::json!({"kinds": "z", "user_ns": [1], "lag_ns": [null], "bytes": [1]});
        assert!(serde_json::from_value::<RequestRecord>(json).is_err());
    }

    proptest! {
        #[test]
        fn a_record_survives_the_disk(
            steps in proptest::collection::vec((0u64..1_000_000_000, proptest::option::of(0u64..1_000_000), any::<u32>(), proptest::option::of(0u32..5), 0usize..11), 0..30),
        ) {
            let mut record = RequestRecord::planned(7, Phase::Measured);
            let mut now = 2_000_000;
            for (step, lag, bytes, tokens, kind) in steps {
                now += step;
                record.events.push(EventStamp {
                    kind: EventKind::LETTERS[kind].0,
                    user_ns: now,
                    kernel_ns: lag.map(|lag| now - lag),
                    bytes,
                    tokens,
                });
            }
            let json = serde_json::to_string(&record).unwrap();
            prop_assert_eq!(serde_json::from_str::<RequestRecord>(&json).unwrap(), record);
        }
    }
}
