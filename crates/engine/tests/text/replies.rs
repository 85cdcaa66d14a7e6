//! From the messages of a chat to the ids that the real server replied.

use engine::prompt::{ContentHash, Prompt, PromptImage, PromptRules};
use engine::text::{Chat, ChatTemplate, RenderOptions};
use geometry::{Family, Preprocessor};
use serde::Deserialize;
use serde_json::Value;

use crate::{CHATML, qwen2_vl_template, tokenizer};

#[derive(Deserialize)]
struct Reply {
    name: String,
    template: Option<String>,
    messages: Vec<Value>,
    count: usize,
    ids: Option<Vec<(u32, usize)>>,
    pieces: Option<Vec<String>>,
}

#[test]
fn prompts_have_the_ids_that_vllm_replied() {
    let replies: Vec<Reply> = serde_json::from_str(include_str!("../../../../tests/data/text/replies.json")).unwrap();
    let tokenizer = tokenizer();
    let rules = PromptRules { image_token: tokenizer.image_token(), merge_size: 2 };
    let photo = Preprocessor::of(Family::Qwen2Vl).geometry(1080, 810).unwrap();
    for reply in replies {
        let source = reply.template.map_or_else(qwen2_vl_template, |_| CHATML.to_owned());
        let template = ChatTemplate::new(&source, tokenizer.special_tokens()).unwrap();
        let chat = Chat::from_json(&reply.messages).unwrap();
        let text = template.render(&chat, &RenderOptions::default()).unwrap();
        let images: Vec<PromptImage> =
            chat.images().map(|_| PromptImage { geometry: photo, content: ContentHash([0; 32]) }).collect();
        let prompt = Prompt::new(&tokenizer.encode(&text, false).unwrap(), &images, rules).unwrap();
        assert_eq!(prompt.len(), reply.count, "{}", reply.name);
        if let Some(runs) = reply.ids {
            let ids: Vec<u32> = runs.iter().flat_map(|(id, count)| std::iter::repeat_n(*id, *count)).collect();
            assert_eq!(prompt.ids(), ids, "{}", reply.name);
        }
        if let Some(pieces) = reply.pieces {
            let found: Vec<String> = prompt.ids().iter().map(|id| tokenizer.piece(*id).unwrap()).collect();
            assert_eq!(found, pieces, "{}", reply.name);
        }
    }
}
