//! From the URL of a picture to the picture as the model sees it, in vLLM's words where it is refused. Pictures that come
//! again are not decoded again; what all of them take together is bounded, and so is what decoding takes meanwhile.

mod budget;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use base64::Engine;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::GeneralPurposeConfig;
use engine::engine::{ImageRules, Picture};
use engine::pixels::{Error, Limits, RgbImage, decode};
use sha2::{Digest, Sha256};

use budget::{Budget, Lease};

use super::out::failed;
use super::remote::{Remote, RemoteRules};
use crate::lock::locked;
use crate::validate::ApiError;

/// Python's decoder does not mind bits that are set behind the last byte.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Pictures kept for the next request, bytes.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// Pictures of all requests that wait or run, bytes.
const HELD_BYTES_MAX: usize = 4 << 30;
/// What is taken to decode a picture before it is known what that needs, bytes: enough for one of six million pixels.
const DECODING_BYTES_LEAST: u64 = 64 << 20;

/// Where pictures come from.
pub(super) struct Media {
    rules: Arc<ImageRules>,
    limits: Limits,
    /// What decoding takes, all threads together: the largest picture that is read at all, or several smaller ones.
    decoding: Budget,
    /// Files under this folder may be named by a `file://` URL.
    local: Option<PathBuf>,
    remote: Option<Remote>,
    kept: Mutex<Kept>,
    held_bytes: Arc<AtomicUsize>,
    queries: AtomicUsize,
    hits: AtomicUsize,
}

/// A picture and its share of the memory for pictures.
pub(super) struct Held {
    pub(super) picture: Arc<Picture>,
    held_bytes: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held_bytes.fetch_sub(self.picture.bytes(), Ordering::Relaxed);
    }
}

/// The pictures that came last.
#[derive(Default)]
struct Kept {
    pictures: HashMap<[u8; 32], (Arc<Held>, u64)>,
    bytes: usize,
    uses: u64,
}

