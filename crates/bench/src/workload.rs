//! What the requests hold: prompts, images, bodies. All of it is made before any clock starts; an image is one buffer,
//! however many requests hold it.

use crate::cli::{ImageAs, MaxTokensField, PartOrder};
use crate::image::{self, ImageError, Picture, Synthetic};
use crate::net::BodyParts;
use crate::plan::{ImageSource, Plan, PromptSource};
use crate::recorder::hex;
use crate::tokens::{Loaded, TokensError};
use bytes::Bytes;
use measure::PromptFacts;
use measure::image::ImageFacts;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::{ChatRequest, Content, Message, Part, StreamOptions};

mod prompts;

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
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The tokenizer.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// The file of prompts.
    #[error("--prompts {path}: {why}")]
    Prompts {
        /// The file.
        path: String,
        /// What is wrong, and what is expected.
        why: String,
    },
    /// More different requests than can be made ahead.
    #[error(
        "{requests} different requests would have to be made before the run begins, and at most {PREPARED_MAX} can: lower --num-prompts or --num_rounds"
    )]
    TooMany {
        /// How many.
        requests: u64,
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
        why: String,
    },
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
    /// The pictures, for the image proof.
    pub pictures: Vec<Picture>,
}

impl Workload {
    /// Reads and makes everything. `nonce` makes cold images differ from those of every other run.
    ///
    /// # Errors
    /// [`WorkloadError`].
    pub fn new(plan: &Plan, model: &str, tokenizer: Option<&Loaded>, nonce: u64) -> Result<Self, WorkloadError> {
        let rounds = u64::from(plan.rounds + plan.warmup);
        let wanted = plan.requests.map_or(DISTINCT_MAX, |requests| requests.saturating_mul(rounds));
        let entries = prompts::read(plan, tokenizer, wanted)?;
        let mut shelf = Shelf::new(plan, nonce);
        let groups = shelf.groups()?;
        let cycle = lcm(entries.len() as u64, groups.len().max(1) as u64);
        let distinct = if plan.cold { wanted } else { wanted.min(cycle) };
        if distinct > PREPARED_MAX {
            return Err(WorkloadError::TooMany { requests: distinct });
        }
        let mut maker = Maker { plan, model, prompts: Vec::new(), numbers: HashMap::new() };
        let mut items = Vec::new();
        for i in 0..distinct {
            let entry = &entries[(i % entries.len() as u64) as usize];
            let images = shelf.images_of(entry, &groups, i)?;
            items.push(maker.item(entry, images, &shelf));
        }
        let accuracy = match (&plan.images, plan.ignore_eos) {
            (ImageSource::Folder { .. }, false) if !plan.cold => {
                let all = 0..shelf.pictures.len() as u32;
                all.map(|image| maker.item(&entries[0], vec![image], &shelf)).collect()
            }
            _ => items.first().cloned().into_iter().collect::<Vec<_>>(),
        };
        let (measured, warmup) = split_warmup(items, plan);
        Ok(Self {
            images: shelf.pictures.iter().map(|picture| picture.facts.clone()).collect(),
            truncated: shelf.pictures.iter().filter(|p| p.looks_truncated()).map(|p| p.facts.name.clone()).collect(),
            prompts: maker.prompts,
            measured: measured.into(),
            warmup: warmup.into(),
            accuracy: accuracy.into(),
            pictures: shelf.pictures,
        })
    }

