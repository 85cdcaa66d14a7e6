//! The phrases by which servers refuse something. A word alone proves nothing: servers echo the request in their errors.
//! All words are given in lower case.

/// A field that stands right after one of these is refused …
const BEFORE: &[&str] = &[
    "parameter",
    "argument supplied",
    "arguments supplied",
    "keyword argument",
    "unexpected keyword",
    "unknown field",
    "unexpected field",
    "unrecognized field",
    "inputs are not permitted",
    "fields not permitted",
    "unrecognized key(s) in object",
];
/// … and so is one that stands right before one of these.
const AFTER: &[&str] = &[
    "extra inputs are not permitted",
    "extra fields not permitted",
    "input should be",
    "must be",
    "must not",
    "should be",
    "cannot be",
    "not supported",
    "is not supported",
    "is unsupported",
    "is not permitted",
    "is not allowed",
    "is only allowed",
    "is not a valid",
    "is unknown",
    "is too large",
];
/// Prompt and answer do not fit, in the words of vLLM, SGLang, llama.cpp, TGI and OpenAI.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "model's context length",
    "maximum model length",
    "max_model_len",
    "maximum allowed length",
    "available context size",
    "prompt is too long",
    "max_new_tokens` must be <=",
];
const NOT_THERE: &[&str] = &["does not exist", "doesn't exist", "not found", "is not found", "could not be found"];

/// Whether the words refuse this field or its value.
pub(super) fn refuses(words: &str, field: &str) -> bool {
    words_at(words, field).any(|(before, after)| {
        let before = before.trim_end_matches("body.").trim_end_matches([' ', ':', '=', '\'', '"', '`', '(', '[', '\\']);
        // The form of pydantic: `'loc': ('body', 'x'), 'msg': '…'`.
        let after = bare(after);
        let after = after.strip_prefix("msg").map_or(after, bare);
        let after = after.strip_prefix("parameter ").unwrap_or(after);
        BEFORE.iter().any(|phrase| before.ends_with(phrase)) || AFTER.iter().any(|phrase| after.starts_with(phrase))
    })
}

/// Whether the words say that there is no such model.
pub(super) fn unknown_model(words: &str) -> bool {
    words.contains("model_not_found")
        || words_at(words, "model").any(|(_, after)| {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|first| matches!(first, '\'' | '"' | '`'));
            let rest = quote.and_then(|quote| after[1..].split_once(quote)).map_or(after, |(_, rest)| rest);
            NOT_THERE.iter().any(|phrase| rest.trim_start().starts_with(phrase))
        })
}

/// Whether the words say that prompt and answer are too long together.
pub(super) fn too_long(words: &str) -> bool {
    TOO_LONG.iter().any(|phrase| words.contains(phrase))
}

fn bare(text: &str) -> &str {
    text.trim_start_matches([' ', ':', '\'', '"', '`', ')', ']', ',', '\\'])
}

/// What stands before and after each place where the text holds this as a word of its own.
fn words_at<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let part_of_a_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    text.match_indices(word).filter(move |_| !word.is_empty()).filter_map(move |(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let inside = before.ends_with(part_of_a_word) || after.starts_with(part_of_a_word);
        (!inside).then_some((before, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(field: &str, words: &str, refused: bool) {
        assert_eq!(refuses(&words.to_lowercase(), field), refused, "{field}: {words}");
    }

    #[test]
    fn fields_that_are_refused() {
        // vLLM 0.32.0, recorded.
        check("max_tokens", "max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)", true);
        check("temperature", "temperature must be non-negative, got -1.0. (parameter=temperature, value=-1.0)", true);
        let stop = "2 validation errors:\n  {'type': 'string_type', 'loc': 'body.stop', 'msg': 'Input should be a valid string', 'input': '5'}";
        check("stop", stop, true);
        // OpenAI's, pydantic's, Groq's and Python's forms.
        check("ignore_eos", "Unrecognized request argument supplied: ignore_eos", true);
        check(
            "ignore_eos",
            "[{'type': 'extra_forbidden', 'loc': ('body', 'ignore_eos'), 'msg': 'Extra inputs are not permitted', 'input': True}]",
            true,
        );
        check(
            "ignore_eos",
            r#"[{"type":"extra_forbidden","loc":["body","ignore_eos"],"msg":"Extra inputs are not permitted"}]"#,
            true,
        );
        check("ignore_eos", "property 'ignore_eos' is unsupported", true);
        check("ignore_eos", "create() got an unexpected keyword argument 'ignore_eos'", true);
        check("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.", true);
        let renamed = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        check("max_tokens", renamed, true);
        check("max_completion_tokens", renamed, false);
    }

    #[test]
    fn fields_that_are_only_echoed() {
        let echo = r#"[{"type":"missing","loc":["body","x"],"msg":"Field required","input":{"model":"m","max_tokens":512,"ignore_eos":true,"stream_options":{"include_usage":true}}}]"#;
        for field in ["max_tokens", "ignore_eos", "stream_options", "model"] {
            check(field, echo, false);
        }
        check("max_tokens", "unknown field `foo`, expected one of `model`, `max_tokens`, `stream`", false);
        check("top_k", "stop_top_k must be a list", false);
        check("n", "unexpected input", false);
    }

    #[test]
    fn models_that_are_not_there() {
        for (words, unknown) in [
            // vLLM 0.32.0, recorded; then Ollama's, llama.cpp's and OpenAI's.
            ("The model `no-such-model` does not exist. Valid aliases: /data/models/tiny-qwen2vl-00.", true),
            ("model \"qwen\" not found, try pulling it first", true),
            ("model not found", true),
            ("{\"code\":\"model_not_found\"}", true),
            ("Not Found", false),
            ("<html>the model server: 404 page not found</html>", false),
            ("Cannot POST /models/v1/chat/completions: not found", false),
        ] {
            assert_eq!(unknown_model(&words.to_lowercase()), unknown, "{words}");
        }
    }

    #[test]
    fn too_long_is_more_than_long() {
        for (words, long) in [
            (
                "This model's maximum context length is 16384 tokens. However, your prompt contains at least 16385 input tokens",
                true,
            ),
            ("max_tokens=99999999 cannot be greater than max_model_len=16384.", true),
            ("the request exceeds the available context size, try increasing it", true),
            ("the file's name is too long", false),
            ("the context is missing", false),
        ] {
            assert_eq!(too_long(&words.to_lowercase()), long, "{words}");
        }
    }
}
