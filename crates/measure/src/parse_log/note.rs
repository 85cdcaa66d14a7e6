//! What a reader of a log should know about a row: cause and remedy in words, English or Chinese.
//! It must not know how lines are read.

use super::block::{Column, Flavour, TTFT_MS_LIMIT};
use crate::lang::Lang;

/// A remark on a block or an answer. `line` is the heading's or the answer's line, from 1, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the words of the sentence that the variant's own text describes")]
pub enum Note {
    /// Mean TTFT over the old parser's limit: it dropped such blocks.
    TtftOverLimit { line: usize, ttft_ms: String },
    /// The heading says `(avg N rounds)`: the old parser does not find it, and counts are those of one round.
    Averaged { line: usize, rounds: u64 },
    /// The heading is not the exact one: the old parser does not find it.
    OtherHeading { line: usize },
    /// The block ends before its closing line; `missing` are the columns without a value.
    CutShort { line: usize, end_line: usize, missing: Vec<Column> },
    /// A complete block without these lines.
    Missing { line: usize, flavour: Flavour, missing: Vec<Column> },
    /// The log says `n/a`, `nan` or `inf` (`line` is that line's).
    NotANumber { line: usize, column: Column, value: String },
    /// The value is no number at all and was left out (`line` is that line's).
    Unreadable { line: usize, column: Column, value: String },
    /// The same line twice in a block with different values (`line` is the second one's).
    Conflicting { line: usize, column: Column, kept: String, other: String },
    /// The run had failed requests: the figures are those of the survivors.
    Failed { line: usize, failed: u64 },
    /// SGLang's three counts of input were put into the two columns.
    SglangInput { line: usize },
    /// One count of input only; whether images are in it depends on the program's version.
    InputUnsaid { line: usize },
    /// An answer without `Processing:` and `Image :` in a log whose other answers have them.
    AnswerUnnamed { line: usize },
    /// The name of the image has spaces: the old parser cuts it there.
    ImageWithSpaces { line: usize, image: String },
    /// `Image :` without an answer after it.
    AnswerMissing { line: usize, image: String },
}

impl Note {
    /// The line it speaks of, from 1.
    pub fn line(&self) -> usize {
        match self {
            Self::TtftOverLimit { line, .. }
            | Self::Averaged { line, .. }
            | Self::OtherHeading { line }
            | Self::CutShort { line, .. }
            | Self::Missing { line, .. }
            | Self::NotANumber { line, .. }
            | Self::Unreadable { line, .. }
            | Self::Conflicting { line, .. }
            | Self::Failed { line, .. }
            | Self::SglangInput { line }
            | Self::InputUnsaid { line }
            | Self::AnswerUnnamed { line }
            | Self::ImageWithSpaces { line, .. }
            | Self::AnswerMissing { line, .. } => *line,
        }
    }

    /// Whether it is about an answer, and not about a benchmark block.
    pub fn is_about_an_answer(&self) -> bool {
        matches!(self, Self::AnswerUnnamed { .. } | Self::ImageWithSpaces { .. } | Self::AnswerMissing { .. })
    }

