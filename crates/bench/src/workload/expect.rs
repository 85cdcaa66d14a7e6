//! `--expect`: what is asked in the accuracy run, and what is expected of the answers. A file of JSON lines.

use super::text::{BYTES_MAX, Unread, read_text};
use super::{PREPARED_MAX, WorkloadError};
use measure::image::ImageFacts;
use measure::{ExpectedFact, Lang};
use serde::Deserialize;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

/// One line: a question and what its answer must say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ExpectLine {
    /// The name of the picture; without it every picture of the run.
    pub(super) image: Option<String>,
    /// What is asked; without it the run's prompt.
    pub(super) prompt: Option<String>,
    pub(super) answer: Option<String>,
    #[serde(default)]
    pub(super) facts: Vec<ExpectedFact>,
}

/// Why a file of expectations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExpectError {
    /// The system refuses.
    #[error("{0}; a file of JSON lines is expected")]
    Io(#[from] std::io::Error),
    /// More than is read.
    #[error("it has more than {BYTES_MAX} bytes, the most that are read: split it")]
    TooLarge,
    /// No line in it.
    #[error("it holds no line; one a question is expected, with \"answer\" or \"facts\"")]
    Empty,
    /// A line that is no JSON object of ours.
    #[error("line {line}: {why}; an object is expected, such as {EXAMPLE}")]
    Json {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Neither reference answer nor facts.
    #[error("line {0}: neither \"answer\" nor \"facts\": one of them is expected")]
    Nothing(usize),
    /// A fact that every answer or none would be right about.
    #[error("line {line}: fact {fact:?} needs a phrase in \"any\" or \"none\", and no phrase may be empty")]
    NoPhrase {
        /// Which, from 1.
        line: usize,
        /// The fact.
        fact: String,
    },
    /// A picture that the run does not have.
    #[error("line {line}: image {image:?} is not among the run's images: give the name of a file in --image_dir")]
    NoImage {
        /// Which, from 1.
        line: usize,
        /// What it names.
        image: String,
    },
    /// More questions than can be made ahead.
    #[error(
        "its lines ask {requests} questions of the run's images, and at most {PREPARED_MAX} can be made: name one \"image\" in each line, or give fewer lines or images"
    )]
    TooMany {
        /// How many.
        requests: u64,
    },
    /// Every line is about other pictures.
    #[error("none of its lines is about the run's images: \"image\" must be the name of a file given, or be left out")]
    OtherImages,
}

const EXAMPLE: &str = r#"{"image": "a.png", "prompt": "…", "facts": [{"fact": "colour", "any": ["yellow"]}]}"#;

impl ExpectError {
    /// The error in one language; the words of the system and of the JSON reader are theirs.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        if lang == Lang::En {
            return self.to_string();
        }
        match self {
            Self::Io(error) => format!("{error}；应为每行一个 JSON 对象的文件"),
            Self::TooLarge => format!("文件超过 {BYTES_MAX} 字节，即最多能读取的大小：请拆分"),
            Self::TooMany { requests } => format!(
                "各行与所给图片合计 {requests} 个问题，最多可生成 {PREPARED_MAX} 个：请在每行用 \"image\" 指定一张图片，或减少行数或图片"
            ),
            Self::Empty => "没有任何一行；应每行一个问题，含 \"answer\" 或 \"facts\"".into(),
            Self::Json { line, why } => format!("第 {line} 行：{why}；应为对象，例如 {EXAMPLE}"),
            Self::Nothing(line) => format!("第 {line} 行：没有 \"answer\" 也没有 \"facts\"，至少需要一个"),
            Self::NoPhrase { line, fact } => {
                format!("第 {line} 行：事实 {fact:?} 需要在 \"any\" 或 \"none\" 中给出词语，且词语不能为空")
            }
            Self::NoImage { line, image } => {
                format!("第 {line} 行：图片 {image:?} 不在本次运行的图片中：请给出 --image_dir 中的文件名")
            }
            Self::OtherImages => "没有一行与本次运行的图片有关：\"image\" 应为所给文件的名称，或省略".into(),
        }
    }
}

/// The requests of an accuracy run by the names of their images.
pub(super) struct Names<'a> {
    requests: usize,
    /// The paths that end in a file's name, and the requests that they are in.
    by_file: HashMap<&'a OsStr, Vec<(&'a Path, usize)>>,
}

