//! Replies held against those recorded from vLLM 0.32.0, byte for byte but for ids, times and names of builds. The stepper
//! plays the recorded tokens.

use crate::rig::{Reply, Server, Setup, request};

const RECORDED_NAME: &str = "/data/models/tiny-qwen2vl-00";

fn path(name: &str) -> &'static str {
    match name {
        _ if name.contains("completion") || name == "err_stream_prompt_logprobs" => "/v1/completions",
        _ if name.starts_with("tok") => "/tokenize",
        _ if name.starts_with("detok") => "/detokenize",
        _ => "/v1/chat/completions",
    }
}

/// The name under which the recorded request knows the model.
fn setup(name: &str) -> Setup {
    let is_short = request(name).contains("\"model\": \"m\"") || name.starts_with("chat_");
    let mut setup = Setup::new(if is_short { "m" } else { RECORDED_NAME });
    if name.starts_with("chat_") || name == "err_completion_model" {
        setup.options.names = vec!["m".into(), "tiny-qwen2-vl".into()];
    }
    setup.words = vec![("hi", 6023), ("no", 2152), ("body", 2599)];
    setup
}

fn compare(name: &str, server: &Server) {
    let got = server.post(path(name), &request(name));
    assert_eq!(got.essence(), Reply::recorded(name).essence(), "{name}");
}

