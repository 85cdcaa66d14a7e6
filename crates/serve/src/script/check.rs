//! Which values of a script can be played. A script that passes here makes no reply that overflows a time, fills the memory
//! or breaks HTTP where it does not mean to.

use super::{HttpReply, ImageBilling, RawReply, Reply, Script, StreamReply, When};
use crate::error::ServeError;

/// About eleven days.
const MS_MAX: f64 = 1e9;
const TOKENS_MAX: u64 = 1_000_000;
const EVENT_BYTES_MAX: usize = 16 << 20;

impl Script {
    /// Checks the values.
    ///
    /// # Errors
    /// [`ServeError::ScriptValue`], which names the field, the value and what is allowed.
    pub fn check(&self) -> Result<(), ServeError> {
        if self.models.is_empty() {
            return refuse("models", "[]", "at least one name");
        }
        if self.api_key.as_deref() == Some("") {
            return refuse("api_key", "empty", "a key, or null for none");
        }
        if self.idle_close_ms.is_some_and(|ms| ms == 0 || ms as f64 > MS_MAX) {
            return refuse("idle_close_ms", self.idle_close_ms.unwrap_or_default(), "1 to 1000000000 ms");
        }
        if let ImageBilling::Fixed(tokens) = self.image {
            tokens_within("image.fixed", tokens)?;
        }
        self.text_tokens.values().try_for_each(|tokens| tokens_within("text_tokens", *tokens))?;
        self.rules.iter().try_for_each(|rule| rule.when.check())?;
        self.replies().try_for_each(Reply::check)
    }
}

impl When {
    fn check(&self) -> Result<(), ServeError> {
        if self.every == Some(0) { refuse("every", 0, "at least 1") } else { Ok(()) }
    }
}

impl Reply {
    fn check(&self) -> Result<(), ServeError> {
        match self {
            Self::Stream(stream) => stream.check(),
            Self::Http(reply) => reply.check(),
            Self::Raw(reply) => reply.check(),
        }
    }
}

impl StreamReply {
    fn check(&self) -> Result<(), ServeError> {
        ms("prefill_ms", self.prefill_ms)?;
        ms("interval_ms", self.interval_ms)?;
        ms("role_ms", self.role_ms.unwrap_or(0.0))?;
        tokens_within("tokens", self.tokens)?;
        tokens_within("extra_empty", self.extra_empty)?;
        at_least_one("tokens_per_event", Some(self.tokens_per_event))?;
        at_least_one("events_per_write", Some(self.events_per_write))?;
        at_least_one("empty_every", self.empty_every)?;
        at_least_one("write_bytes", self.write_bytes.map(|bytes| bytes as u64))?;
        if self.text.is_empty() {
            return refuse("text", "[]", "at least one piece");
        }
        if let Some(bytes) = self.event_bytes.filter(|bytes| *bytes > EVENT_BYTES_MAX) {
            return refuse("event_bytes", bytes, "at most 16777216");
        }
        // A write is made in one piece.
        let write_bytes = (self.event_bytes.unwrap_or(0) as u64).saturating_mul(self.events_per_write);
        if write_bytes > 4 * EVENT_BYTES_MAX as u64 {
            return refuse("event_bytes × events_per_write", write_bytes, "at most 67108864 bytes in one write");
        }
        Ok(())
    }
}

impl HttpReply {
    fn check(&self) -> Result<(), ServeError> {
        ms("delay_ms", self.delay_ms)?;
        if !(200..=599).contains(&self.status) {
            return refuse("status", self.status, "200 to 599; a reply of kind http must name it");
        }
        header("content_type", &self.content_type)?;
        self.headers.iter().try_for_each(|(name, value)| {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) {
                return refuse("headers", name.escape_debug(), "names of letters, digits and !#$%&'*+-.^_`|~");
            }
            header("headers", value)
        })
    }
}

impl RawReply {
    fn check(&self) -> Result<(), ServeError> {
        ms("interval_ms", self.interval_ms)?;
        at_least_one("write_bytes", self.write_bytes.map(|bytes| bytes as u64))
    }
}

fn refuse<T>(field: &'static str, given: impl ToString, allowed: &'static str) -> Result<T, ServeError> {
    Err(ServeError::ScriptValue { field, given: given.to_string(), allowed })
}

fn ms(field: &'static str, given: f64) -> Result<(), ServeError> {
    // What is no number is not in the range either.
    if (0.0..=MS_MAX).contains(&given) { Ok(()) } else { refuse(field, given, "0 to 1000000000 ms") }
}

fn tokens_within(field: &'static str, given: u64) -> Result<(), ServeError> {
    if given <= TOKENS_MAX { Ok(()) } else { refuse(field, given, "at most 1000000") }
}

