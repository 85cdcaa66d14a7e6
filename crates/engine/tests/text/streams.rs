//! Texts to ids, ids to text one by one, stop strings, and single tokens, against tokenizers and vLLM.

use engine::text::{Detokenizer, StopStrings, TextError, TokenText, Tokenizer};
use serde::Deserialize;

use crate::tokenizer;

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Golden {
    streams: Vec<Stream>,
    singles: Vec<Single>,
}

#[derive(Deserialize)]
struct Stream {
    prompt: Vec<u32>,
    ids: Vec<u32>,
    stop: Vec<String>,
    include: bool,
    skip_special: bool,
    min_tokens: usize,
    by_stop_id: bool,
    texts: Vec<String>,
    stopped: Option<String>,
}

#[derive(Deserialize)]
struct Single {
    before: Vec<u32>,
    id: u32,
    text: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../../tests/data/text/streams.json")).unwrap()
}

#[test]
fn texts_have_the_ids_of_the_tokenizers_library() {
    let of_the_cut = include_str!("../../../../tests/data/text/texts.json");
    let of_the_full = include_str!("../../../../tests/data/tokenizer/expected_ids.json");
    let tokenizer = tokenizer();
    for file in [of_the_cut, of_the_full] {
        let texts: Vec<Text> = serde_json::from_str(file).unwrap();
        assert!(texts.len() > 30);
        for Text { text, ids } in texts {
            for add_special_tokens in [false, true] {
                assert_eq!(tokenizer.encode(&text, add_special_tokens).unwrap(), ids, "{text}");
            }
        }
    }
}

#[test]
fn each_token_shows_the_text_that_vllm_shows() {
    let tokenizer = tokenizer();
    let mut stopped = 0;
    for case in golden().streams {
        let stops = StopStrings::new(&case.stop, case.include);
        let mut stream = Detokenizer::new(&case.prompt, stops, case.skip_special, case.min_tokens);
        let mut texts = Vec::new();
        let mut found = None;
        for (at, id) in case.ids.iter().enumerate() {
            let last = at + 1 == case.ids.len();
            let step = stream.push(&tokenizer, *id, last, last && case.by_stop_id).unwrap();
            texts.push(step.text);
            found = step.stop;
            if found.is_some() {
                break;
            }
        }
        assert_eq!((&texts, &found), (&case.texts, &case.stopped), "{:?} {:?}", case.ids, case.stop);
        assert_eq!((texts.concat().as_str(), stream.waiting()), (stream.text(), ""));
        stopped += usize::from(found.is_some());
    }
    assert!(stopped > 10);
}

#[test]
fn single_tokens_show_the_text_that_vllm_shows() {
    let tokenizer = tokenizer();
    for case in golden().singles {
        let found = TokenText::of(&tokenizer, case.id, &case.before).unwrap();
        assert_eq!(found.text, case.text, "{} after {:?}", case.id, case.before);
        assert_eq!(found.bytes(), case.text.as_bytes());
    }
}

#[test]
fn the_tokenizer_knows_its_special_tokens() {
    let tokenizer = tokenizer();
    assert_eq!(
        (tokenizer.image_token(), tokenizer.eos_token(), tokenizer.vocabulary()),
        (151_655, Some(151_645), 151_657)
    );
    assert_eq!(tokenizer.special_tokens().get("eos_token"), Some("<|im_end|>"));
    assert_eq!(tokenizer.special_tokens().get("pad_token"), Some("<|endoftext|>"));
    // Both are null in the file, and a name that the file lacks has the class's default.
    assert_eq!(tokenizer.special_tokens().get("bos_token"), None);
    assert_eq!(tokenizer.special_tokens().get("unk_token"), None);
    assert_eq!(tokenizer.piece(198).as_deref(), Some("Ċ"));
    assert_eq!(tokenizer.decode(&[151_644, 872], true).unwrap(), "user");
    assert_eq!(tokenizer.decode(&[151_644, 872], false).unwrap(), "<|im_start|>user");
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    let check = |tokenizer: &str, config| Tokenizer::new(tokenizer, config).map(|_| ()).unwrap_err();
    assert!(matches!(check("{}", None), TextError::Content { file: "tokenizer.json", .. }));
    let good = include_str!("../../../../tests/data/tokenizer/tokenizer.json");
    assert!(matches!(check(good, Some("[]")), TextError::Content { file: "tokenizer_config.json", .. }));
    let without = good.replace("<|image_pad|>", "<|other|>");
    assert!(matches!(check(&without, None), TextError::MissingToken { .. }));
}