impl Media {
    /// `local` is a folder's path as the user gave it.
    pub(super) fn new(rules: ImageRules, local: Option<&Path>, remote: Option<RemoteRules>) -> Self {
        let limits = Limits::default();
        Self {
            rules: Arc::new(rules),
            limits,
            decoding: Budget::new(limits.memory_bytes_max + DECODING_BYTES_LEAST + limits.bytes_max),
            local: local.map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.to_owned())),
            remote: remote.map(Remote::new),
            kept: Mutex::default(),
            held_bytes: Arc::default(),
            queries: AtomicUsize::new(0),
            hits: AtomicUsize::new(0),
        }
    }

    /// Pictures that were asked for, and those that had been decoded before.
    pub(super) fn queries_and_hits(&self) -> (usize, usize) {
        (self.queries.load(Ordering::Relaxed), self.hits.load(Ordering::Relaxed))
    }

    /// Whether the picture of a URL lies on another server that is asked for it.
    pub(super) fn is_fetched(&self, url: &str) -> bool {
        self.remote.is_some() && matches!(&*scheme(url), "http" | "https")
    }

    /// When a request that begins to load its pictures now has waited for them long enough.
    pub(super) fn deadline(&self) -> Instant {
        self.remote.as_ref().map_or_else(Instant::now, Remote::deadline)
    }

    /// The picture of a URL. A picture on another server is waited for `until` then.
    pub(super) fn load(&self, url: &str, until: Instant) -> Result<Arc<Held>, ApiError> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let bytes = match (&*scheme(url), &self.remote) {
            ("data", _) => return self.load_data(url),
            ("file", _) => self.file(url)?,
            ("http" | "https", Some(remote)) => remote.fetch(url, until)?,
            ("http" | "https", None) => {
                return Err(refused(
                    "this server fetches no pictures: send the picture in the request, as a data URL \
                     (data:image/png;base64,…), or start the server with --allowed-media-domains HOST… or \
                     --allow-remote-media",
                ));
            }
            _ => return Err(refused("The URL must be either a HTTP, data or file URL.")),
        };
        let name = Sha256::digest(&bytes).into();
        match self.kept_before(&name) {
            Some(held) => Ok(held),
            None => self.decoded(name, &bytes),
        }
    }

    /// A data URL is known by its text: it need not be decoded to be found.
    fn load_data(&self, url: &str) -> Result<Arc<Held>, ApiError> {
        let name = Sha256::digest(url.as_bytes()).into();
        match self.kept_before(&name) {
            Some(held) => Ok(held),
            None => self.decoded(name, &data(url)?),
        }
    }

    fn decoded(&self, name: [u8; 32], bytes: &[u8]) -> Result<Arc<Held>, ApiError> {
        let (image, lease) = self.decode(bytes).map_err(|error| match error {
            Error::NotAPicture => refused("Failed to load image: cannot identify image file <_io.BytesIO object>"),
            other => refused(&format!("Failed to load image: {other}")),
        })?;
        let picture = Picture::new(&image, &self.rules).map_err(|error| not_processed(&image, &error))?;
        drop((image, lease));
        let held = self.hold(picture)?;
        self.keep(name, &held);
        Ok(held)
    }

    /// The whole picture, and its share of the memory for decoding as long as it is there. Waits until there is some.
    fn decode(&self, bytes: &[u8]) -> Result<(RgbImage, Lease<'_>), Error> {
        // Decoders say what they need before they take it; parts of the file are copied besides.
        let besides = DECODING_BYTES_LEAST + bytes.len() as u64;
        let bytes_max = self.limits.memory_bytes_max;
        let mut lease = self.decoding.take(besides);
        loop {
            let limits = Limits { memory_bytes_max: lease.bytes().min(bytes_max), ..self.limits };
            match decode(bytes, &limits) {
                Err(Error::TooMuchMemory { bytes: needed, .. }) if needed <= bytes_max && needed > lease.bytes() => {
                    // Back first: two that hold some and wait for more would wait for each other.
                    drop(lease);
                    lease = self.decoding.take(needed + besides);
                }
                Err(Error::TooMuchMemory { bytes, .. }) => return Err(Error::TooMuchMemory { bytes, bytes_max }),
                found => return found.map(|image| (image, lease)),
            }
        }
    }

    /// Takes memory for a picture; those that are only kept give way.
    fn hold(&self, picture: Picture) -> Result<Arc<Held>, ApiError> {
        let bytes = picture.bytes();
        let held = Held { picture: Arc::new(picture), held_bytes: Arc::clone(&self.held_bytes) };
        if self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > HELD_BYTES_MAX {
            let gives_way = std::mem::take(&mut *locked(&self.kept));
            drop(gives_way);
            if self.held_bytes.load(Ordering::Relaxed) > HELD_BYTES_MAX {
                return Err(ApiError::busy(
                    "the pictures of waiting requests fill the memory for them; try again later",
                ));
            }
        }
        Ok(Arc::new(held))
    }

    fn kept_before(&self, name: &[u8; 32]) -> Option<Arc<Held>> {
        let mut kept = locked(&self.kept);
        kept.uses += 1;
        let now = kept.uses;
        let (held, used) = kept.pictures.get_mut(name)?;
        *used = now;
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(Arc::clone(held))
    }

    fn keep(&self, name: [u8; 32], held: &Arc<Held>) {
        let mut kept = locked(&self.kept);
        let now = kept.uses;
        if kept.pictures.insert(name, (Arc::clone(held), now)).is_none() {
            kept.bytes += held.picture.bytes();
        }
        while kept.bytes > KEPT_BYTES_MAX {
            let oldest = kept.pictures.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| *name);
            let Some((gone, _)) = oldest.and_then(|name| kept.pictures.remove(&name)) else { return };
            kept.bytes -= gone.picture.bytes();
        }
    }

    fn file(&self, url: &str) -> Result<Vec<u8>, ApiError> {
        let Some(root) = &self.local else {
            return Err(failed("Cannot load local files without `--allowed-local-media-path`."));
        };
        let path = local_path(url).ok_or_else(|| refused("a file URL must hold an absolute path on this machine"))?;
        let outside = || {
            let (path, root) = (path.display(), root.display());
            refused(&format!("The file path {path} must be a subpath of `--allowed-local-media-path {root}`."))
        };
        // Links are followed before the folder is compared. A file that is not there says no more than one outside.
        let real = path.canonicalize().map_err(|_| outside())?;
        if !real.starts_with(root) {
            return Err(outside());
        }
        let size = std::fs::metadata(&real).map_err(|_| outside())?;
        if !size.is_file() || size.len() > self.limits.bytes_max {
            return Err(refused("Failed to load image: it is no plain file, or too large"));
        }
        std::fs::read(&real).map_err(|_| outside())
    }
}

/// What a URL begins with, in lower case.
fn scheme(url: &str) -> String {
    url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default()
}

/// The bytes of a data URL.
fn data(url: &str) -> Result<Vec<u8>, ApiError> {
    let (kind, data) = url.split_once(',').ok_or_else(|| refused("a data URL must have a comma before its data"))?;
    if !kind.ends_with(";base64") {
        return Err(refused("Only base64 data URLs are supported for now."));
    }
    BASE64.decode(data).map_err(|error| match error {
        base64::DecodeError::InvalidByte(_, byte) if byte != b'=' => refused("Non-base64 digit found"),
        _ => refused("Incorrect padding"),
    })
}

/// The path of a `file:` URL of this machine, its percent signs decoded.
fn local_path(url: &str) -> Option<PathBuf> {
    let (_, rest) = url.split_once(':')?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes().iter().copied();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from(digit(left.next()?)? * 16 + digit(left.next()?)?).ok()?
            }
            byte => byte,
        });
    }
    let path = PathBuf::from(String::from_utf8(bytes).ok()?);
    path.is_absolute().then_some(path)
}

/// vLLM's words for a picture that the processor refuses: it names the pictures and not the reason.
fn not_processed(image: &RgbImage, error: &Error) -> ApiError {
    match error {
        Error::Geometry(geometry::Error::AspectRatio { .. }) => refused(&format!(
            "Failed to apply Qwen2VLProcessor on data={{'images': [<PIL.Image.Image image mode=RGB size={}x{}>]}} with \
             kwargs={{'do_normalize': False, 'do_rescale': False, 'return_tensors': 'pt'}}",
            image.width, image.height
        )),
        other => refused(&other.to_string()),
    }
}

