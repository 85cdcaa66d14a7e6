//! The pictures in hand: loaded, made or altered, each once. It must not know requests.

use super::{WorkloadError, lcm, prompts};
use crate::cli::ImageAs;
use crate::image::{self, Picture, Synthetic};
use crate::plan::{ImageSource, Plan};
use crate::words::{Words, as_said, words};
use bytes::Bytes;
use measure::Lang;
use measure::image::ImageFacts;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Without a figure from the system, images may take this much, bytes.
const BYTES_MAX_UNKNOWN: u64 = 4 << 30;

/// The pictures in hand, each loaded and encoded once.
pub(super) struct Shelf {
    plan: Arc<Plan>,
    nonce: u64,
    facts: Vec<ImageFacts>,
    /// Names of files that seem cut short.
    truncated: Vec<String>,
    /// What stands for each in a request.
    urls: Vec<Bytes>,
    by_path: HashMap<PathBuf, u32>,
    /// In a cold run: the pictures that variants are made of. They are never sent themselves.
    bases: Vec<Picture>,
    variants: u64,
    bytes: u64,
    bytes_max: u64,
}

impl Shelf {
    pub(super) fn new(plan: Arc<Plan>, nonce: u64) -> Self {
        Self {
            plan,
            nonce,
            facts: Vec::new(),
            truncated: Vec::new(),
            urls: Vec::new(),
            by_path: HashMap::new(),
            bases: Vec::new(),
            variants: 0,
            bytes: 0,
            bytes_max: memory_available().map_or(BYTES_MAX_UNKNOWN, |bytes| bytes / 4 * 3),
        }
    }

    pub(super) fn facts(&self) -> &[ImageFacts] {
        &self.facts
    }

    /// What stands for an image in a request.
    pub(super) fn url(&self, image: u32) -> Bytes {
        self.urls[image as usize].clone()
    }

    /// The picture behind a data URL; `None` where a server is to fetch it.
    pub(super) fn picture(&self, image: u32) -> Option<Picture> {
        let facts = self.facts.get(image as usize)?;
        Some(Picture { facts: facts.clone(), bytes: image::data_url_bytes(self.urls.get(image as usize)?)? })
    }

    /// The facts of all images, and the names of those that seem cut short.
    pub(super) fn into_facts(self) -> (Vec<ImageFacts>, Vec<String>) {
        (self.facts, self.truncated)
    }

    /// Which images a request holds, by turns. In a cold run the numbers are those of the bases.
    pub(super) fn groups(&mut self) -> Result<Vec<Vec<u32>>, WorkloadError> {
        let plan = Arc::clone(&self.plan);
        let numbers = match &plan.images {
            ImageSource::None => return Ok(Vec::new()),
            ImageSource::Files(paths) => return Ok(vec![self.put_all(paths)?]),
            ImageSource::Folder { path, recursive } => {
                let mut paths = image::list_dir(path, *recursive)?;
                paths.shuffle(&mut ChaCha8Rng::seed_from_u64(plan.seed));
                self.put_all(&paths)?
            }
            ImageSource::Synthetic(recipes) => recipes
                .iter()
                .zip(0..)
                .map(|(recipe, place)| self.make(recipe, place))
                .collect::<Result<Vec<u32>, _>>()?,
        };
        let each = self.plan.images_per_request as usize;
        let turns = lcm(numbers.len() as u64, each as u64) / each as u64;
        let group = |turn: usize| (0..each).map(|k| numbers[(turn * each + k) % numbers.len()]).collect();
        Ok((0..turns as usize).map(group).collect())
    }