#[test]
fn streams() {
    for name in [
        "stream_1tok",
        "stream_ids",
        "stream_nousage",
        "stream_usage",
        "stream_usage_cont",
        "stream_textonly",
        "stream_continue_final",
        "completion_stream",
        "chat_stream_cont",
        "chat_stream_cont_only",
        "chat_cont_string",
        "completion_stream_cont",
        "completion_stream_cont_only",
        "completion_stream_echo_plain",
        "completion_stream_ids",
    ] {
        let mut setup = setup(name);
        let mut texts = Vec::new();
        for event in Reply::recorded(name).json() {
            let choice = &event["choices"][0];
            let content = choice["delta"]["content"].as_str().or(choice["text"].as_str());
            let Some(content) = content.filter(|_| choice["delta"]["role"].is_null()) else { continue };
            let content = if name.contains("echo") { content.trim_start_matches("你好，世界") } else { content };
            texts.push(content.to_owned());
            if let Some(id) = choice["token_ids"][0].as_u64() {
                setup.know(content, id);
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        compare(name, &setup.answering(&texts));
    }
}

/// An event without text is a special token, or one that ends inside a character: its bytes show in the next event, and as
/// U+FFFD because the character is never finished.
#[test]
fn long_streams_with_unfinished_characters() {
    const NO_CHARACTER: char = char::REPLACEMENT_CHARACTER;
    for name in ["stream_512", "stream_eos"] {
        let setup = setup("stream_1tok");
        let events = Reply::recorded(name).json();
        let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
        let contents: Vec<&str> =
            deltas.filter(|delta| delta["role"].is_null()).filter_map(|delta| delta["content"].as_str()).collect();
        let mut tokens: Vec<Vec<u8>> = Vec::new();
        let mut shown = 0;
        for (at, content) in contents.iter().enumerate() {
            if !content.is_empty() {
                tokens.push(content.as_bytes()[shown..].to_vec());
                shown = 0;
                continue;
            }
            let next = contents[at + 1];
            shown = next.rfind(NO_CHARACTER).map_or(0, |start| start + NO_CHARACTER.len_utf8());
            let unfinished = next[..shown].chars().flat_map(|letter| match letter {
                NO_CHARACTER => vec![0xe0],
                letter => letter.to_string().into_bytes(),
            });
            let unfinished: Vec<u8> = unfinished.collect();
            tokens.push(if shown > 0 { unfinished } else { b"<|vision_pad|>".to_vec() });
        }
        let options = if name == "stream_512" { ("512", true) } else { ("64", false) };
        let body = request("stream_1tok").replace("\"max_tokens\": 1,", &format!("\"max_tokens\": {},", options.0));
        let body = body.replace("\"ignore_eos\": true", &format!("\"ignore_eos\": {}", options.1));
        let tokens: Vec<&[u8]> = tokens.iter().map(Vec::as_slice).collect();
        let got = setup.answering_bytes(&tokens).post("/v1/chat/completions", &body);
        assert_eq!(got.essence(), Reply::recorded(name).essence(), "{name}");
    }
}

#[test]
fn streams_that_a_stop_string_ends() {
    // The tokens that hold the stop string are the real ones: the answers without it begin with them.
    compare("stream_stop", &setup("stream_stop").answering(&[" racing"]));
    compare("stream_stop_string", &setup("stream_stop_string").answering(&[" dark"]));
}

#[test]
fn whole_replies() {
    for name in [
        "nonstream",
        "nonstream_textonly",
        "nonstream_imgfirst",
        "nonstream_seed_sampled",
        "two_img",
        "err_role",
        "err_unknown_field",
        "completion_text",
        "completion_of_ids",
        "completion_best_of",
        "chat_second_name",
        "chat_no_model",
    ] {
        let mut setup = setup(name);
        let recorded = Reply::recorded(name).json().remove(0);
        let choice = &recorded["choices"][0];
        let content = choice["message"]["content"].as_str().or(choice["text"].as_str()).unwrap();
        let count = usize::try_from(recorded["usage"]["completion_tokens"].as_u64().unwrap()).unwrap();
        // Where one token ends and the next begins does not show: all but the last have one character.
        let mut texts: Vec<String> = content.chars().take(count - 1).map(String::from).collect();
        texts.push(content.chars().skip(count - 1).collect());
        if let Some(ids) = choice["token_ids"].as_array() {
            // Tokens of the full vocabulary, whose ids show.
            let known = ["阜阳", " inn", "INTEGER", "在同一", " racing", "𝒔", "_flow", " NP"];
            texts = known.iter().filter(|text| content.contains(**text)).map(|text| (*text).to_owned()).collect();
            for (text, id) in texts.iter().zip(ids) {
                setup.know(text, id.as_u64().unwrap());
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        compare(name, &setup.answering(&texts));
    }
}

#[test]
fn refusals() {
    for name in [
        "err_aspect",
        "err_badb64",
        "err_badimg",
        "err_empty_messages",
        "err_file_url",
        "err_json",
        "err_maxtok",
        "err_model",
        "err_model_stream",
        "err_neg_maxtok",
        "err_nomsg",
        "err_stop_type",
        "err_temp",
        "err_top_logprobs",
        "err_chat_zero",
        "err_completion_empty",
        "err_completion_empty_text",
        "err_completion_ids",
        "err_completion_logprobs",
        "err_completion_logprobs_neg",
        "err_completion_maxtok",
        "err_completion_model",
        "err_completion_no_prompt",
        "err_completion_prompt_type",
        "err_completion_stream_options",
        "err_completion_zero",
        "err_stream_options",
        "err_stream_options_type",
        "err_stream_options_field",
        "err_stream_prompt_logprobs",
        "err_url_scheme",
    ] {
        compare(name, &setup(name).answering(&["a"]));
    }
    let server = Setup::new(RECORDED_NAME).answering(&["a"]);
    let got = server.post("/v1/chat/completions/none", "{}");
    assert_eq!(got.essence(), Reply::recorded("err_404path").essence());
    let got = server.get("/v1/chat/completions");
    assert_eq!(got.essence(), Reply::recorded("err_405").essence());
}

#[test]
fn a_prompt_longer_than_the_context() {
    let server = Setup::new(RECORDED_NAME).answering(&["a"]);
    let body = request("err_ctx").replace("…(48000 characters)", &"图 片 ".repeat(12_000));
    for (name, stream) in [("err_ctx", ""), ("err_ctx_stream", "\"stream\": true,")] {
        let body = body.replacen('{', &format!("{{{stream}"), 1);
        let got = server.post("/v1/chat/completions", &body);
        assert_eq!(got.essence(), Reply::recorded(name).essence(), "{name}");
    }
}

#[test]
fn ids_longer_than_the_context() {
    let body = serde_json::json!({"prompt": vec![14880; 16_385], "max_tokens": 1}).to_string();
    let got = Setup::new("m").answering(&["a"]).post("/v1/completions", &body);
    assert_eq!(got.essence(), Reply::recorded("err_completion_ctx").essence());
}

#[test]
fn tokens_of_prompts() {
    for name in ["tok_chat", "tok_text", "tok_chat_img", "detok"] {
        compare(name, &setup(name).answering(&["a"]));
    }
}

#[test]
fn models() {
    let mut setup = Setup::new("m");
    setup.options.root = "tiny-qwen2-vl".into();
    let got = setup.answering(&["a"]).get("/v1/models");
    assert_eq!(got.essence(), Reply::recorded("models_served_name").essence());
}
