//! What the requests hold: prompts, images, bodies. All of it is made before any clock starts; an image is one buffer,
//! however many requests hold it.

use crate::image::{ImageError, Picture, sha256_hex};
use crate::net::BodyParts;
use crate::plan::{ImageSource, Plan, PromptSource};
use crate::proof;
use crate::tokens::{Loaded, TokensError};
use crate::words::Words;
use bytes::Bytes;
use measure::image::ImageFacts;
use measure::{Expectation, Lang, PromptFacts};
use shelf::Shelf;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

mod body;
mod expect;
mod prompts;
mod shelf;
mod text;

pub use body::body;
pub use expect::ExpectError;
pub use text::BYTES_MAX as EXPECT_BYTES_MAX;

/// Distinct requests made ahead when the duration, not a number, ends the run.
const DISTINCT_MAX: u64 = 10_000;

/// Distinct requests that can be made ahead at all.
const PREPARED_MAX: u64 = 1_000_000;

/// One request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which prompt.
    pub prompt: u32,
    /// Which images.
    pub images: Vec<u32>,
    /// Most tokens of its answer.
    pub output_len: u64,
    /// Its body.
    pub body: BodyParts,
}

/// Why the requests cannot be made. Exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// Images: every one that cannot be sent.
    #[error("{}", every(.0, Lang::En))]
    Images(Vec<ImageError>),
    /// The tokenizer.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The file of prompts.
    #[error("--prompts {path}: {why}")]
    Prompts {
        /// The file.
        path: String,
        /// What is wrong, and what is expected.
        why: Words,
    },
    /// The file of expectations.
    #[error("--expect {path}: {why}")]
    Expect {
        /// The file.
        path: String,
        /// What is wrong, and what is expected.
        why: ExpectError,
    },
    /// More different requests than can be made ahead.
    #[error(
        "{requests} different requests would have to be made before the run begins, and at most {PREPARED_MAX} can: lower --num-prompts or --num_rounds"
    )]
    TooMany {
        /// How many.
        requests: u64,
    },
    /// The images of all requests do not fit this machine's memory.
    #[error(
        "the different images of this run would take {} MB, and {} MB of memory may be used for them: lower --num-prompts or the images' size",
        bytes / 1_000_000, bytes_max / 1_000_000
    )]
    TooLarge {
        /// Bytes of all images as they are sent.
        bytes: u64,
        /// What may be held.
        bytes_max: u64,
    },
    /// No tokenizer for made-up prompts.
    #[error("--synthetic-prompt-tokens needs a tokenizer, and none was found: give --tokenizer FOLDER")]
    NoTokenizer,
    /// A file cannot be named in a URL.
    #[error("{path}: {why}")]
    Url {
        /// The file.
        path: String,
        /// What is wrong.
        why: Words,
    },
}

impl From<ImageError> for WorkloadError {
    fn from(error: ImageError) -> Self {
        Self::Images(vec![error])
    }
}

impl WorkloadError {
    /// The error in one language, where it has both.
    #[must_use]
    pub fn text(&self, lang: Lang) -> String {
        match (self, lang) {
            (Self::Images(errors), lang) => every(errors, lang),
            (Self::Tokens(error), lang) => error.text(lang == Lang::Zh),
            (Self::Prompts { path, why }, Lang::Zh) => format!("--prompts {path}：{}", why.text(lang)),
            (Self::Url { path, why }, Lang::Zh) => format!("{path}：{}", why.text(lang)),
            (Self::Expect { path, why }, lang) => format!("--expect {path}: {}", why.text(lang)),
            (Self::TooMany { requests }, Lang::Zh) => format!(
                "需要在测试开始前生成 {requests} 个不同的请求，最多 {PREPARED_MAX} 个：请减小 --num-prompts 或 --num_rounds"
            ),
            (Self::TooLarge { bytes, bytes_max }, Lang::Zh) => format!(
                "本次测试的不同图片共需 {} MB，可用于图片的内存为 {} MB：请减小 --num-prompts 或图片尺寸",
                bytes / 1_000_000,
                bytes_max / 1_000_000
            ),
            (Self::NoTokenizer, Lang::Zh) => {
                "--synthetic-prompt-tokens 需要分词器，但没有找到：请给出 --tokenizer 目录".into()
            }
            (other, _) => other.to_string(),
        }
    }
}

/// The faults, one a line, not more of them than fit a screen.
fn every(errors: &[ImageError], lang: Lang) -> String {
    const SHOWN_MAX: usize = 20;
    let mut lines: Vec<String> = errors.iter().take(SHOWN_MAX).map(|error| error.text(lang == Lang::Zh)).collect();
    if errors.len() > SHOWN_MAX {
        let more = errors.len() - SHOWN_MAX;
        lines.push(lang.pick(format!("and {more} more"), format!("另有 {more} 个")));
    }
    lines.join("\n  ")
}

