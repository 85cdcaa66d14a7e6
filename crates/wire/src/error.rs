//! What a server says when it refuses: its own words, found in whatever body it sent. They end on terminals and in tables,
//! so they come as one line of bounded length without control characters. Must not know what a benchmark makes of them.

use serde_json::Value;

/// How much of a body that is no known JSON is kept.
const PLAIN_CHARS_MAX: usize = 300;
/// How much of a message is kept: the longest of vLLM's own are near 700 characters.
const MESSAGE_CHARS_MAX: usize = 2000;
/// How much of a field's name is kept.
const PARAM_CHARS_MAX: usize = 100;

/// The server's own words, and its machine-readable hints where it gives any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorWords {
    /// The message on one line, at most 2,000 characters; control characters are spelt out (`\u{1b}`), line breaks and
    /// tabs are spaces.
    pub message: String,
    /// The field that the server blames (`param`), where it names one; at most 100 characters.
    pub param: Option<String>,
}

/// Finds the words in an error body: OpenAI's `{"error":{"message":…}}`, FastAPI's `{"detail":…}`, the flat
/// `{"object":"error","message":…}` of older vLLM, `{"error":"…"}` of TGI and MindIE, or plain text, cut at 300
/// characters. An empty body gives an empty message.
#[must_use]
pub fn error_words(body: &[u8]) -> ErrorWords {
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => from_object(&value),
        Ok(Value::String(text)) => ErrorWords { message: line(&text, MESSAGE_CHARS_MAX), param: None },
        _ => ErrorWords { message: plain(&String::from_utf8_lossy(body)), param: None },
    }
}

fn from_object(value: &Value) -> ErrorWords {
    let error = value.get("error").filter(|error| !error.is_null());
    let holder = error.filter(|error| error.is_object()).unwrap_or(value);
    let words = ["message", "detail", "error_description", "msg", "error"]
        .iter()
        .find_map(|name| holder.get(name).filter(|words| !words.is_null()))
        .or(error);
    let message = match words {
        Some(Value::String(text)) => line(text, MESSAGE_CHARS_MAX),
        Some(other) => plain(&other.to_string()),
        None => plain(&value.to_string()),
    };
    ErrorWords { message, param: holder.get("param").and_then(Value::as_str).map(|name| line(name, PARAM_CHARS_MAX)) }
}

/// One line of a body of unknown form: runs of white space are one space.
fn plain(text: &str) -> String {
    line(&text.split_whitespace().collect::<Vec<_>>().join(" "), PLAIN_CHARS_MAX)
}

/// One line, cut between characters at `chars_max`, with nothing in it that moves a terminal's cursor or turns its text.
fn line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    for (count, letter) in text.trim_end().chars().enumerate() {
        if count == chars_max {
            line.push('…');
            break;
        }
        match letter {
            '\n' | '\r' | '\t' => line.push(' '),
            letter if letter.is_control() || turns_text(letter) => line.extend(letter.escape_unicode()),
            letter => line.push(letter),
        }
    }
    line
}

/// Line and paragraph separators, and the characters that set the direction of text (UAX #9, section 2).
fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, message: &str, param: Option<&str>) {
        let words = error_words(body.as_bytes());
        assert_eq!((words.message.as_str(), words.param.as_deref()), (message, param), "{body}");
    }

    #[test]
    fn every_form_in_use() {
        check(
            r#"{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
            "The model `x` does not exist.",
            Some("model"),
        );
        check(r#"{"detail":"Not Found"}"#, "Not Found", None);
        check(
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":null,"code":400}"#,
            "too long",
            None,
        );
        check(r#"{"error":"overloaded","error_type":"overloaded"}"#, "overloaded", None);
        check(
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            r#"[{"loc":["body"],"msg":"field required"}]"#,
            None,
        );
        check("<html>\n<body>502 Bad Gateway</body>", "<html> <body>502 Bad Gateway</body>", None);
        check("", "", None);
        check("{}", "{}", None);
    }

    #[test]
    fn nothing_moves_the_cursor() {
        check(
            r#"{"error":{"message":"\u001b[2Jgone\u0007","param":"a\u001b]0;t"}}"#,
            r"\u{1b}[2Jgone\u{7}",
            Some(r"a\u{1b}]0;t"),
        );
        check(r#"{"detail":"one\ntwo\tthree\r\n"}"#, "one two three", None);
        check(r#""\u009b31m\u202egnp""#, r"\u{9b}31m\u{202e}gnp", None);
        check("\u{1b}[31mred", r"\u{1b}[31mred", None);
        check(r#"{"detail":["\u202e"]}"#, r#"["\u{202e}"]"#, None);
    }

    #[test]
    fn long_words_are_cut_in_every_form() {
        let (long, cut) = ("é".repeat(5000), format!("{}…", "é".repeat(MESSAGE_CHARS_MAX)));
        for body in [
            format!(r#"{{"error":{{"message":"{long}"}}}}"#),
            format!(r#"{{"detail":"{long}"}}"#),
            format!(r#"{{"error":"{long}"}}"#),
            format!(r#""{long}""#),
        ] {
            check(&body, &cut, None);
        }
        let param = error_words(format!(r#"{{"error":{{"message":"m","param":"{long}"}}}}"#).as_bytes()).param;
        assert_eq!(param.map(|name| name.chars().count()), Some(PARAM_CHARS_MAX + 1));
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let words = error_words("图".repeat(1000).as_bytes());
        assert_eq!(words.message.chars().count(), PLAIN_CHARS_MAX + 1);
    }
}