    /// Cause and remedy in one sentence or two, with the line number in front.
    pub fn text(&self, lang: Lang) -> String {
        match lang {
            Lang::En => format!("line {}: {}", self.line(), self.english()),
            Lang::Zh => format!("第 {} 行：{}", self.line(), self.chinese()),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::TtftOverLimit { ttft_ms, .. } => format!(
                "mean TTFT {ttft_ms} ms is over {TTFT_MS_LIMIT:.0} ms; the old parser drops such a block in silence. The row is kept: filter on the TTFT column if overloaded points are not wanted."
            ),
            Self::Averaged { rounds, .. } => format!(
                "the heading says (avg {rounds} rounds), which the old parser does not find. The row is kept: its token and request counts are those of one round, its times are means of {rounds} rounds."
            ),
            Self::OtherHeading { .. } => "the heading is not the exact one at which the old parser splits a log, so it misses this block. The row is kept.".to_owned(),
            Self::CutShort { end_line, missing, .. } => format!(
                "the block stops at line {end_line}, before its closing line{}. The row is kept with what there is; its last value may be cut too: run this point again.",
                list(missing, "; without ", ", ")
            ),
            Self::Missing { flavour, missing, .. } => format!(
                "this block{} has no line{}. The cells stay empty.",
                program(*flavour, " of "),
                list(missing, " ", ", ")
            ),
            Self::NotANumber { column, value, .. } => format!(
                "{} is `{value}`; the old parser finds no number there. It is kept as printed: treat it as missing, not as 0.",
                column.label()
            ),
            Self::Unreadable { column, value, .. } => format!(
                "{} has `{value}`, which is no number. The cell stays empty: look at the log there.",
                column.label()
            ),
            Self::Conflicting { column, kept, other, .. } => format!(
                "{} comes again with `{other}` in a block that has `{kept}`; the first is kept. Two runs may have written to one log: give each its own file.",
                column.label()
            ),
            Self::Failed { failed, .. } => format!(
                "{failed} request(s) failed; the figures are those of the requests that were answered. Find the cause before comparing this row."
            ),
            Self::SglangInput { .. } => "SGLang's `Total input text tokens` is in the column Total input tokens, its `Total input tokens` (text and vision) in Total image and input tokens. Both were counted by its client; with images the text count includes the chat template.".to_owned(),
            Self::InputUnsaid { .. } => "this program prints one input count: `Total input tokens` is kept as printed and the image column stays empty. Older versions count the prompt text there, newer ones the server's whole prompt with its images; compare it only with logs of the same version.".to_owned(),
            Self::AnswerUnnamed { .. } => "this answer has no `Processing:` and `Image :` before it, unlike others in this log: which image it is about is not known.".to_owned(),
            Self::ImageWithSpaces { image, .. } => format!(
                "the image's name has spaces: `{image}`; the old parser cuts it at the first one. The whole name is kept."
            ),
            Self::AnswerMissing { image, .. } => format!(
                "no answer follows image `{image}`; nothing is written for it. The run may have been stopped: ask for this image again."
            ),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Self::TtftOverLimit { ttft_ms, .. } => format!(
                "平均 TTFT {ttft_ms} ms 超过 {TTFT_MS_LIMIT:.0} ms，旧解析脚本会悄悄丢弃这一段；这里保留。不需要过载点时请按 TTFT 列筛选。"
            ),
            Self::Averaged { rounds, .. } => format!(
                "标题带有 (avg {rounds} rounds)，旧解析脚本找不到它；这里保留。token 数与请求数是单轮的，时间是 {rounds} 轮的平均。"
            ),
            Self::OtherHeading { .. } => "标题与旧解析脚本用来切分的字符串不完全一致，它会漏掉这一段；这里保留。".to_owned(),
            Self::CutShort { end_line, missing, .. } => format!(
                "这一段在第 {end_line} 行中断，没有结束行{}；已有的值保留，最后一个值也可能不完整，请重跑这一点。",
                list(missing, "，缺少 ", "、")
            ),
            Self::Missing { flavour, missing, .. } => format!(
                "这一段{}没有这些行：{}；对应单元格留空。",
                program(*flavour, "来自 "),
                list(missing, "", "、")
            ),
            Self::NotANumber { column, value, .. } => format!(
                "{} 的值是 `{value}`，旧解析脚本在此取不到数字；按原样保留，请当作缺失，不要当作 0。",
                column.label()
            ),
            Self::Unreadable { column, value, .. } => format!(
                "{} 的值 `{value}` 不是数字；单元格留空，请查看日志此处。",
                column.label()
            ),
            Self::Conflicting { column, kept, other, .. } => format!(
                "{} 在同一段中再次出现：先是 `{kept}`，后是 `{other}`；保留先出现的。可能有两个运行写入同一日志，请分别写到各自的文件。",
                column.label()
            ),
            Self::Failed { failed, .. } => format!(
                "有 {failed} 个请求失败，数据只来自成功的请求；请先查明原因再比较这一行。"
            ),
            Self::SglangInput { .. } => "SGLang 的 `Total input text tokens` 放在 Total input tokens 列，`Total input tokens`（文本加视觉）放在 Total image and input tokens 列；两者都由其客户端统计，有图片时文本数包含对话模板。".to_owned(),
            Self::InputUnsaid { .. } => "该程序只打印一个输入 token 数：`Total input tokens` 按原样保留，图片列留空。旧版本统计提示词文本，新版本统计服务端的全部提示（含图片）；请只与同版本的日志比较。".to_owned(),
            Self::AnswerUnnamed { .. } => "该回答之前没有 `Processing:` 和 `Image :`，而同一日志的其他回答有：不知道它属于哪张图片。".to_owned(),
            Self::ImageWithSpaces { image, .. } => format!(
                "图片名含空格：`{image}`，旧解析脚本会在第一个空格处截断；这里保留全名。"
            ),
            Self::AnswerMissing { image, .. } => format!(
                "图片 `{image}` 之后没有回答，不写入结果；运行可能被中断，请对该图片重新提问。"
            ),
        }
    }
}

/// The labels, with `before` in front and `between` between; nothing when there are none.
fn list(columns: &[Column], before: &str, between: &str) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = columns.iter().map(|column| format!("`{}`", column.label())).collect();
    format!("{before}{}", labels.join(between))
}

/// The flavour's word with `before` in front; nothing for the script's own blocks.
fn program(flavour: Flavour, before: &str) -> String {
    flavour.word().map_or_else(String::new, |word| format!("{before}{word}"))
}
