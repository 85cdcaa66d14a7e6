//! Pictures: from a file, a folder or a recipe to bytes ready to be sent, with the facts that are recorded.
//!
//! A file's bytes are sent untouched; only its header is read. Pixels are decoded where the user asks for
//! another size, for a cold run or for the image proof. It must not know requests, servers or clocks.

mod alter;
mod error;
mod header;
mod list;
mod paint;
mod synthetic;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use measure::image::ImageFacts;
use sha2::{Digest as _, Sha256};

pub(crate) use alter::encode_png;
pub use alter::{cold_variant, inverted, resize};
pub use error::{EXTENSIONS, ImageError, LooksLike};
pub use list::list_dir;
pub use synthetic::{PIXELS_MAX, SIDE_MAX, Synthetic, SyntheticKind};

/// One picture: the bytes to send and what is recorded about them. A clone shares the bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// What is recorded.
    pub facts: ImageFacts,
    /// The file's bytes, as they are sent.
    pub bytes: Bytes,
}

impl Picture {
    /// Whether the file ends before its format says it does (or cannot be followed to its end). Such a picture is
    /// sent all the same: what a server makes of it is the server's matter. Reads lengths and markers, no pixels.
    #[must_use]
    pub fn looks_truncated(&self) -> bool {
        header::read(&self.bytes).map_or(true, |header| !header.complete)
    }

    /// Puts bytes in memory together with the facts read from their header.
    ///
    /// # Errors
    /// [`ImageError::Empty`], [`ImageError::NotAnImage`] and [`ImageError::BrokenHeader`].
    pub fn from_bytes(name: &str, bytes: Bytes) -> Result<Self, ImageError> {
        let name = name.to_owned();
        if bytes.is_empty() {
            return Err(ImageError::Empty { name });
        }
        let header = match header::read(&bytes) {
            Ok(header) => header,
            Err(header::Problem::NotAnImage(what)) => return Err(ImageError::NotAnImage { name, what }),
            Err(header::Problem::Broken(format)) => {
                return Err(ImageError::BrokenHeader { name, format: format.name(), bytes: bytes.len() as u64 });
            }
        };
        let facts = ImageFacts {
            name,
            sha256: sha256_hex(&bytes),
            width: header.width,
            height: header.height,
            mode: header.mode.to_owned(),
            mime: header.format.mime().to_owned(),
            exif_orientation: header.orientation,
            bytes: bytes.len() as u64,
            animated: header.frames.filter(|frames| *frames > 1),
            resized_from: None,
            altered: None,
            synthetic: None,
        };
        Ok(Self { facts, bytes })
    }
}

/// Reads a picture from a file. The file's size is looked at before a byte is read.
///
/// # Errors
/// Everything of [`Picture::from_bytes`], and a path that is missing, a folder, no regular file, larger than
/// `bytes_max` or not to be read.
pub fn load(path: &Path, bytes_max: u64) -> Result<Picture, ImageError> {
    let name = path.to_string_lossy().into_owned();
    let meta = std::fs::metadata(path).map_err(|source| io_error(&name, source))?;
    if meta.is_dir() {
        return Err(ImageError::IsFolder { name });
    }
    if !meta.is_file() {
        return Err(ImageError::NotAFile { name });
    }
    if meta.len() > bytes_max {
        return Err(ImageError::TooLarge { name, bytes: meta.len(), bytes_max });
    }
    let mut bytes = Vec::new();
    // The file may grow between the look and the reading: never more than one byte over the limit is held.
    File::open(path)
        .and_then(|file| file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| io_error(&name, source))?;
    if bytes.len() as u64 > bytes_max {
        return Err(ImageError::TooLarge { name, bytes: bytes.len() as u64, bytes_max });
    }
    Picture::from_bytes(&name, bytes.into())
}

/// The picture as a `data:` URL (RFC 2397) in base64 (RFC 4648, standard alphabet with padding), in one
/// allocation of the exact size.
#[must_use]
pub fn data_url(picture: &Picture) -> Bytes {
    let head = ["data:", picture.facts.mime.as_str(), ";base64,"];
    let head_len: usize = head.iter().map(|part| part.len()).sum();
    let mut url = vec![0; head_len + picture.bytes.len().div_ceil(3) * 4];
    let (start, body) = url.split_at_mut(head_len);
    start.copy_from_slice(head.concat().as_bytes());
    // The room is exact, so the encoder cannot run out of it.
    let written = STANDARD.encode_slice(&picture.bytes, body);
    debug_assert_eq!(written.ok(), Some(body.len()));
    Bytes::from(url)
}

/// The bytes behind a `data:` URL in base64; `None` for any other URL.
#[must_use]
pub fn data_url_bytes(url: &[u8]) -> Option<Bytes> {
    let (head, body) = url.split_at_checked(url.iter().position(|byte| *byte == b',')? + 1)?;
    let is_base64 = head.starts_with(b"data:") && head.ends_with(b";base64,");
    is_base64.then(|| STANDARD.decode(body).ok().map(Bytes::from)).flatten()
}

fn io_error(name: &str, source: std::io::Error) -> ImageError {
    let name = name.to_owned();
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => ImageError::Missing { name },
        _ => ImageError::Io { name, source },
    }
}

/// SHA-256 in lower-case hexadecimal: how a record names what it does not hold.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests;
