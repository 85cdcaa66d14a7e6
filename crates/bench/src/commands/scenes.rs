//! `scenes`: pictures of road works with their truth beside them, and what a server must say of them.

use super::unusable;
use crate::cli::{BorderArg, ScenesArgs, SplitArg};
use crate::image;
use crate::session::Failure;
use crate::workload::EXPECT_BYTES_MAX;
use ::image::ExtendedColorType;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use measure::Lang;
use scenes::{Border, Facts, Language, Split, View, describe, draw, expected, pool, questions};
use serde::Serialize;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

/// The name of the file by which a server is graded.
const EXPECT: &str = "expect.jsonl";
/// Bytes of a picture's two descriptions in it, of a short question, and how many of these a language has, at most; a test
/// holds them against scenes.
const DESCRIPTION_BYTES_MAX: u64 = 10_240;
const QUESTION_BYTES_MAX: u64 = 192;
const QUESTIONS_MAX: u64 = 24;
/// What a picture is asked for, in both languages.
const DESCRIBE: [(Language, &str); 2] = [(Language::Chinese, "请描述图片"), (Language::English, "Describe the image.")];

/// Writes the pictures, a JSON file of facts beside each and `expect.jsonl`, or a training pool.
///
/// # Errors
/// [`Failure`], when the folder holds scenes already or cannot be written.
pub fn scenes(args: &ScenesArgs, lang: Lang) -> Result<u8, Failure> {
    let marker = args.folder.join(if args.pool { pool::HEAD } else { EXPECT });
    if !args.pool {
        check_count(args, lang)?;
        check_new(args, &marker, lang)?;
    }
    let split = match args.split {
        Some(SplitArg::HeldOut) => Split::HeldOut,
        Some(SplitArg::Training) => Split::Training,
        None if args.pool => Split::Training,
        None => Split::HeldOut,
    };
    let shards = args.count.div_ceil(pool::SHARD);
    let count = if args.pool { shards * pool::SHARD } else { args.count };
    let progress = Progress::new(count, lang);
    let written = if args.pool {
        let drawn = |_| progress.one();
        pool::write(&args.folder, split, args.first, shards, &mut { drawn }).map_err(|error| not_drawn(&error, lang))
    } else {
        pictures(args, split, &progress, lang)
    };
    progress.end();
    written?;
    say(&lang.pick(format!("{count} scenes: {}", marker.display()), format!("{count} 个场景：{}", marker.display())));
    Ok(0)
}

/// What is written can be read: `--expect` takes files up to a size.
fn check_count(args: &ScenesArgs, lang: Lang) -> Result<(), Failure> {
    let questions = QUESTIONS_MAX.min(args.questions.into()) * Language::ALL.len() as u64;
    let most = EXPECT_BYTES_MAX / (DESCRIPTION_BYTES_MAX + questions * QUESTION_BYTES_MAX);
    if args.count <= most {
        return Ok(());
    }
    let ScenesArgs { count, questions, .. } = args;
    Err(unusable(lang.pick(
        format!(
            "--count {count}: expect.jsonl would be larger than --expect can read: with --questions {questions} give --count at most {most}, and the others by --first into another folder"
        ),
        format!(
            "--count {count}：expect.jsonl 会超过 --expect 能读取的大小：--questions 为 {questions} 时 --count 至多为 {most}，其余请用 --first 写入另一个目录"
        ),
    )))
}

fn check_new(args: &ScenesArgs, marker: &Path, lang: Lang) -> Result<(), Failure> {
    if !marker.exists() {
        return Ok(());
    }
    let folder = args.folder.display();
    Err(unusable(lang.pick(
        format!("{folder}: this folder holds scenes already, and they are not overwritten: give another"),
        format!("{folder}：该目录已有场景，不会覆盖：请给出另一个目录"),
    )))
}

fn pictures(args: &ScenesArgs, split: Split, progress: &Progress, lang: Lang) -> Result<(), Failure> {
    fs::create_dir_all(&args.folder).map_err(|error| {
        let expected = lang.pick("a folder that is there or can be made is expected", "应为已有的或可以新建的目录");
        unusable(format!("{}: {expected}: {error}", args.folder.display()))
    })?;
    let view = View {
        width: args.size.0,
        height: args.size.1,
        brightness: args.brightness,
        shift: args.shift,
        border: match args.border {
            BorderArg::Black => Border::Black,
            BorderArg::Edge => Border::Edge,
        },
        grainy: args.grain,
    };
    // Its own name says that every picture is there.
    let part = args.folder.join(format!("{EXPECT}.part"));
    let refuse = |error| cannot_write(&part, &error);
    let mut expect = fs::File::create(&part).map(BufWriter::new).map_err(refuse)?;
    for number in args.first..args.first + args.count {
        let seed = split.seed(number);
        let facts = Facts::of(seed);
        let stem = format!("{}-{number:06}", if split == Split::HeldOut { "held-out" } else { "training" });
        let name = format!("{stem}.png");
        let drawing = draw(&facts, seed, &view).map_err(|error| not_drawn(&error, lang))?;
        let size = (drawing.image.width, drawing.image.height);
        let png = image::encode_png(&name, &drawing.image.pixels, size, ExtendedColorType::Rgb8, None);
        let png = png.map_err(|error| Failure { status: 1, text: error.text(lang == Lang::Zh) })?;
        put(&args.folder.join(&name), &png)?;
        put(&args.folder.join(format!("{stem}.json")), &crate::store::pretty(&Truth::of(&name, seed, &facts)))?;
        for line in asked(&name, seed, &facts, args.questions) {
            writeln!(expect, "{line}").map_err(refuse)?;
        }
        progress.one();
    }
    expect.flush().and_then(|()| fs::rename(&part, args.folder.join(EXPECT))).map_err(refuse)
}

