//! The parts of the engine that know no tensors, against Hugging Face transformers, vLLM's recorded replies, and a
//! simulated memory.

mod machine;
mod prompt;
mod replies;
mod scheduler;
mod streams;
mod template;

use engine::text::{TextFiles, Tokenizer};

/// The cut tokenizer of the tests.
fn tokenizer() -> Tokenizer {
    let config = include_str!("../../../../tests/data/tokenizer/tokenizer_config.json");
    Tokenizer::new(include_str!("../../../../tests/data/tokenizer/tokenizer.json"), Some(config)).unwrap()
}

/// Qwen2-VL's own template.
fn qwen2_vl_template() -> String {
    let json = include_str!("../../../../tests/data/tokenizer/chat_template.json");
    TextFiles { chat_template_json: Some(json.to_owned()), ..TextFiles::default() }.chat_template().unwrap()
}

const CHATML: &str = include_str!("../../../../tests/data/chat-template/chatml.jinja");

#[test]
fn what_threads_share_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
    shared::<engine::text::ChatTemplate>();
    shared::<engine::prompt::Prompt>();
    shared::<engine::schedule::Scheduler>();
    shared::<engine::sampling::Sampler>();
}