    /// In a cold run every request has images of its own: whether they fit is known before they are made. A variant is
    /// about as large as what it is made of.
    pub(super) fn check_room(&self, requests: u64) -> Result<(), WorkloadError> {
        if self.bases.is_empty() {
            return Ok(());
        }
        let held: u64 = self.bases.iter().map(|base| base.facts.bytes).sum();
        let each = (held / self.bases.len() as u64).div_ceil(3) * 4;
        let of_a_request = match &self.plan.images {
            ImageSource::Files(paths) => paths.len() as u64,
            _ => u64::from(self.plan.images_per_request),
        };
        let bytes = each.saturating_mul(of_a_request).saturating_mul(requests);
        if bytes > self.bytes_max {
            return Err(WorkloadError::TooLarge { bytes, bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Loads files; every one that cannot be sent is named.
    fn put_all(&mut self, paths: &[PathBuf]) -> Result<Vec<u32>, WorkloadError> {
        let mut numbers = Vec::with_capacity(paths.len());
        let mut bad = Vec::new();
        for path in paths {
            match self.put(path) {
                Ok(number) => numbers.push(number),
                Err(WorkloadError::Images(errors)) => bad.extend(errors),
                Err(other) => return Err(other),
            }
        }
        if bad.is_empty() { Ok(numbers) } else { Err(WorkloadError::Images(bad)) }
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
        let number = self.add(picture, url)?;
        self.by_path.insert(path.to_owned(), number);
        Ok(number)
    }

    /// Makes the picture of a recipe whose place in the list is `place`: one given twice makes two pictures.
    fn make(&mut self, recipe: &str, place: u64) -> Result<u32, WorkloadError> {
        let picture = recipe.parse::<Synthetic>()?.with_seed(self.plan.seed).render(place)?;
        self.add(picture, None)
    }

    fn add(&mut self, picture: Picture, url: Option<Bytes>) -> Result<u32, WorkloadError> {
        if self.plan.cold {
            self.bases.push(picture);
            return Ok(self.bases.len() as u32 - 1);
        }
        self.shelve(&picture, url)
    }

    fn shelve(&mut self, picture: &Picture, url: Option<Bytes>) -> Result<u32, WorkloadError> {
        let url = url.unwrap_or_else(|| image::data_url(picture));
        self.bytes += url.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(WorkloadError::TooLarge { bytes: self.bytes, bytes_max: self.bytes_max });
        }
        if picture.looks_truncated() {
            self.truncated.push(picture.facts.name.clone());
        }
        self.urls.push(url);
        self.facts.push(picture.facts.clone());
        Ok(self.facts.len() as u32 - 1)
    }

    /// The images of request `i`: its entry's own, or its turn's.
    pub(super) fn images_of(
        &mut self,
        entry: &prompts::Entry,
        groups: &[Vec<u32>],
        i: u64,
    ) -> Result<Vec<u32>, WorkloadError> {
        let numbers = if entry.images.is_empty() {
            match groups.len() {
                0 => Vec::new(),
                turns => groups[(i % turns as u64) as usize].clone(),
            }
        } else {
            self.put_all(&entry.images)?
        };
        let mut variants = Vec::new();
        for base in numbers {
            if !self.plan.cold {
                variants.push(base);
                continue;
            }
            let index = self.nonce.wrapping_add(self.variants);
            self.variants += 1;
            let picture = image::cold_variant(&self.bases[base as usize], index)?;
            variants.push(self.shelve(&picture, None)?);
        }
        Ok(variants)
    }
}

/// Memory that can be had without swapping, bytes (`MemAvailable`, proc_meminfo(5)); elsewhere not known.
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

fn file_url(path: &Path) -> Result<Bytes, WorkloadError> {
    let refuse = |why: Words| WorkloadError::Url { path: path.display().to_string(), why };
    let absolute = std::path::absolute(path).map_err(|error| refuse(as_said(error)))?;
    let no_url = || words("this path cannot stand in a file:// URL", "该路径不能写成 file:// URL");
    let url = url::Url::from_file_path(absolute).map_err(|()| refuse(no_url()))?;
    Ok(Bytes::from(url.to_string()))
}

/// The prefix and the file's name, escaped as a URL's path.
fn prefixed_url(path: &Path, prefix: &str) -> Result<Bytes, WorkloadError> {
    let refuse = |why: Words| WorkloadError::Url { path: path.display().to_string(), why };
    let no_text = || words("its name is no UTF-8 text: rename it", "文件名不是 UTF-8 文本：请改名");
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refuse(no_text()))?;
    let base = format!("{}/", prefix.trim_end_matches('/'));
    let no_prefix = |why: Words| {
        let (en, zh) = (why.text(Lang::En), why.text(Lang::Zh));
        refuse(words(
            format!("--image-url-prefix {prefix:?}: {en}; a URL is expected, such as http://127.0.0.1:9000/pictures"),
            format!("--image-url-prefix {prefix:?}：{zh}；应为 URL，例如 http://127.0.0.1:9000/pictures"),
        ))
    };
    let mut url = url::Url::parse(&base).map_err(|error| no_prefix(as_said(error)))?;
    let mut segments = url.path_segments_mut().map_err(|()| no_prefix(words("it has no path", "没有路径")))?;
    segments.pop_if_empty().push(name);
    drop(segments);
    Ok(Bytes::from(url.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn what_cannot_be_a_url_is_said_in_both_languages() {
        let check = |prefix: &str, en: &str, zh: &str| {
            let error = prefixed_url(Path::new("a.png"), prefix).unwrap_err();
            let (told_en, told_zh) = (error.text(Lang::En), error.text(Lang::Zh));
            assert!(told_en.starts_with("a.png: ") && told_en.contains(en), "{told_en}");
            assert!(told_zh.starts_with("a.png：") && told_zh.contains(zh), "{told_zh}");
        };
        check("pictures", "a URL is expected, such as http", "应为 URL，例如 http");
        check("data:x", "it has no path", "没有路径");
        let name = Path::new(std::ffi::OsStr::from_bytes(b"\xff.png"));
        let error = prefixed_url(name, "http://h").unwrap_err().text(Lang::Zh);
        assert!(error.ends_with("：文件名不是 UTF-8 文本：请改名"), "{error}");
    }
}
