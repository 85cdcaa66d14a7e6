//! Templates against what vLLM reads and transformers renders, and where a template is looked for.

use std::collections::HashMap;

use engine::text::{
    Chat, ChatTemplate, ContentFormat, Refusal, RenderOptions, SpecialTokens, TextError, TextFiles,
    chat_template_of_flag,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{CHATML, qwen2_vl_template, tokenizer};

#[derive(Deserialize)]
struct Golden {
    formats: HashMap<String, String>,
    detect: Vec<Detect>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Detect {
    source: String,
    format: String,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<Value>,
    options: Map<String, Value>,
    text: Option<String>,
    error: Option<String>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../tests/data/text/templates.json")).unwrap()
}

fn template(name: &str) -> ChatTemplate {
    let source = match name {
        "chatml.jinja" => CHATML.to_owned(),
        "strict.jinja" => include_str!("../../../../tests/data/chat-template/strict.jinja").to_owned(),
        "macro.jinja" => include_str!("../../../../tests/data/chat-template/macro.jinja").to_owned(),
        "qwen2_vl" => qwen2_vl_template(),
        other => panic!("no template {other}"),
    };
    ChatTemplate::new(&source, tokenizer().special_tokens()).unwrap()
}

fn render(template: &ChatTemplate, messages: &[Value], options: &Map<String, Value>) -> Result<String, Refusal> {
    let flag = |name: &str, default| options.get(name).and_then(Value::as_bool).unwrap_or(default);
    let known = ["add_generation_prompt", "continue_final_message"];
    let options = RenderOptions {
        add_generation_prompt: flag("add_generation_prompt", true),
        continue_final_message: flag("continue_final_message", false),
        variables: options.clone().into_iter().filter(|(name, _)| !known.contains(&name.as_str())).collect(),
        now_unix_s: None,
    };
    template.render(&Chat::from_json(messages)?, &options)
}

#[test]
fn chats_are_rendered_as_vllm_and_transformers_do() {
    let golden = golden();
    for case in &golden.cases {
        let found = render(&template(&case.template), &case.messages, &case.options);
        let of = format!("{} of {:?} with {:?}", case.template, case.messages, case.options);
        match (&case.text, &case.error) {
            (Some(text), _) => assert_eq!(found.as_deref().map_err(ToString::to_string), Ok(text.as_str()), "{of}"),
            (None, Some(words)) => {
                let found = found.expect_err(&of).to_string();
                // vLLM names part types here that this server does not take.
                let upto = words.find("Supported types").unwrap_or(words.len());
                assert!(found.starts_with(&words[..upto]), "{of}\n{found}\n{words}");
                assert!(upto < words.len() || found == *words, "{of}\n{found}");
            }
            (None, None) => panic!("{of}: neither text nor error"),
        }
    }
    assert!(golden.cases.len() > 60);
}

#[test]
fn formats_are_detected_as_vllm_does() {
    let word = |format| match format {
        ContentFormat::String => "string",
        ContentFormat::OpenAi => "openai",
    };
    let golden = golden();
    for (name, expected) in &golden.formats {
        assert_eq!(word(template(name).format()), expected, "{name}");
    }
    for Detect { source, format } in &golden.detect {
        match ChatTemplate::new(source, &SpecialTokens::default()) {
            Ok(template) => assert_eq!(word(template.format()), format, "{source}"),
            Err(error) => {
                assert!(matches!(error, TextError::Template { .. }) && source.ends_with("content"), "{error}")
            }
        }
    }
}

#[test]
fn a_format_can_be_forced() {
    let parts = json!({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
    let forced = template("qwen2_vl").with_format(Some(ContentFormat::String));
    assert_eq!(forced.format(), ContentFormat::String);
    assert!(render(&forced, std::slice::from_ref(&parts), &Map::new()).unwrap().contains("user\na\nb<|im_end|>"));
    let detected = forced.with_format(None);
    assert_eq!(detected.format(), ContentFormat::OpenAi);
    assert!(render(&detected, &[parts], &Map::new()).unwrap().contains("user\nab<|im_end|>"));
}

#[test]
fn marks_of_training_print_nothing() {
    let rendered = |source: &str| {
        let template = ChatTemplate::new(source, &SpecialTokens::default()).map_err(|error| error.to_string())?;
        template.render(&Chat::user("x"), &RenderOptions::default()).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(rendered("a{% generation %}b{%- endgeneration -%} c"), Ok("abc".into()));
    // The mark's own percent sign does not end it.
    for broken in ["{%} generation", "{%}generation{%}", "generation {%", "{%%}generation"] {
        assert!(rendered(broken).unwrap_err().contains("check the template's text"), "{broken}");
    }
}

#[test]
fn a_template_may_ask_for_the_time_if_there_is_one() {
    let template = ChatTemplate::new("{{ strftime_now('%d %b %Y') }}", &SpecialTokens::default()).unwrap();
    let at = |now_unix_s| {
        let options = RenderOptions { now_unix_s, ..RenderOptions::default() };
        template.render(&Chat::user("x"), &options).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(at(Some(1_795_596_910)), Ok("25 Nov 2026".into()));
    assert!(at(None).unwrap_err().contains("asks for the time"));
}

#[test]
fn variables_of_the_renderer_cannot_be_given() {
    let options = Map::from_iter([("chat_template".to_owned(), json!("x"))]);
    let words = render(&template("chatml.jinja"), &[json!({"role": "user", "content": "x"})], &options).unwrap_err();
    assert_eq!(words.to_string(), "Found unexpected chat template kwargs from request: {'chat_template'}");
}

#[test]
fn sound_and_video_are_refused_by_name() {
    for kind in ["video_url", "audio_url", "input_audio", "image_embeds"] {
        let message = json!({"role": "user", "content": [{"type": kind, kind: {"url": "data:,"}}]});
        let words = Chat::from_json(&[message]).unwrap_err().to_string();
        assert!(words.starts_with(kind), "{words}");
    }
}

#[test]
fn malformed_messages_are_refused() {
    let check = |message: Value, expected: &str| {
        let words = Chat::from_json(&[message]).unwrap_err().to_string();
        assert!(words.contains(expected), "{words}");
    };
    check(json!("hi"), "must be an object");
    check(json!({"content": "hi"}), "must have a role");
    check(json!({"role": 1}), "must have a role");
    check(json!({"role": "user", "content": 5}), "a string or a list");
    check(json!({"role": "user", "content": [5]}), "a part must be an object");
    check(json!({"role": "user", "content": [{"type": "text", "text": 5}]}), "text of a part must be a string");
    check(json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}), "must hold a url");
}

#[test]
fn pictures_are_listed_in_order() {
    let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url, "detail": "low"}});
    let messages = [
        json!({"role": "user", "content": [image("a"), image("b")]}),
        json!({"role": "user", "content": [image("c")]}),
    ];
    assert_eq!(Chat::from_json(&messages).unwrap().images().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn a_checkpoint_s_template_is_looked_for_in_transformers_order() {
    let named = r#"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}"#;
    let mut files = TextFiles { tokenizer_config: Some(named.into()), ..TextFiles::default() };
    assert_eq!(files.chat_template().unwrap(), "d");
    files.chat_template_jinja = Some("jinja".into());
    assert_eq!(files.chat_template().unwrap(), "jinja");
    files.chat_template_json = Some(r#"{"chat_template": "json"}"#.into());
    assert_eq!(files.chat_template().unwrap(), "json");
    files.processor_config = Some("{}".into());
    assert_eq!(files.chat_template().unwrap(), "json");
    files.processor_config = Some(r#"{"chat_template": "processor"}"#.into());
    assert_eq!(files.chat_template().unwrap(), "processor");
    files.processor_config = Some("[".into());
    assert!(matches!(files.chat_template(), Err(TextError::Content { file: "processor_config.json", .. })));
    assert!(matches!(TextFiles::default().chat_template(), Err(TextError::NoTemplate)));
}

#[test]
fn the_flag_is_a_file_or_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.jinja");
    std::fs::write(&file, "from a file\r\n{{ 1 }}").unwrap();
    assert_eq!(chat_template_of_flag(file.to_str().unwrap()).unwrap(), "from a file\r\n{{ 1 }}");
    assert_eq!(chat_template_of_flag("{{ messages }}").unwrap(), "{{ messages }}");
    let missing = chat_template_of_flag("no/such.jinja").unwrap_err();
    assert!(matches!(missing, TextError::TemplatePath { .. }), "{missing}");
}

#[test]
fn a_folder_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let missing = |words: &str| {
        let error = TextFiles::read(folder.path(), None).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, TextError::NoTokenizer { .. }) && said.contains(words), "{said}");
    };
    missing("--tokenizer");
    std::fs::write(folder.path().join("vocab.json"), "{}").unwrap();
    std::fs::write(folder.path().join("merges.txt"), "").unwrap();
    missing("vocab.json and merges.txt are not read");
    std::fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    std::fs::write(folder.path().join("generation_config.json"), "g").unwrap();
    let files = TextFiles::read(folder.path(), None).unwrap();
    let expected = TextFiles { tokenizer: "{}".into(), generation_config: Some("g".into()), ..TextFiles::default() };
    assert_eq!(files, expected);
}
