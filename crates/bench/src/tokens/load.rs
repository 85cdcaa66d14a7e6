//! From files to a tokenizer: tokenizer.json, or the older vocab.json with merges.txt. Must not know where the files
//! come from, nor the network.

use super::error::TokensError;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use tokenizers::models::bpe::{BpeBuilder, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

/// A tokenizer is 5–35 MB; more than this is not one.
pub(super) const FILE_BYTES_MAX: u64 = 256 << 20;

/// How Qwen2 cuts a text before the merges (the `pre_tokenizer` of its published tokenizer.json).
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Files of tokenizers that are known and not read here: named in the message instead of a bare "not found".
const UNSUPPORTED_FILES: [&str; 5] =
    ["qwen.tiktoken", "tokenizer.model", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model"];

/// Whether a folder holds files that [`from_path`] reads.
pub(super) fn has_tokenizer(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).is_file();
    has("tokenizer.json") || (has("vocab.json") && has("merges.txt"))
}

/// The tokenizer in a folder, or in a tokenizer.json named itself.
pub(super) fn from_path(path: &Path) -> Result<Tokenizer, TokensError> {
    if !path.is_dir() {
        return from_json(&read(path)?, path);
    }
    let json = path.join("tokenizer.json");
    if json.is_file() {
        return from_json(&read(&json)?, &json);
    }
    if !has_tokenizer(path) {
        let found = UNSUPPORTED_FILES.iter().find(|name| path.join(name).is_file());
        return Err(TokensError::NoTokenizer { path: path.to_owned(), found: found.map(|f| (*f).to_owned()) });
    }
    let config = path.join("tokenizer_config.json");
    let config = if config.is_file() { Some(read(&config)?) } else { None };
    from_parts(&read(&path.join("vocab.json"))?, &read(&path.join("merges.txt"))?, config.as_deref(), path)
}

/// The tokenizer that the bytes of a tokenizer.json describe. `path` is for messages only. Its own truncation and
/// padding are switched off: they would cap or fill every count.
pub(super) fn from_json(bytes: &[u8], path: &Path) -> Result<Tokenizer, TokensError> {
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|e| failed(path, &e))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| failed(path, &e))?;
    Ok(tokenizer)
}

/// The tokenizer of Qwen2 from the bytes of vocab.json, merges.txt and, where there is one, tokenizer_config.json (the
/// special tokens). Another class than Qwen2's cuts texts differently and is refused, not guessed.
pub(super) fn from_parts(
    vocab: &[u8],
    merges: &[u8],
    config: Option<&[u8]>,
    path: &Path,
) -> Result<Tokenizer, TokensError> {
    let config: Value = match config {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| failed(path, &e))?,
        None => Value::Null,
    };
    if let Some(class) = config.get("tokenizer_class").and_then(Value::as_str)
        && !class.starts_with("Qwen2")
    {
        return Err(TokensError::NoTokenizer { path: path.to_owned(), found: Some(class.to_owned()) });
    }
    let vocab: HashMap<String, u32> = serde_json::from_slice(vocab).map_err(|e| failed(path, &e))?;
    let mut vocab: Vocab = vocab.into_iter().collect();
    let special = special_tokens(&config);
    // Inside the vocabulary they keep their ids; added afterwards they would be numbered anew.
    vocab.extend(special.iter().map(|(id, token)| (token.content.clone(), *id)));
    let merges = std::str::from_utf8(merges).map_err(|e| failed(path, &e))?;
    let pairs = merges.lines().filter(|line| !line.starts_with("#version"));
    let pairs = pairs.filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    let model = BpeBuilder::default().vocab_and_merges(vocab, pairs).build().map_err(|e| failed(path, &e))?;
    let pattern = SplitPattern::Regex(QWEN2_PATTERN.to_owned());
    let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|e| failed(path, &e))?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(NFC)).with_pre_tokenizer(Some(Sequence::new(vec![split.into(), bytes.into()])));
    let special: Vec<AddedToken> = special.into_iter().map(|(_, token)| token).collect();
    tokenizer.add_special_tokens(&special);
    Ok(tokenizer)
}