impl<'a> Names<'a> {
    /// `requests`: the numbers of the images of each.
    pub(super) fn of<'b>(requests: impl Iterator<Item = &'b [u32]>, images: &'a [ImageFacts]) -> Self {
        let mut names = Self { requests: 0, by_file: HashMap::new() };
        for (place, numbers) in requests.enumerate() {
            names.requests = place + 1;
            for facts in numbers.iter().filter_map(|number| images.get(*number as usize)) {
                let path = Path::new(&facts.name);
                names.by_file.entry(path.file_name().unwrap_or_default()).or_default().push((path, place));
            }
        }
        names
    }

    /// How many requests are about the images of these lines, all lines together.
    pub(super) fn count(&self, lines: &[(usize, ExpectLine)]) -> u64 {
        let of = |line: &ExpectLine| match &line.image {
            None => self.requests,
            image => self.about(image.as_deref()).len(),
        };
        lines.iter().map(|(_, line)| of(line) as u64).sum()
    }

    /// The requests that are about an image, by its file's name with as many of its folders as are given; without one, all.
    pub(super) fn about(&self, image: Option<&str>) -> Vec<usize> {
        let Some(image) = image.map(|image| Path::new(image.trim_start_matches("./"))) else {
            return (0..self.requests).collect();
        };
        let found = image.file_name().and_then(|file| self.by_file.get(file));
        let mut places: Vec<usize> =
            found.into_iter().flatten().filter(|(path, _)| path.ends_with(image)).map(|(_, place)| *place).collect();
        places.dedup();
        places
    }
}

/// The lines with their numbers, from 1; at least one.
pub(super) fn read(path: &Path) -> Result<Vec<(usize, ExpectLine)>, WorkloadError> {
    let refuse = |why: ExpectError| WorkloadError::Expect { path: path.display().to_string(), why };
    let text = read_text(path, BYTES_MAX).map_err(|unread| {
        refuse(match unread {
            Unread::Io(error) => error.into(),
            Unread::TooLarge => ExpectError::TooLarge,
        })
    })?;
    parse(&text).map_err(refuse)
}

fn parse(text: &str) -> Result<Vec<(usize, ExpectLine)>, ExpectError> {
    let lines = text.trim_start_matches('\u{feff}').lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let lines: Vec<_> = lines.map(|(line, number)| one(line, number)).collect::<Result<_, _>>()?;
    if lines.is_empty() { Err(ExpectError::Empty) } else { Ok(lines) }
}

fn one(line: &str, number: usize) -> Result<(usize, ExpectLine), ExpectError> {
    let read: ExpectLine =
        serde_json::from_str(line).map_err(|error| ExpectError::Json { line: number, why: error.to_string() })?;
    if read.answer.is_none() && read.facts.is_empty() {
        return Err(ExpectError::Nothing(number));
    }
    let phrases = |fact: &ExpectedFact| fact.any.iter().chain(&fact.none).map(|p| p.trim().is_empty()).max();
    match read.facts.iter().find(|fact| phrases(fact) != Some(false)) {
        Some(fact) => Err(ExpectError::NoPhrase { line: number, fact: fact.name.clone() }),
        None => Ok((number, read)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let text = "\u{feff}{\"image\":\"a.png\",\"prompt\":\"p\",\"answer\":\"x\",\"more\":1}\n\n\
                    {\"facts\":[{\"fact\":\"sun\",\"none\":[\"no sun\"]}]}\r\n";
        let lines = parse(text).unwrap();
        assert_eq!(lines.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((lines[0].1.image.as_deref(), lines[0].1.answer.as_deref()), (Some("a.png"), Some("x")));
        assert_eq!((lines[1].1.prompt.as_deref(), lines[1].1.facts[0].none.len()), (None, 1));
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line_in_both_languages() {
        let check = |text: &str, en: &str, zh: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(en) && error.text(Lang::Zh).contains(zh), "{text}: {error}");
        };
        check(" \n", "no line", "没有任何一行");
        check("{\"answer\":\"a\"}\n[1]", "line 2: ", "第 2 行");
        check("{\"answer\":3}", "line 1: invalid type", "应为对象");
        check("{\"image\":\"a.png\"}", "neither \"answer\" nor \"facts\"", "至少需要一个");
        check("{\"facts\":[{\"fact\":\"f\"}]}", "fact \"f\" needs a phrase", "词语");
        check("{\"facts\":[{\"fact\":\"f\",\"any\":[\"\"]}]}", "no phrase may be empty", "不能为空");
        check("{\"facts\":[{\"any\":[\"a\"]}]}", "missing field `fact`", "fact");
    }
}