/// Everything that is sent.
pub struct Workload {
    /// Facts of the images, by their number.
    pub images: Vec<ImageFacts>,
    /// Images whose file seems cut short.
    pub truncated: Vec<String>,
    /// The prompts, by their number.
    pub prompts: Vec<String>,
    /// The measured requests, taken in turn.
    pub measured: Arc<[Item]>,
    /// The requests of the warm-up rounds, taken in turn.
    pub warmup: Arc<[Item]>,
    /// The requests whose answers are printed.
    pub accuracy: Arc<[Item]>,
    /// What is expected of their answers; empty where nothing is.
    pub expectations: Vec<Expectation>,
    /// The pictures of the first measured request, for the image proof.
    pub proof: Vec<Picture>,
    /// The prompt that the image proof asks with where the first one has one answer for any picture.
    pub proof_question: Option<u32>,
}

/// What a request holds, before the model's name is known.
#[derive(Clone)]
struct Sketch {
    prompt: u32,
    images: Vec<u32>,
    output_len: u64,
}

/// A workload without the model's name: whatever can be wrong with files, recipes and sizes has been found.
pub struct Draft {
    plan: Arc<Plan>,
    shelf: Shelf,
    prompts: Vec<String>,
    items: Vec<Sketch>,
    accuracy: Vec<Sketch>,
    expectations: Vec<Expectation>,
    proof_question: Option<u32>,
}

