//! Reading answers of accuracy runs: `Processing:`, `Image :`, `image size:` and `输出结果：`.
//! It must not know about benchmark blocks: whoever calls it says where a block begins.

use super::lines::{Line, find, find_label, is_progress};
use super::note::Note;

/// How many lines after `Processing:` the name or the answer may stand.
const LOOK_AHEAD: usize = 6;

/// One answer of an accuracy run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What `Image :` names, spaces included; `None` in the plain form, which names no image.
    pub image: Option<String>,
    /// Width and height in pixels from `image size:  (W, H)`, where it was printed for this answer.
    pub size: Option<(u32, u32)>,
    /// The answer, its line breaks kept, blank lines around it removed.
    pub text: String,
    /// Line of `输出结果：`, from 1.
    pub line: usize,
}

/// A line that begins or names an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Marker {
    /// `Processing:`
    Processing,
    /// `Image : NAME`, after `Processing:`
    Image(String),
    /// `image size:  (W, H)`
    Size(u32, u32),
    /// `输出结果：` and what follows it on the line
    Answer(String),
}

/// Collects answers line by line.
#[derive(Debug, Default)]
pub(super) struct Answers {
    image: Option<(String, usize)>,
    size: Option<(u32, u32)>,
    awaits_image: bool,
    open: Option<(Answer, Vec<String>)>,
    done: Vec<Answer>,
    notes: Vec<Note>,
}

impl Answers {
    /// Which marker stands on the first of these lines, the others being what follows it.
    pub(super) fn marker(&self, lines: &[Line]) -> Option<Marker> {
        let (line, next) = lines.split_first()?;
        if self.awaits_image
            && let Some(name) = image_name(&line.text)
        {
            return Some(Marker::Image(name.to_owned()));
        }
        if let Some(text) = answer_text(&line.text) {
            return Some(Marker::Answer(text.trim().to_owned()));
        }
        if let Some((width, height)) = image_size(&line.text) {
            return Some(Marker::Size(width, height));
        }
        let processing = find(&line.text, "Processing:").is_some() && !is_progress(&line.text);
        let followed = || {
            let mut near = next.iter().take(LOOK_AHEAD);
            near.any(|line| image_name(&line.text).is_some() || answer_text(&line.text).is_some())
        };
        (processing && followed()).then_some(Marker::Processing)
    }

    /// Takes in a marker that [`Self::marker`] found on line `number`.
    pub(super) fn mark(&mut self, marker: Marker, number: usize) {
        self.close();
        match marker {
            Marker::Processing => {
                self.forget();
                self.awaits_image = true;
            }
            Marker::Image(name) => {
                self.awaits_image = false;
                self.image = Some((name, number));
            }
            Marker::Size(width, height) => self.size = Some((width, height)),
            Marker::Answer(text) => {
                self.awaits_image = false;
                let image = self.image.take().map(|(name, _)| name);
                if let Some(name) = image.as_ref().filter(|name| name.contains(char::is_whitespace)) {
                    self.notes.push(Note::ImageWithSpaces { line: number, image: name.clone() });
                }
                let answer = Answer { image, size: self.size.take(), text: String::new(), line: number };
                self.open = Some((answer, vec![text]));
            }
        }
    }

    /// A line that is nothing else: more of the open answer, if there is one.
    pub(super) fn more(&mut self, text: &str) {
        if let Some((_, lines)) = &mut self.open
            && !is_progress(text)
        {
            lines.push(text.to_owned());
        }
    }

    /// A block or another run begins: what was announced so far has had its chance.
    pub(super) fn interrupt(&mut self) {
        self.close();
        self.forget();
    }

    /// All answers, and the remarks on them. The log of a single image names none: that is worth a remark only beside
    /// answers that are named.
    pub(super) fn finish(mut self) -> (Vec<Answer>, Vec<Note>) {
        self.interrupt();
        if self.done.iter().any(|answer| answer.image.is_some()) {
            let unnamed = self.done.iter().filter(|answer| answer.image.is_none());
            self.notes.extend(unnamed.map(|answer| Note::AnswerUnnamed { line: answer.line }));
        }
        (self.done, self.notes)
    }

    fn close(&mut self) {
        if let Some((mut answer, lines)) = self.open.take() {
            let first = lines.iter().position(|line| !line.trim().is_empty());
            let last = lines.iter().rposition(|line| !line.trim().is_empty());
            if let (Some(first), Some(last)) = (first, last) {
                answer.text = lines.get(first..=last).unwrap_or_default().join("\n");
            }
            self.done.push(answer);
        }
    }

    fn forget(&mut self) {
        if let Some((image, line)) = self.image.take() {
            self.notes.push(Note::AnswerMissing { line, image });
        }
        self.size = None;
        self.awaits_image = false;
    }
}

/// `Image\s*:\s*(.+)`; the old parser's `\S+` loses everything after a space.
fn image_name(line: &str) -> Option<&str> {
    let name = find_label(line, "Image")?.rest.trim();
    (!name.is_empty()).then_some(name)
}

/// Both colons: the script's is the full-width one.
fn answer_text(line: &str) -> Option<&str> {
    let rest = find(line, "输出结果")?.rest;
    rest.strip_prefix('：').or_else(|| rest.strip_prefix(':'))
}

fn image_size(line: &str) -> Option<(u32, u32)> {
    let rest = find_label(line, "image size")?.rest.trim();
    let inner = rest.strip_prefix('(')?.split_once(')')?.0;
    let (width, height) = inner.split_once(',')?;
    Some((width.trim().parse().ok()?, height.trim().parse().ok()?))
}
