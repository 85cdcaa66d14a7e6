//! What people type to have a picture described, and what they add around it.

use super::Language;
use crate::dice::Dice;

/// Requests for a description; the first two are the most usual.
const CHINESE: [&str; 19] = [
    "请描述图片",
    "请描述图片。",
    "请描述这张图片。",
    "描述图片",
    "描述一下这张图片。",
    "请描述一下图片。",
    "图中有什么？",
    "图里有什么？",
    "这张图片里有什么？",
    "请说明图片的内容。",
    "请介绍这张图片。",
    "请详细描述图片。",
    "请详细描述这张图片的内容。",
    "请用中文描述图片。",
    "请用一段话描述这幅图。",
    "你看到了什么？",
    "请描述画面。",
    "描述这个场景。",
    "请问图片里是什么？",
];
const ENGLISH: [&str; 15] = [
    "Describe the image.",
    "Describe the image",
    "Describe this image.",
    "Please describe the image.",
    "Describe the picture.",
    "Please describe this picture.",
    "Describe the image in detail.",
    "What is in the image?",
    "What is in this picture?",
    "What do you see?",
    "What does the image show?",
    "Describe the scene.",
    "Please describe the image in English.",
    "What can you see in the picture?",
    "Tell me about this image.",
];

/// System prompts; the first is the usual one.
pub(crate) const SYSTEMS: [&str; 4] =
    ["You are a helpful assistant.", "你是一个有用的助手。", "You describe pictures.", "你负责描述图片。"];

/// The answers to a request without a picture, Chinese and English.
pub(crate) const NO_IMAGE: [&str; 2] = ["没有收到图片，请发送一张图片。", "There is no image. Please send an image."];

const LETTERS: [char; 22] =
    ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'r', 's', 't', 'u', 'v', 'w'];
const CHARACTERS: [char; 24] = [
    '你', '好', '我', '它', '大', '小', '吗', '了', '在', '不', '和', '都', '物', '人', '天', '前', '后', '上', '下',
    '中', '问', '用', '以', '出',
];

/// A request for a description: half of the time one of the two most usual, now and then decorated.
pub(crate) fn describing(dice: &mut Dice, language: Language) -> String {
    let usual = dice.chance(0.3);
    let (first, plain) = match language {
        Language::Chinese => (dice.pick([CHINESE[0], CHINESE[1]]), dice.pick(CHINESE)),
        Language::English => (dice.pick([ENGLISH[0], ENGLISH[1]]), dice.pick(ENGLISH)),
    };
    let prompt = if usual { first } else { plain };
    if dice.chance(0.15) { decorate(prompt, dice, language) } else { prompt.to_owned() }
}

/// What people add around a request, and now and then a stray character.
fn decorate(prompt: &str, dice: &mut Dice, language: Language) -> String {
    let mut out = String::new();
    if dice.chance(0.5) {
        out.push_str(match language {
            Language::Chinese => dice.pick(["你好，", "请看图，", "麻烦你", "我想知道，"]),
            Language::English => dice.pick(["Hello. ", "Hi, ", "Please look at this. ", "I want to know: "]),
        });
    }
    out.push_str(prompt);
    if dice.chance(0.6) {
        let (stop, wish) = match language {
            Language::Chinese => {
                let wishes = ["谢谢。", "请用中文回答。", "请说得详细一点。", "请简短一些。", "不要编造。", "要准确。"];
                ("。", dice.pick(wishes))
            }
            Language::English => {
                let wishes = [
                    " Thank you.",
                    " Please answer in English.",
                    " Give more details.",
                    " Please be brief.",
                    " Be precise.",
                ];
                (".", dice.pick(wishes))
            }
        };
        if !prompt.ends_with(['。', '？', '.', '?']) {
            out.push_str(stop);
        }
        out.push_str(wish);
    }
    if dice.chance(0.3) { with_a_slip(&out, dice, language) } else { out }
}

/// With one character too many or a wrong one.
fn with_a_slip(prompt: &str, dice: &mut Dice, language: Language) -> String {
    let mut chars: Vec<char> = prompt.chars().collect();
    let place = dice.below(chars.len());
    let slip = match language {
        Language::Chinese => dice.pick(CHARACTERS),
        Language::English => dice.pick(LETTERS),
    };
    match chars.get_mut(place).filter(|_| dice.chance(0.5)) {
        Some(char) => *char = slip,
        None => chars.insert(place, slip),
    }
    chars.into_iter().collect()
}