impl Draft {
    /// Reads and makes everything. `nonce` makes cold images differ from those of every other run.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn new(plan: &Plan, tokenizer: Option<&Loaded>, nonce: u64) -> Result<Self, WorkloadError> {
        let rounds = u64::from(plan.rounds).saturating_add(u64::from(plan.warmup));
        let wanted = plan.requests.map_or(DISTINCT_MAX, |requests| requests.saturating_mul(rounds));
        let sources = if matches!(plan.prompts, PromptSource::Synthetic(_)) { wanted } else { 0 };
        if sources > PREPARED_MAX {
            return Err(WorkloadError::TooMany { requests: sources });
        }
        let entries = prompts::read(plan, tokenizer, wanted)?;
        let plan = Arc::new(plan.clone());
        let mut shelf = Shelf::new(Arc::clone(&plan), nonce);
        let groups = shelf.groups()?;
        let cycle = lcm(entries.len() as u64, groups.len().max(1) as u64);
        let distinct = if plan.cold { wanted } else { wanted.min(cycle) };
        if distinct > PREPARED_MAX {
            return Err(WorkloadError::TooMany { requests: distinct });
        }
        shelf.check_room(distinct)?;
        let mut numbers = HashMap::new();
        let mut prompts = Vec::new();
        let mut items = Vec::new();
        for i in 0..distinct {
            let entry = &entries[(i % entries.len() as u64) as usize];
            let prompt = *numbers.entry(entry.prompt.as_str()).or_insert_with(|| {
                prompts.push(entry.prompt.clone());
                prompts.len() as u32 - 1
            });
            let images = shelf.images_of(entry, &groups, i)?;
            items.push(Sketch { prompt, images, output_len: entry.output_len.unwrap_or(plan.output_len) });
        }
        let (accuracy, expectations) = (Vec::new(), Vec::new());
        let mut draft = Self { plan, shelf, prompts, items, accuracy, expectations, proof_question: None };
        match draft.plan.expect.clone() {
            Some(path) => draft.expect(&path)?,
            None => draft.accuracy = draft.usual_accuracy(),
        }
        draft.proof_question = draft.question_for_the_proof();
        Ok(draft)
    }

    /// The number of the image proof's second prompt, among the prompts from now on.
    fn question_for_the_proof(&mut self) -> Option<u32> {
        let first = self.items.first().filter(|item| self.plan.image_proof && !item.images.is_empty())?;
        let question = proof::about_the_whole(self.prompts.get(first.prompt as usize)?)?;
        let number = self.prompts.iter().position(|prompt| prompt == question).unwrap_or(self.prompts.len());
        if number == self.prompts.len() {
            self.prompts.push(question.to_owned());
        }
        u32::try_from(number).ok()
    }

    /// The first request, of a folder each image with its prompt.
    fn usual_accuracy(&self) -> Vec<Sketch> {
        match (&self.plan.images, self.plan.ignore_eos, self.items.first()) {
            (ImageSource::Folder { .. }, false, Some(first)) if !self.plan.cold => {
                let all = 0..self.shelf.facts().len() as u32;
                all.map(|image| Sketch { images: vec![image], ..first.clone() }).collect()
            }
            (.., first) => first.cloned().into_iter().collect(),
        }
    }

    /// The questions of a file of expectations, in its order.
    fn expect(&mut self, path: &Path) -> Result<(), WorkloadError> {
        let refuse = |why| WorkloadError::Expect { path: path.display().to_string(), why };
        let usual = self.usual_accuracy();
        let lines = expect::read(path)?;
        let names = expect::Names::of(usual.iter().map(|sketch| sketch.images.as_slice()), self.shelf.facts());
        let mut numbers: HashMap<String, u32> = self.prompts.iter().cloned().zip(0..).collect();
        let requests = names.count(&lines);
        if requests > PREPARED_MAX {
            return Err(refuse(ExpectError::TooMany { requests }));
        }
        for (number, line) in lines {
            let about = names.about(line.image.as_deref());
            let is_folder = matches!(self.plan.images, ImageSource::Folder { .. });
            if let (true, true, Some(image)) = (is_folder, about.is_empty(), line.image) {
                return Err(refuse(ExpectError::NoImage { line: number, image }));
            }
            for sketch in about.into_iter().filter_map(|place| usual.get(place)) {
                let prompt = match &line.prompt {
                    None => sketch.prompt,
                    Some(prompt) => *numbers.entry(prompt.clone()).or_insert_with(|| {
                        self.prompts.push(prompt.clone());
                        self.prompts.len() as u32 - 1
                    }),
                };
                let (answer, facts) = (line.answer.clone(), line.facts.clone());
                self.expectations.push(Expectation { prompt, images: sketch.images.clone(), answer, facts });
                self.accuracy.push(Sketch { prompt, ..sketch.clone() });
            }
        }
        if self.accuracy.is_empty() {
            return Err(refuse(ExpectError::OtherImages));
        }
        Ok(())
    }

    /// The workload for a model of this name.
    #[must_use]
    pub fn for_model(self, model: &str) -> Workload {
        let item = |sketch: &Sketch| {
            let urls: Vec<Bytes> = sketch.images.iter().map(|image| self.shelf.url(*image)).collect();
            let prompt = self.prompts.get(sketch.prompt as usize).map_or("", String::as_str);
            Item {
                prompt: sketch.prompt,
                images: sketch.images.clone(),
                output_len: sketch.output_len,
                body: body(&self.plan, model, prompt, sketch.output_len, &urls),
            }
        };
        let accuracy = self.accuracy.iter().map(item).collect();
        let proof_question = self.proof_question;
        let (measured, warmup) = split_warmup(self.items.iter().map(item).collect(), &self.plan);
        let first = self.items.first().filter(|_| self.plan.image_proof);
        let proof = first.into_iter().flat_map(|item| &item.images).filter_map(|image| self.shelf.picture(*image));
        let proof = proof.collect();
        let (images, truncated) = self.shelf.into_facts();
        Workload {
            images,
            truncated,
            prompts: self.prompts,
            measured: measured.into(),
            warmup: warmup.into(),
            accuracy,
            expectations: self.expectations,
            proof,
            proof_question,
        }
    }
}

impl Workload {
    /// A prompt by its number; empty where there is none of it.
    #[must_use]
    pub fn prompt(&self, number: u32) -> &str {
        self.prompts.get(number as usize).map_or("", String::as_str)
    }

    /// The prompts as the header keeps them.
    #[must_use]
    pub fn prompt_facts(&self) -> Vec<PromptFacts> {
        const CHARS_MAX: usize = 2000;
        let facts = |text: &String| PromptFacts {
            text: text.chars().take(CHARS_MAX).collect(),
            chars: text.chars().count() as u64,
            sha256: sha256_hex(text.as_bytes()),
        };
        self.prompts.iter().map(facts).collect()
    }
}

/// The warm-up takes its requests from the end of a cold run's list, so that no measured one has been sent before; where
/// requests repeat anyway, it takes the same.
fn split_warmup(mut items: Vec<Item>, plan: &Plan) -> (Vec<Item>, Vec<Item>) {
    let measured = plan.requests.unwrap_or(u64::MAX).saturating_mul(u64::from(plan.rounds));
    if plan.warmup == 0 || items.len() as u64 <= measured {
        return (items.clone(), items);
    }
    let warmup = items.split_off(measured as usize);
    (items, warmup)
}

fn lcm(a: u64, b: u64) -> u64 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b)
}

/// The prompts a run of this plan needs a tokenizer for.
#[must_use]
pub fn needs_tokenizer(plan: &Plan) -> bool {
    matches!(plan.prompts, PromptSource::Synthetic(_))
}

#[cfg(test)]
mod tests;
