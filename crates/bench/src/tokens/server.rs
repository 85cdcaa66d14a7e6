//! The server's own `/tokenize`: what to ask and how to read the reply. Pure; the caller speaks HTTP.

use serde_json::{Value, json};

/// The body for vLLM's and SGLang's `POST /tokenize`: the text alone, without tokens added around it.
pub fn tokenize_request(model: &str, text: &str) -> Value {
    json!({"model": model, "prompt": text, "add_special_tokens": false})
}

/// The body for llama.cpp's `POST /tokenize`, which knows another key and answers `{"tokens":[]}` to the first form.
pub fn tokenize_request_content(text: &str) -> Value {
    json!({"content": text, "add_special": false})
}

/// The number of tokens in a reply: `count` where it stands (vLLM, SGLang), else the length of `tokens` (llama.cpp),
/// else the length of a bare list (TGI). `None` for an error, another shape, and for an empty list without a count: a
/// server that does not know the key of the text answers so, and missing is not zero.
pub fn parse_tokenize_reply(body: &[u8]) -> Option<u64> {
    let reply: Value = serde_json::from_slice(body).ok()?;
    match &reply {
        Value::Object(map) => {
            let counted = map.get("count").and_then(single).and_then(Value::as_u64);
            counted.or_else(|| map.get("tokens").and_then(list_len))
        }
        Value::Array(_) => list_len(&reply),
        _ => None,
    }
}

/// A batch of one is the same as its only member.
fn single(value: &Value) -> Option<&Value> {
    match value.as_array().map(Vec::as_slice) {
        None => Some(value),
        Some([only]) => Some(only),
        Some(_) => None,
    }
}

fn list_len(value: &Value) -> Option<u64> {
    let list = match value.as_array()?.as_slice() {
        [Value::Array(inner)] => inner,
        _ => value.as_array()?,
    };
    (!list.is_empty()).then_some(list.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_recorded_one() {
        let recorded = r#"{"model":"/data/models/tiny-qwen2vl-00","prompt":"请描述图片","add_special_tokens":false}"#;
        assert_eq!(tokenize_request("/data/models/tiny-qwen2vl-00", "请描述图片").to_string(), recorded);
        let content = r#"{"content":"hi","add_special":false}"#;
        assert_eq!(tokenize_request_content("hi").to_string(), content);
    }

    #[test]
    fn replies() {
        let check = |body: &str, want: Option<u64>| assert_eq!(parse_tokenize_reply(body.as_bytes()), want, "{body}");
        // vLLM 0.32.0, recorded.
        check(r#"{"count":3,"max_model_len":16384,"tokens":[14880,53481,45930],"token_strs":null}"#, Some(3));
        check(r#"{"tokens":[1,2],"count":2,"max_model_len":-1}"#, Some(2));
        check(r#"{"tokens":[[1,2,3]],"count":[3]}"#, Some(3));
        check(r#"{"tokens":[[1,2,3]]}"#, Some(3));
        check(r#"{"tokens":[198,29871]}"#, Some(2));
        check(r#"{"tokens":[{"id":198,"piece":"a"}]}"#, Some(1));
        check(r#"[{"id":1,"text":"a","start":0,"stop":1}]"#, Some(1));
        check(r#"{"count":0,"tokens":[]}"#, Some(0));
        check(r#"{"tokens":[]}"#, None);
        check(r#"{"count":-1}"#, None);
        check(r#"{"detail":"Not Found"}"#, None);
        check(r#"{"error":{"message":"no","code":404}}"#, None);
        check("3", None);
        check("<html>", None);
        check("", None);
    }
}