/// `added_tokens_decoder` of a tokenizer_config.json: id → token.
fn special_tokens(config: &Value) -> Vec<(u32, AddedToken)> {
    let Some(decoder) = config.get("added_tokens_decoder").and_then(Value::as_object) else {
        return Vec::new();
    };
    let token = |(id, entry): (&String, &Value)| {
        let flag = |name: &str| entry.get(name).and_then(Value::as_bool).unwrap_or(false);
        let content = entry.get("content")?.as_str()?;
        let token = AddedToken::from(content, flag("special"))
            .lstrip(flag("lstrip"))
            .rstrip(flag("rstrip"))
            .single_word(flag("single_word"))
            .normalized(flag("normalized"));
        Some((id.parse().ok()?, token))
    };
    decoder.iter().filter_map(token).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, TokensError> {
    let bytes = std::fs::metadata(path).map_err(|e| failed(path, &e))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(failed(path, &format!("{bytes} bytes, at most {FILE_BYTES_MAX}")));
    }
    std::fs::read(path).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, why: &impl std::fmt::Display) -> TokensError {
    TokensError::Load { path: path.to_owned(), why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{expected_ids, home, qwen_folder, tiny_tokenizer, write};
    use super::*;

    /// vocab.json, merges.txt and tokenizer_config.json with the contents of a tokenizer.json.
    fn old_files(folder: &Path, tokenizer_json: &Value) {
        let model = &tokenizer_json["model"];
        write(&folder.join("vocab.json"), &model["vocab"].to_string());
        let pair = |merge: &Value| match merge {
            Value::Array(ab) => format!("{} {}\n", ab[0].as_str().unwrap(), ab[1].as_str().unwrap()),
            merge => format!("{}\n", merge.as_str().unwrap()),
        };
        let merges: String = model["merges"].as_array().unwrap().iter().map(pair).collect();
        write(&folder.join("merges.txt"), &format!("#version: 0.2\n{merges}"));
        let added = tokenizer_json["added_tokens"].as_array().unwrap();
        let added: serde_json::Map<_, _> = added.iter().map(|t| (t["id"].to_string(), t.clone())).collect();
        let config = serde_json::json!({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added});
        write(&folder.join("tokenizer_config.json"), &config.to_string());
    }

    #[test]
    fn old_files_give_the_ids_of_the_json() {
        let json = std::fs::read(qwen_folder().join("tokenizer.json")).unwrap();
        let new = from_path(&qwen_folder()).unwrap();
        let (dir, _) = home();
        old_files(dir.path(), &serde_json::from_slice(&json).unwrap());
        let old = from_path(dir.path()).unwrap();
        let expected = expected_ids();
        assert!(!expected.is_empty());
        for (text, ids) in expected {
            assert_eq!(old.encode_fast(text.as_str(), false).unwrap().get_ids(), ids, "{text:?}");
        }
        for text in [
            "<|im_start|>user\n请描述图片<|im_end|>\n",
            "It's  2024:\r\n\tcafe\u{301} don't 12345  !?",
            "é 🚧\n\n x  ",
            "<|vision_start|><|image_pad|><|vision_end|>",
        ] {
            let [a, b] = [&new, &old].map(|t| t.encode_fast(text, false).unwrap().get_ids().to_vec());
            assert_eq!(a, b, "{text:?}");
        }
        let ids = old.encode_fast("<|vision_start|><|image_pad|>请描述图片<|im_end|>", false).unwrap();
        assert_eq!(ids.get_ids(), [151652, 151655, 14880, 53481, 45930, 151645]);
    }

    #[test]
    fn truncation_and_padding_do_not_touch_a_count() {
        let mut json: Value = serde_json::from_str(&tiny_tokenizer(&["a", "b"])).unwrap();
        json["truncation"] = serde_json::json!(
            {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = serde_json::json!({"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "a"});
        let tokenizer = from_json(json.to_string().as_bytes(), Path::new("x")).unwrap();
        assert_eq!(tokenizer.encode_fast("a b a", false).unwrap().len(), 3);
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let check = |files: &[(&str, &str)], want: &[&str]| {
            let (dir, _) = home();
            for (name, text) in files {
                write(&dir.path().join(name), text);
            }
            let error = from_path(dir.path()).unwrap_err();
            for (zh, word) in [false, true].into_iter().flat_map(|zh| want.iter().map(move |w| (zh, *w))) {
                assert!(error.text(zh).contains(word), "{files:?} zh={zh}: {}", error.text(zh));
            }
        };
        check(&[], &["tokenizer.json", "--tokenizer", "/tokenize"]);
        check(&[("qwen.tiktoken", "")], &["qwen.tiktoken", "--tokenizer", "/tokenize"]);
        check(&[("tokenizer.model", "")], &["tokenizer.model", "--tokenizer"]);
        check(&[("vocab.json", "{}")], &["merges.txt"]);
        check(&[("tokenizer.json", r#"{"version": "1."#)], &["tokenizer.json"]);
        check(&[("tokenizer.json", "version https://git-lfs.github.com/spec/v1")], &["tokenizer.json"]);
        check(&[("vocab.json", "[]"), ("merges.txt", "")], &["invalid type"]);
        let gpt2 = r#"{"tokenizer_class": "GPT2Tokenizer"}"#;
        check(&[("vocab.json", "{}"), ("merges.txt", ""), ("tokenizer_config.json", gpt2)], &["GPT2Tokenizer"]);
    }
}