/// What lies beside a picture.
#[derive(Serialize)]
struct Truth<'a> {
    file: &'a str,
    seed: u64,
    facts: &'a Facts,
    zh: String,
    en: String,
}

impl<'a> Truth<'a> {
    fn of(file: &'a str, seed: u64, facts: &'a Facts) -> Self {
        let say = |language| describe(facts, language, None);
        Self { file, seed, facts, zh: say(Language::Chinese), en: say(Language::English) }
    }
}

/// The lines of `expect.jsonl` for one picture: the descriptions by their facts, short answers by their words.
fn asked(name: &str, seed: u64, facts: &Facts, short: u32) -> Vec<Value> {
    let mut lines: Vec<Value> = DESCRIBE
        .iter()
        .map(|(language, prompt)| {
            let answer = describe(facts, *language, None);
            json!({"image": name, "prompt": prompt, "answer": answer, "facts": expected(facts, *language)})
        })
        .collect();
    let all = questions(facts, seed);
    for language in Language::ALL {
        let mut some: Vec<_> = all.iter().filter(|question| question.language == language).collect();
        // Others for each picture, spread over all that can be asked.
        let (turn, each) = (seed as usize / 2 % some.len().max(1), (some.len() / (short as usize).max(1)).max(1));
        some.rotate_left(turn);
        let chosen = some.iter().step_by(each).take(short as usize);
        lines.extend(chosen.map(|q| json!({"image": name, "prompt": q.prompt, "answer": q.answer})));
    }
    lines
}

/// A bar on a terminal, nothing elsewhere.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(count: u64, lang: Lang) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:24}] {pos}/{len} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(lang.pick("drawing", "绘制"));
        Self(Some(bar))
    }

    fn one(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure { status: 1, text: format!("{}: {error}", path.display()) }
}

fn not_drawn(error: &scenes::Error, lang: Lang) -> Failure {
    let text = match (error, lang) {
        (scenes::Error::Size { width, height }, _) => {
            image::ImageError::BadSceneSize { width: *width, height: *height }.text(lang == Lang::Zh)
        }
        (scenes::Error::Geometry(error), Lang::Zh) => format!("模型的图片尺寸设置无法使用：{error}"),
        (scenes::Error::OtherPool { path, there, asked }, Lang::Zh) => other_pool(path, there.as_ref(), asked),
        // A path and the system's words.
        (scenes::Error::Write { .. }, _) | (_, Lang::En) => error.to_string(),
    };
    let status = if matches!(error, scenes::Error::OtherPool { .. }) { 2 } else { 1 };
    Failure { status, text }
}

/// In Chinese: the folder holds the scenes of another pool.
fn other_pool(path: &Path, there: Option<&pool::Origin>, asked: &pool::Origin) -> String {
    let name = |of: &pool::Origin| {
        let split = if of.split == Split::Training { "训练用场景" } else { "检验用场景" };
        format!("从第 {} 个起的{split}", of.first)
    };
    let there = there.map_or_else(|| "没有此版本的 pool.json 说明的场景".into(), name);
    let (path, asked) = (path.display(), name(asked));
    format!("{path}：该目录是{there}的训练集，而要求的是{asked}：请给出另一个目录，或与其相同的场景")
}

fn say(text: &str) {
    // Nobody can be told that stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_picture_are_within_their_bounds() {
        let mut longest = 0;
        for number in 0..3000 {
            let seed = Split::HeldOut.seed(1_000_000_000_000 + number);
            let lines = asked(&format!("held-out-{number:013}.png"), seed, &Facts::of(seed), 100);
            let bytes = |line: &Value| line.to_string().len() as u64 + 1;
            let (described, short): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.get("facts").is_some());
            let described: u64 = described.into_iter().map(bytes).sum();
            assert!(described <= DESCRIPTION_BYTES_MAX, "{described}");
            assert!(short.len() as u64 <= QUESTIONS_MAX * 2, "{}", short.len());
            assert!(short.into_iter().map(bytes).all(|bytes| bytes <= QUESTION_BYTES_MAX));
            longest = longest.max(described);
        }
        // The bound is not far from what there is.
        assert!(longest > DESCRIPTION_BYTES_MAX / 2, "{longest}");
    }
}
