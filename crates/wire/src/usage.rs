//! The `usage` object of a reply: what the server billed. Absent fields stay absent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Token counts as the server states them. A field that the server does not send is `None`, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the whole prompt, image tokens included.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prompt_tokens: Option<u64>,
    /// Generated tokens.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub completion_tokens: Option<u64>,
    /// Their sum, by the server's own arithmetic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total_tokens: Option<u64>,
    /// Prompt tokens that came from the server's prefix cache.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cached_tokens: Option<u64>,
    /// Generated tokens that were reasoning.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Reads a `usage` value leniently: what is missing, negative, or no number is `None`. `None` for anything that is
    /// no object, and for an object without a single count.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let count = |name: &str| object.get(name).and_then(read_count);
        let detail =
            |group: &str, name: &str| object.get(group).and_then(|details| details.get(name)).and_then(read_count);
        let usage = Self {
            prompt_tokens: count("prompt_tokens"),
            completion_tokens: count("completion_tokens"),
            total_tokens: count("total_tokens"),
            cached_tokens: detail("prompt_tokens_details", "cached_tokens"),
            reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens")
                .or_else(|| count("reasoning_tokens")),
        };
        (usage != Self::default()).then_some(usage)
    }
}

/// Some servers write counts as floats (`12.0`); a fraction or a negative number is no count.
fn read_count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked on the line itself")]
        (float >= 0.0 && float.fract() == 0.0 && float < 9e15).then_some(float as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, prompt: Option<u64>, completion: Option<u64>, cached: Option<u64>) {
        let usage = Usage::read(&serde_json::from_str(json).unwrap());
        let got = usage.map(|u| (u.prompt_tokens, u.completion_tokens, u.cached_tokens));
        let want = (prompt, completion, cached);
        assert_eq!(got, (want != (None, None, None)).then_some(want), "{json}");
    }

    #[test]
    fn reads_what_servers_send() {
        check(r#"{"prompt_tokens":1145,"total_tokens":1161,"completion_tokens":16}"#, Some(1145), Some(16), None);
        check(
            r#"{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens":0}"#,
            Some(5),
            Some(0),
            Some(4),
        );
        check(r#"{"prompt_tokens":5,"prompt_tokens_details":null}"#, Some(5), None, None);
        check(r#"{"prompt_tokens":5.0,"completion_tokens":-1}"#, Some(5), None, None);
        check(r#"{"prompt_tokens":"5"}"#, None, None, None);
        check("null", None, None, None);
        check("{}", None, None, None);
        check("[1]", None, None, None);
    }
}