    /// The prompts as the header keeps them.
    #[must_use]
    pub fn prompt_facts(&self) -> Vec<PromptFacts> {
        const CHARS_MAX: usize = 2000;
        let facts = |text: &String| PromptFacts {
            text: text.chars().take(CHARS_MAX).collect(),
            chars: text.chars().count() as u64,
            sha256: hex(&Sha256::digest(text.as_bytes())),
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

/// The pictures in hand, each loaded and encoded once.
struct Shelf<'a> {
    plan: &'a Plan,
    nonce: u64,
    pictures: Vec<Picture>,
    /// What stands for each in a request.
    urls: Vec<Bytes>,
    by_path: HashMap<PathBuf, u32>,
    /// In a cold run: the pictures that variants are made of. They are never sent themselves.
    bases: Vec<Picture>,
    variants: u64,
}

impl<'a> Shelf<'a> {
    fn new(plan: &'a Plan, nonce: u64) -> Self {
        Self {
            plan,
            nonce,
            pictures: Vec::new(),
            urls: Vec::new(),
            by_path: HashMap::new(),
            bases: Vec::new(),
            variants: 0,
        }
    }

    /// Which images a request holds, by turns. In a cold run the numbers are those of the bases.
    fn groups(&mut self) -> Result<Vec<Vec<u32>>, WorkloadError> {
        let numbers = match &self.plan.images {
            ImageSource::None => return Ok(Vec::new()),
            ImageSource::Files(paths) => {
                let all = paths.iter().map(|path| self.put(path)).collect::<Result<Vec<u32>, _>>()?;
                return Ok(vec![all]);
            }
            ImageSource::Folder { path, recursive } => {
                let mut paths = image::list_dir(path, *recursive)?;
                paths.shuffle(&mut ChaCha8Rng::seed_from_u64(self.plan.seed));
                paths.iter().map(|path| self.put(path)).collect::<Result<Vec<u32>, _>>()?
            }
            ImageSource::Synthetic(recipes) => {
                recipes.iter().map(|recipe| self.make(recipe)).collect::<Result<Vec<u32>, _>>()?
            }
        };
        let each = self.plan.images_per_request as usize;
        let turns = lcm(numbers.len() as u64, each as u64) / each as u64;
        let group = |turn: usize| (0..each).map(|k| numbers[(turn * each + k) % numbers.len()]).collect();
        Ok((0..turns as usize).map(group).collect())
    }

    /// Loads a file once.
    fn put(&mut self, path: &Path) -> Result<u32, WorkloadError> {
        if let Some(number) = self.by_path.get(path) {
            return Ok(*number);
        }
        let mut picture = image::load(path, self.plan.image_bytes_max)?;
        if let Some((width, height)) = self.plan.resize {
            picture = image::resize(&picture, width, height)?;
        }
        let url = match self.plan.image_as {
            ImageAs::Base64 => None,
            ImageAs::FileUrl => Some(file_url(path)?),
            ImageAs::Url => Some(prefixed_url(path, self.plan.image_url_prefix.as_deref().unwrap_or_default())?),
        };
        let number = self.add(picture, url);
        self.by_path.insert(path.to_owned(), number);
        Ok(number)
    }

    fn make(&mut self, recipe: &str) -> Result<u32, WorkloadError> {
        let picture = recipe.parse::<Synthetic>()?.with_seed(self.plan.seed).render(0)?;
        Ok(self.add(picture, None))
    }

    fn add(&mut self, picture: Picture, url: Option<Bytes>) -> u32 {
        if self.plan.cold {
            self.bases.push(picture);
            return self.bases.len() as u32 - 1;
        }
        self.shelve(picture, url)
    }

    fn shelve(&mut self, picture: Picture, url: Option<Bytes>) -> u32 {
        self.urls.push(url.unwrap_or_else(|| image::data_url(&picture)));
        self.pictures.push(picture);
        self.pictures.len() as u32 - 1
    }

    /// The images of request `i`: its entry's own, or its turn's.
    fn images_of(&mut self, entry: &prompts::Entry, groups: &[Vec<u32>], i: u64) -> Result<Vec<u32>, WorkloadError> {
        let numbers = if entry.images.is_empty() {
            match groups.len() {
                0 => Vec::new(),
                turns => groups[(i % turns as u64) as usize].clone(),
            }
        } else {
            entry.images.iter().map(|path| self.put(path)).collect::<Result<Vec<u32>, _>>()?
        };
        if !self.plan.cold {
            return Ok(numbers);
        }
        let mut variants = Vec::new();
        for base in numbers {
            let index = self.nonce.wrapping_add(self.variants);
            self.variants += 1;
            let picture = image::cold_variant(&self.bases[base as usize], index)?;
            variants.push(self.shelve(picture, None));
        }
        Ok(variants)
    }
}

fn file_url(path: &Path) -> Result<Bytes, WorkloadError> {
    let refuse = |why: &str| WorkloadError::Url { path: path.display().to_string(), why: why.to_owned() };
    let absolute = std::path::absolute(path).map_err(|error| refuse(&error.to_string()))?;
    let url = url::Url::from_file_path(absolute).map_err(|()| refuse("this path cannot stand in a file:// URL"))?;
    Ok(Bytes::from(url.to_string()))
}

/// The prefix and the file's name, escaped as a URL's path.
fn prefixed_url(path: &Path, prefix: &str) -> Result<Bytes, WorkloadError> {
    let refuse = |why: String| WorkloadError::Url { path: path.display().to_string(), why };
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refuse("its name is no text".into()))?;
    let base = format!("{}/", prefix.trim_end_matches('/'));
    let mut url = url::Url::parse(&base).map_err(|error| refuse(format!("--image-url-prefix {prefix:?}: {error}")))?;
    let mut segments =
        url.path_segments_mut().map_err(|()| refuse(format!("--image-url-prefix {prefix:?} has no path")))?;
    segments.pop_if_empty().push(name);
    drop(segments);
    Ok(Bytes::from(url.to_string()))
}

/// Makes bodies.
struct Maker<'a> {
    plan: &'a Plan,
    model: &'a str,
    prompts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Maker<'_> {
    fn item(&mut self, entry: &prompts::Entry, images: Vec<u32>, shelf: &Shelf<'_>) -> Item {
        let prompt = match self.numbers.get(&entry.prompt) {
            Some(number) => *number,
            None => {
                let number = self.prompts.len() as u32;
                self.prompts.push(entry.prompt.clone());
                self.numbers.insert(entry.prompt.clone(), number);
                number
            }
        };
        let urls: Vec<Bytes> = images.iter().map(|image| shelf.urls[*image as usize].clone()).collect();
        let output_len = entry.output_len.unwrap_or(self.plan.output_len);
        let body = body(self.plan, self.model, &entry.prompt, output_len, &urls);
        Item { prompt, images, output_len, body }
    }
}