fn at_least_one(field: &'static str, given: Option<u64>) -> Result<(), ServeError> {
    if given == Some(0) { refuse(field, 0, "at least 1") } else { Ok(()) }
}

fn header(field: &'static str, value: &str) -> Result<(), ServeError> {
    let breaks = value.chars().any(char::is_control);
    if breaks { refuse(field, value.escape_debug(), "text without control characters") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_json(json: &str, parts: &[&str]) {
        let error = Script::from_json(json).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{json}: {error}");
    }

    fn check_refused(script: &Script, parts: &[&str]) {
        let error = script.check().unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }

    #[test]
    fn what_is_no_script() {
        check_json("[", &["no script", "--print-script"]);
        check_json("{\"modles\":[]}", &["modles"]);
        check_json("{\"models\":[]}", &["models", "[]", "at least one"]);
        check_json("{\"api_key\":\"\"}", &["api_key"]);
        check_json("{\"idle_close_ms\":0}", &["idle_close_ms is 0", "1 to"]);
        check_json("{\"idle_close_ms\":1000000001}", &["idle_close_ms is 1000000001"]);
        check_json("{\"image\":{\"fixed\":1000001}}", &["image.fixed is 1000001"]);
        check_json("{\"text_tokens\":{\"a\":1000001}}", &["text_tokens is 1000001"]);
        check_json("{\"rules\":[{\"when\":{\"every\":0},\"reply\":{\"stream\":{}}}]}", &["every is 0"]);
    }

    #[test]
    fn values_of_a_stream() {
        for (field, values) in [
            ("prefill_ms", &["-1", "1000000000.5"][..]),
            ("interval_ms", &["-0.1", "1e10"]),
            ("role_ms", &["-1", "1e300"]),
            ("text", &["[]"]),
            ("tokens", &["1000001"]),
            ("extra_empty", &["1000001"]),
            ("tokens_per_event", &["0"]),
            ("events_per_write", &["0"]),
            ("empty_every", &["0"]),
            ("write_bytes", &["0"]),
            ("event_bytes", &["16777217"]),
        ] {
            for value in values {
                let stream = format!("{{\"stream\":{{\"{field}\":{value}}}}}");
                check_json(&format!("{{\"reply\":{stream}}}"), &[field, "allowed"]);
                check_json(&format!("{{\"rules\":[{{\"when\":{{}},\"reply\":{stream}}}]}}"), &[field, "allowed"]);
            }
        }
        let many = "{\"reply\":{\"stream\":{\"event_bytes\":16777216,\"events_per_write\":5}}}";
        check_json(many, &["event_bytes", "83886080"]);
        let of = |change: fn(&mut StreamReply)| {
            let mut stream = StreamReply::default();
            change(&mut stream);
            Script::of(stream)
        };
        // From Rust, also what JSON cannot say.
        check_refused(&of(|stream| stream.role_ms = Some(f64::NAN)), &["role_ms is NaN"]);
        check_refused(&of(|stream| stream.interval_ms = f64::INFINITY), &["interval_ms is inf"]);
        assert!(of(|stream| (stream.prefill_ms, stream.interval_ms) = (1e9, 0.0)).check().is_ok());
    }

    #[test]
    fn values_of_plain_and_recorded_replies() {
        for (reply, part) in [
            ("{\"http\":{}}", "status is 0"),
            ("{\"http\":{\"status\":199}}", "status is 199"),
            ("{\"http\":{\"status\":600}}", "status is 600"),
            ("{\"http\":{\"status\":429,\"delay_ms\":-1}}", "delay_ms is -1"),
            ("{\"http\":{\"status\":429,\"content_type\":\"a\\r\\nb: c\"}}", r"content_type is a\r\nb: c"),
            ("{\"http\":{\"status\":429,\"headers\":[[\"a b\",\"c\"]]}}", "headers is a b"),
            ("{\"http\":{\"status\":429,\"headers\":[[\"a\",\"b\\nc\"]]}}", r"headers is b\nc"),
            ("{\"raw\":{\"write_bytes\":0}}", "write_bytes is 0"),
            ("{\"raw\":{\"interval_ms\":-1}}", "interval_ms is -1"),
        ] {
            check_json(&format!("{{\"reply\":{reply}}}"), &[part, "allowed"]);
        }
        assert!(Script::http(599, "").check().is_ok());
    }

    #[test]
    fn a_script_survives_json() {
        let script = Script::steady(1.0, 2.0, 3).with_rule(
            When { number: Some(4), ..When::default() },
            Reply::Http(HttpReply { status: 429, ..HttpReply::default() }),
        );
        let json = serde_json::to_string(&script).unwrap();
        assert_eq!(Script::from_json(&json).unwrap(), script);
        assert_eq!(Script::from_json("{}").unwrap(), Script::default());
    }
}
