//! Where prompts come from: the flag, a file, or made up.

use super::WorkloadError;
use super::text::{BYTES_MAX, Unread, read_text};
use crate::cli::OUTPUT_LEN;
use crate::plan::{Plan, PromptSource};
use crate::tokens::Loaded;
use crate::words::{Words, words};
use measure::Lang;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One prompt, with what a line of a file may add.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) prompt: String,
    pub(super) images: Vec<PathBuf>,
    pub(super) output_len: Option<u64>,
}

/// The prompts in their order, at least one.
pub(super) fn read(plan: &Plan, tokenizer: Option<&Loaded>, wanted: u64) -> Result<Vec<Entry>, WorkloadError> {
    let plain = |prompt: String| Entry { prompt, images: Vec::new(), output_len: None };
    match &plan.prompts {
        PromptSource::Text(text) => Ok(vec![plain(text.clone())]),
        PromptSource::Synthetic(tokens) => {
            let tokenizer = tokenizer.ok_or(WorkloadError::NoTokenizer)?;
            (0..wanted).map(|i| Ok(plain(tokenizer.synthetic_text(*tokens, plan.seed, i)?))).collect()
        }
        PromptSource::File(path) => {
            let refuse = |why: Words| WorkloadError::Prompts { path: path.display().to_string(), why };
            let text = read_text(path, BYTES_MAX).map_err(|unread| {
                refuse(match unread {
                    Unread::Io(error) => words(
                        format!("{error}; UTF-8 text is expected, one prompt a line, or JSONL"),
                        format!("{error}；应为 UTF-8 文本，每行一条提示，或 JSONL"),
                    ),
                    Unread::TooLarge => words(
                        format!("it has more than {BYTES_MAX} bytes, the most that are read: split it"),
                        format!("文件超过 {BYTES_MAX} 字节（最多读取这么多）：请拆分"),
                    ),
                })
            })?;
            parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(refuse)
        }
    }
}

/// Text with one prompt a line, or JSONL when the first line that is not empty begins with a brace.
fn parse(text: &str, folder: &Path) -> Result<Vec<Entry>, Words> {
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let is_json = lines.clone().next().is_some_and(|(_, line)| line.trim_start().starts_with('{'));
    let entries: Vec<Entry> = if is_json {
        lines
            .map(|(number, line)| json_line(line, folder).map_err(|why| at_line(number + 1, &why)))
            .collect::<Result<_, _>>()?
    } else {
        lines
            .map(|(_, line)| Entry { prompt: line.trim_end().to_owned(), images: Vec::new(), output_len: None })
            .collect()
    };
    if entries.is_empty() {
        return Err(words(
            "it holds no prompt; one a line, or JSONL with \"prompt\" is expected",
            "其中没有提示；应每行一条，或含 \"prompt\" 的 JSONL",
        ));
    }
    Ok(entries)
}

fn at_line(line: usize, why: &Words) -> Words {
    words(format!("line {line}: {why}"), format!("第 {line} 行：{}", why.text(Lang::Zh)))
}

fn json_line(line: &str, folder: &Path) -> Result<Entry, Words> {
    let value: Value = serde_json::from_str(line).map_err(|error| {
        let example = r#"{"prompt": "…"}"#;
        words(
            format!("{error}; an object is expected, such as {example}"),
            format!("{error}；应为对象，例如 {example}"),
        )
    })?;
    let no_prompt = || words("a \"prompt\" of text is expected", "应有文本 \"prompt\"");
    let prompt = value.get("prompt").and_then(Value::as_str).ok_or_else(no_prompt)?;
    let path = |value: &Value| {
        let no_path = || words("\"image\" must be a path or a list of paths", "\"image\" 应为路径或路径列表");
        let given = Path::new(value.as_str().ok_or_else(no_path)?);
        // A relative path counts from the file's own folder; from the working folder where it is not there.
        let beside = folder.join(given);
        Ok::<_, Words>(if beside.exists() { beside } else { given.to_owned() })
    };
    let images = match value.get("image").or_else(|| value.get("images")) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(paths)) => paths.iter().map(path).collect::<Result<_, _>>()?,
        Some(one) => vec![path(one)?],
    };
    let output_len = match value.get("output_len").or_else(|| value.get("output_tokens")) {
        None | Some(Value::Null) => None,
        Some(number) => {
            let within = number.as_u64().filter(|tokens| OUTPUT_LEN.contains(tokens));
            let (least, most) = (OUTPUT_LEN.start(), OUTPUT_LEN.end());
            Some(within.ok_or_else(|| {
                words(
                    format!("\"output_len\" {number}: a whole number of tokens from {least} to {most} is expected"),
                    format!("\"output_len\" {number}：应为 {least} 到 {most} 的整数"),
                )
            })?)
        }
    };
    Ok(Entry { prompt: prompt.to_owned(), images, output_len })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[(&str, &[&str], Option<u64>)]) {
        let entries = parse(text, Path::new("/nowhere")).unwrap();
        let got: Vec<(&str, Vec<&str>, Option<u64>)> = entries
            .iter()
            .map(|entry| {
                let images = entry.images.iter().filter_map(|path| path.to_str()).collect();
                (entry.prompt.as_str(), images, entry.output_len)
            })
            .collect();
        let want: Vec<_> = want.iter().map(|(prompt, images, len)| (*prompt, images.to_vec(), *len)).collect();
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn lines_and_json_lines() {
        check("请描述图片\n\nsecond \r\n", &[("请描述图片", &[], None), ("second", &[], None)]);
        check(
            "\u{feff}{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"image\":\"x.png\",\"output_len\":7}\n",
            &[("a", &[], None), ("b", &["x.png"], Some(7))],
        );
        check("{\"prompt\":\"a\",\"image\":[\"x\",\"y\"],\"output_tokens\":3}", &[("a", &["x", "y"], Some(3))]);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, en, zh) in [
            ("", "no prompt", "没有提示"),
            ("{\"prompt\":1}", "line 1: a \"prompt\"", "第 1 行：应有"),
            ("{\"prompt\":\"a\"}\n\n{", "line 3: ", "应为对象"),
            ("{\"prompt\":\"a\",\"output_len\":-1}", "\"output_len\" -1: a whole number", "-1：应为"),
            ("{\"prompt\":\"a\",\"output_len\":0}", "1 to 10000000", "1 到 10000000"),
            ("{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"output_tokens\":10000001}", "line 2: \"output_len\"", "第 2 行"),
            ("{\"prompt\":\"a\",\"image\":[1]}", "list of paths", "路径列表"),
        ] {
            let error = WorkloadError::Prompts { path: "p".into(), why: parse(text, Path::new("")).unwrap_err() };
            assert!(error.text(Lang::En).contains(en), "{text:?}: {error}");
            let told = error.text(Lang::Zh);
            assert!(told.starts_with("--prompts p：") && told.contains(zh), "{text:?}: {told}");
        }
    }
}