/// The body of one request: one user message whose content is the text and the images, as the script sends it.
#[must_use]
pub fn body(plan: &Plan, model: &str, prompt: &str, output_len: u64, urls: &[Bytes]) -> BodyParts {
    // An unlikely word stands for each image's URL in the JSON; the shared buffers take its place. The prompt is the
    // only foreign text: the word is made longer until the prompt does not hold it.
    let mut word = String::from("@@image");
    while prompt.contains(&word) || model.contains(&word) || plan_holds(plan, &word) {
        word.push('@');
    }
    let images = urls.iter().map(|_| Part::image(word.clone()));
    let text = std::iter::once(Part::text(prompt));
    let parts: Vec<Part> = match plan.order {
        PartOrder::TextFirst => text.chain(images).collect(),
        PartOrder::ImageFirst => images.chain(text).collect(),
    };
    let limit = |field: MaxTokensField| (plan.max_tokens_field == field).then_some(output_len);
    let mut request = ChatRequest {
        model: Some(model.to_owned()),
        messages: vec![Message {
            role: "user".into(),
            content: Some(Content::Parts(parts)),
            extra: serde_json::Map::new(),
        }],
        temperature: Some(plan.temperature),
        max_tokens: limit(MaxTokensField::MaxTokens),
        max_completion_tokens: limit(MaxTokensField::MaxCompletionTokens),
        stream: Some(true),
        stream_options: Some(StreamOptions {
            include_usage: Some(true),
            continuous_usage_stats: plan.continuous_usage.then_some(true),
        }),
        ignore_eos: plan.ignore_eos.then_some(true),
        extra: serde_json::Map::new(),
    };
    for (name, value) in &plan.extra_body {
        set_field(&mut request, name, value);
    }
    // A request of our own types always has a JSON form.
    let json = serde_json::to_string(&request).unwrap_or_default();
    let mut out = Vec::new();
    let mut pieces = json.split(word.as_str());
    out.extend(pieces.next().map(|piece| Bytes::from(piece.to_owned())));
    for (piece, url) in pieces.zip(urls) {
        out.push(url.clone());
        out.push(Bytes::from(piece.to_owned()));
    }
    BodyParts::new(out)
}

fn plan_holds(plan: &Plan, word: &str) -> bool {
    plan.extra_body.iter().any(|(name, value)| name.contains(word) || value.to_string().contains(word))
}

/// A field of `--extra-body` replaces the benchmark's own of that name, whatever its type; `null` leaves ours out.
fn set_field(request: &mut ChatRequest, name: &str, value: &Value) {
    let ours = match name {
        "model" => request.model.take().is_some(),
        "temperature" => request.temperature.take().is_some(),
        "max_tokens" => request.max_tokens.take().is_some(),
        "max_completion_tokens" => request.max_completion_tokens.take().is_some(),
        "ignore_eos" => request.ignore_eos.take().is_some(),
        "stream_options" => request.stream_options.take().is_some(),
        _ => false,
    };
    if !(ours && value.is_null()) {
        request.extra.insert(name.to_owned(), value.clone());
    }
}

/// The prompts a run of this plan needs a tokenizer for.
#[must_use]
pub fn needs_tokenizer(plan: &Plan) -> bool {
    matches!(plan.prompts, PromptSource::Synthetic(_))
}

#[cfg(test)]
mod tests;