fn refused(words: &str) -> ApiError {
    ApiError::new(400, "BadRequestError", words, None)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use engine::pixels::Normalisation;
    use geometry::{Family, Preprocessor};

    use super::*;

    fn media(local: Option<&Path>) -> Media {
        let rules = ImageRules { preprocessor: Preprocessor::of(Family::Qwen2Vl), normalisation: Normalisation::CLIP };
        Media::new(rules, local, None)
    }

    fn load(media: &Media, url: &str) -> Result<Arc<Held>, ApiError> {
        media.load(url, Instant::now())
    }

    fn png() -> Vec<u8> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pictures/formats/png_rgb.png");
        std::fs::read(file).unwrap()
    }

    #[test]
    fn refusals_as_recorded() {
        let check = |url: &str, status, words: &str| {
            let error = load(&media(None), url).err().unwrap();
            assert_eq!((error.status, error.body["error"]["message"].as_str()), (status, Some(words)), "{url}");
        };
        check("data:image/png;base64,@@@@", 400, "Non-base64 digit found");
        let no_image = "Failed to load image: cannot identify image file <_io.BytesIO object>";
        check("data:image/png;base64,bm90IGFuIGltYWdlIGF0IGFsbA==", 400, no_image);
        let no_local = "Cannot load local files without `--allowed-local-media-path`.";
        check("file:///etc/hostname", 500, no_local);
        let narrow = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAB9AAAAAFCAIAAACSDuA8AAAAS0lEQVR4nO3YUQkAIBAFQc8gBrskxjeEDwSZSbDfW73XAAAAAAAA7szXAQAAAAAA8APDHQAAAAAAAgx3AAAAAAAIMNwBAAAAACDgAKXaAPoMRwBIAAAAAElFTkSuQmCC";
        let words = "Failed to apply Qwen2VLProcessor on data={'images': [<PIL.Image.Image image mode=RGB size=2000x5>]} with kwargs={'do_normalize': False, 'do_rescale': False, 'return_tensors': 'pt'}";
        check(narrow, 400, words);
        check("ftp://x/y.png", 400, "The URL must be either a HTTP, data or file URL.");
        check("data:image/png;base64,AAA", 400, "Incorrect padding");
        assert_eq!(load(&media(None), "http://127.0.0.1/x.png").err().unwrap().status, 400);
    }

    #[test]
    fn a_picture_that_comes_again_is_the_same() {
        let media = media(None);
        let url = format!("data:image/png;base64,{}", STANDARD.encode(png()));
        let (first, second) = (load(&media, &url).unwrap(), load(&media, &url).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(media.queries_and_hits(), (2, 1));
        let bytes = first.picture.bytes();
        assert_eq!(media.held_bytes.load(Ordering::Relaxed), bytes);
        drop((first, second));
        std::mem::take(&mut *locked(&media.kept));
        assert_eq!(media.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn decoding_waits_for_memory() {
        let media = media(None);
        let all = media.decoding.take(u64::MAX);
        std::thread::scope(|scope| {
            let loads: Vec<_> = (0..3).map(|_| scope.spawn(|| media.decode(&png()).map(|(image, _)| image))).collect();
            while media.decoding.waiting() < 3 {
                std::thread::yield_now();
            }
            drop(all);
            for load in loads {
                assert!(load.join().unwrap().is_ok());
            }
        });
        // A picture of 8000 x 8000 pixels, of which nothing is there: what it needs is taken first.
        let mut large = b"BM".to_vec();
        large.resize(18, 0);
        (large[10], large[14]) = (54, 40);
        large.extend([8000_u32.to_le_bytes(), 8000_u32.to_le_bytes()].concat());
        large.extend([1, 0, 24, 0]);
        large.resize(54, 0);
        let beside = media.decoding.take(media.limits.memory_bytes_max);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| media.decode(&large).map(|(image, _)| image));
            while media.decoding.waiting() < 1 {
                assert!(!load.is_finished(), "decoded beside what fills the memory");
                std::thread::yield_now();
            }
            drop(beside);
            assert!(matches!(load.join().unwrap(), Err(Error::Broken { format: "BMP", .. })));
        });
    }

    #[test]
    fn files_only_under_the_folder() {
        let folder = std::env::temp_dir().join(format!("vlm-media-{}", std::process::id()));
        let inside = folder.join("in side");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join("a.png"), png()).unwrap();
        std::fs::write(folder.join("secret.png"), png()).unwrap();
        std::os::unix::fs::symlink(folder.join("secret.png"), inside.join("link.png")).unwrap();
        let media = media(Some(&inside));
        let url = |rest: &str| format!("file://{}/{rest}", folder.display());
        assert!(load(&media, &url("in%20side/a.png")).is_ok());
        for outside in ["in%20side/link.png", "in%20side/../secret.png", "secret.png", "in%20side/none.png"] {
            let error = load(&media, &url(outside)).err().unwrap();
            assert!(error.body.to_string().contains("must be a subpath"), "{outside}: {error:?}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
