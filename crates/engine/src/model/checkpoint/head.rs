//! The head of a safetensors file: 8 bytes of length, then JSON. It must not know which tensors a model needs.
//!
//! Our own reader, because the safetensors crate refuses a file that is shorter than its head says with one word,
//! while here the tensor that is cut must be named, and a head must be readable without the data.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::model::Error;

/// A head may not be longer (the limit of the safetensors crate).
const HEAD_BYTES_MAX: u64 = 100_000_000;
/// What a file begins with that git-lfs has not fetched yet.
const GIT_LFS: &[u8; LENGTH_BYTES as usize] = b"version ";
/// The length before the head.
const LENGTH_BYTES: u64 = 8;

/// A tensor as the head of its file describes it. Its data need not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As written: "BF16".
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// Of the first byte, from the beginning of the file.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl Entry {
    /// The byte after the last one, from the beginning of the file. [`read`] has checked the sum.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

/// A number format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredAs {
    Bf16,
    F16,
    F32,
}

impl StoredAs {
    /// The format of a dtype's name; `None` for those that are not read.
    pub(crate) fn of(dtype: &str) -> Option<Self> {
        match dtype {
            "BF16" => Some(Self::Bf16),
            "F16" => Some(Self::F16),
            "F32" => Some(Self::F32),
            _ => None,
        }
    }

    /// Bytes of a number.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// The tensors of a file, by name.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Entry>, Error> {
    let fail = |reason| Error::Read { path: path.to_owned(), reason };
    let bad = |reason: String| Error::Header { path: path.to_owned(), reason };
    let mut file = File::open(path).map_err(fail)?;
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length).map_err(|_| bad("it is shorter than 8 bytes".to_owned()))?;
    if length == *GIT_LFS {
        return Err(bad("it is a pointer of git-lfs to the weights. Fetch them (git lfs pull)".to_owned()));
    }
    let length = u64::from_le_bytes(length);
    if length > HEAD_BYTES_MAX {
        return Err(bad(format!("its head would have {length} bytes, at most {HEAD_BYTES_MAX} are allowed")));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(fail)?;
    if (text.len() as u64) < length {
        return Err(bad(format!("it ends inside its head: {} of {length} bytes", text.len())));
    }
    let head: BTreeMap<String, Value> = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
    let tensors = head.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, value)| match entry(value, LENGTH_BYTES + length) {
            Ok(entry) => Ok((name, entry)),
            Err(reason) => Err(bad(format!("tensor {name}: {reason}"))),
        })
        .collect()
}

/// A tensor as the format writes it; offsets count from the end of the head.
#[derive(Deserialize)]
struct Written {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

fn entry(value: Value, data: u64) -> Result<Entry, String> {
    let written: Written = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let (start, end) = written.data_offsets;
    let bytes = end.checked_sub(start).ok_or("it ends before it begins")?;
    let values = written.shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size as u64));
    let needed = |format: StoredAs| values.and_then(|values| values.checked_mul(format.bytes()));
    if let Some(format) = StoredAs::of(&written.dtype)
        && needed(format) != Some(bytes)
    {
        return Err(format!("shape {:?} of {} does not make {bytes} bytes", written.shape, written.dtype));
    }
    let offset = data.checked_add(start).filter(|offset| offset.checked_add(bytes).is_some());
    let offset = offset.ok_or("its offsets are too large")?;
    Ok(Entry { dtype: written.dtype, shape: written.shape, offset, bytes })
}
