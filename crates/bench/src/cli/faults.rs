//! Faults of a command line in Chinese; in English the words are clap's own.

use crate::words::Words;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use measure::Lang;
use std::error::Error;
use std::num::ParseFloatError;

/// What is wrong with a command line, where this language needs words of our own.
#[must_use]
pub fn fault(error: &clap::Error, lang: Lang) -> Option<String> {
    if lang != Lang::Zh {
        return None;
    }
    let get = |kind| error.get(kind).map(shown).unwrap_or_default();
    let (arg, value) = (get(ContextKind::InvalidArg), get(ContextKind::InvalidValue));
    let subcommand = get(ContextKind::InvalidSubcommand);
    let mut text = match error.kind() {
        ErrorKind::UnknownArgument => format!("没有参数 {arg}"),
        ErrorKind::InvalidSubcommand => format!("没有子命令 {subcommand}"),
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} 需要一个值"),
        ErrorKind::InvalidValue => format!("{arg} 的值 {value:?} 不在允许范围内"),
        ErrorKind::ValueValidation => {
            let why = error.source().map(|why| format!("（{}）", reason(why))).unwrap_or_default();
            format!("{arg} 的值 {value:?} 不合法{why}")
        }
        ErrorKind::ArgumentConflict if arg.is_empty() && !subcommand.is_empty() => {
            let prior = get(ContextKind::PriorArg);
            format!("子命令 {subcommand} 不能与它之前的 {prior} 同时给出：请把其参数写在子命令之后")
        }
        ErrorKind::ArgumentConflict => match get(ContextKind::PriorArg) {
            other if other.is_empty() => format!("{arg} 不能与其他参数同时给出"),
            other => format!("{arg} 不能与 {other} 同时给出"),
        },
        ErrorKind::MissingRequiredArgument => format!("缺少 {arg}"),
        ErrorKind::TooManyValues => format!("{arg} 的值太多：{value:?}"),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!("{arg} 的值太少"),
        ErrorKind::InvalidUtf8 => "参数不是合法的 UTF-8".into(),
        _ => return None,
    };
    let allowed = get(ContextKind::ValidValue);
    if !allowed.is_empty() {
        text.push_str(&format!("；允许：{allowed}"));
    }
    let near = [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand].map(get);
    if let Some(near) = near.iter().find(|near| !near.is_empty()) {
        text.push_str(&format!("；是否想用 {near}？"));
    }
    Some(format!("错误：{text}\n用 --help 查看全部参数"))
}

/// Why a value cannot be taken: by our own checks, or no number at all.
fn reason(why: &(dyn Error + 'static)) -> String {
    match why.downcast_ref::<Words>() {
        Some(words) => words.text(Lang::Zh).to_owned(),
        None if why.is::<ParseFloatError>() => "应为数字，例如 0.7".into(),
        None => why.to_string(),
    }
}

fn shown(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(words) => words.join("、"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    #[test]
    fn every_fault_that_can_be_typed_has_chinese_words() {
        let check = |words: &str, parts: &[&str]| {
            let argv = std::iter::once("vlm-benchmark").chain(words.split_whitespace()).map(OsString::from);
            let error = super::super::parse(argv, Lang::Zh).unwrap_err();
            let text = fault(&error, Lang::Zh).unwrap_or_default();
            assert!(parts.iter().all(|part| text.contains(part)), "{words}: {text}");
            assert_eq!(fault(&error, Lang::En), None);
        };
        check("--batchsize 4", &["--batchsize", "是否想用 --batch-size"]);
        check("--port x", &["--port", "\"x\"", "应为 1 到 65535 的整数"]);
        check("--batch_size 0", &["--batch-size", "\"0\""]);
        check("--batch_size -3", &["--batch-size", "\"-3\"", "应为 1 到 100000 的整数"]);
        check("--seed -1", &["\"-1\"", "应为不小于 0 的整数"]);
        check("--image-as disk", &["--image-as", "base64"]);
        check("--prompt a --prompts b", &["--prompt", "不能与"]);
        check("--seed 1 report x", &["子命令 report", "--seed"]);
        check("parse-log", &["缺少", "LOGS"]);
        check("--duration 1d", &["--duration", "应为秒数", "5m"]);
        check("--temperature warm", &["--temperature", "\"warm\"", "应为数字"]);
        check("--expect x --min-score 2", &["--min-score", "应为 0 到 1 的数"]);
        check("calibrate --interval-ms -1", &["--interval-ms", "应为 0 到 60000 的毫秒数"]);
        check("calibrate --image-mb 0", &["--image-mb", "应为 0.01 到 150 的 MB 数"]);
        check("scenes x --brightness 9", &["--brightness", "应为 0.05 到 5 的倍数"]);
        check("scenes x --shift 3", &["--shift", "应为 X,Y"]);
        check("scenes x --size 9", &["--size", "应为 宽x高"]);
        check("scenes x --size 9x9", &["--size", "不绘制 9x9 像素的场景", "64 到 8192"]);
        check("--port", &["--port", "需要一个值"]);
    }
}
