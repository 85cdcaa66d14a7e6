//! A folder of safetensors files: which tensors it has, whether they are those the model needs, and their values.
//! It must not know what a tensor is for beyond its name and shape.
//!
//! Everything that can be wrong is found from `config.json`, the index and the heads of the files, before a value is
//! read. For a checkpoint whose data is not here [`Checkpoint::check_heads`] does so without it.

mod expected;
mod head;
mod map;
mod values;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use expected::{Expected, Names, Part};
pub(crate) use head::{Entry, StoredAs};
pub(crate) use values::Values;

use super::config::read_object;
use super::{Error, ModelConfig};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The tensors of a checkpoint folder, by the heads of its files.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<PathBuf>,
    tensors: BTreeMap<String, Tensor>,
}

/// Where a tensor lies and what it is.
#[derive(Debug)]
struct Tensor {
    /// Its place in [`Checkpoint::files`].
    file: usize,
    entry: Entry,
}

impl Checkpoint {
    /// Reads the index, if there is one, and the head of each file; no data.
    ///
    /// # Errors
    /// [`Error::NoWeights`], [`Error::Read`], [`Error::Json`] for a bad index, [`Error::Header`] for a bad head.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let index = folder.join(INDEX);
        let names = if index.exists() {
            shards(&index)?
        } else if folder.join(SINGLE).exists() {
            vec![SINGLE.to_owned()]
        } else {
            return Err(Error::NoWeights { folder: folder.to_owned() });
        };
        let mut found = Self { folder: folder.to_owned(), files: Vec::new(), tensors: BTreeMap::new() };
        for name in names {
            let path = folder.join(name);
            for (name, entry) in head::read(&path)? {
                found.tensors.insert(name, Tensor { file: found.files.len(), entry });
            }
            found.files.push(path);
        }
        Ok(found)
    }

    /// Whether each tensor that the model needs is there, in a format that is read and with the right shape.
    ///
    /// # Errors
    /// [`Error::MissingTensor`], [`Error::Shape`] or [`Error::TensorDtype`] for the first that is not.
    pub fn check_heads(&self, config: &ModelConfig) -> Result<(), Error> {
        for expected in expected::all(config, self.names()) {
            self.check(&expected)?;
        }
        Ok(())
    }

    /// Whether each file is as long as its head says.
    ///
    /// # Errors
    /// [`Error::Truncated`] for the first tensor that is cut, [`Error::Read`].
    pub fn check_extent(&self) -> Result<(), Error> {
        let lengths: Result<Vec<u64>, Error> = self.files.iter().map(|path| length(path)).collect();
        let lengths = lengths?;
        for (name, tensor) in &self.tensors {
            let found = lengths.get(tensor.file).copied().unwrap_or(0);
            let needed = tensor.entry.end();
            if needed > found {
                return Err(Error::Truncated {
                    name: name.clone(),
                    path: self.path_of(tensor),
                    shape: tensor.entry.shape.clone(),
                    needed,
                    found,
                });
            }
        }
        Ok(())
    }

    /// Bytes of all tensors that the model needs.
    #[must_use]
    pub fn bytes(&self, config: &ModelConfig) -> u64 {
        let entries = expected::all(config, self.names()).into_iter();
        entries.filter_map(|expected| self.tensors.get(&expected.name)).map(|tensor| tensor.entry.bytes).sum()
    }

    /// How this checkpoint names its tensors.
    pub(crate) fn names(&self) -> Names {
        Names::of(|name| self.tensors.contains_key(name))
    }

    /// The values of a tensor, mapped into memory until the result is dropped.
    pub(crate) fn values(&self, expected: &Expected) -> Result<Values, Error> {
        let (tensor, stored_as) = self.check(expected)?;
        let path = self.path_of(tensor);
        let fail = |reason| Error::Read { path: path.clone(), reason };
        let file = File::open(&path).map_err(fail)?;
        let found = file.metadata().map_err(fail)?.len();
        if tensor.entry.end() > found {
            let (shape, needed) = (tensor.entry.shape.clone(), tensor.entry.end());
            return Err(Error::Truncated { name: expected.name.clone(), path, shape, needed, found });
        }
        let bytes = map::read_only(&file, tensor.entry.offset, tensor.entry.bytes).map_err(fail)?;
        Ok(Values::new(bytes, stored_as, expected.columns()))
    }

    fn check(&self, expected: &Expected) -> Result<(&Tensor, StoredAs), Error> {
        let Some(tensor) = self.tensors.get(&expected.name) else {
            return Err(Error::MissingTensor {
                name: expected.name.clone(),
                expected: expected.shape.clone(),
                folder: self.folder.clone(),
            });
        };
        let (name, path) = (expected.name.clone(), self.path_of(tensor));
        let Some(stored_as) = StoredAs::of(&tensor.entry.dtype) else {
            return Err(Error::TensorDtype { name, path, found: tensor.entry.dtype.clone() });
        };
        if tensor.entry.shape != expected.shape {
            let (found, expected) = (tensor.entry.shape.clone(), expected.shape.clone());
            return Err(Error::Shape { name, path, found, expected });
        }
        Ok((tensor, stored_as))
    }

    fn path_of(&self, tensor: &Tensor) -> PathBuf {
        self.files.get(tensor.file).unwrap_or(&self.folder).clone()
    }
}

/// The files that an index names, each once.
fn shards(index: &Path) -> Result<Vec<String>, Error> {
    let object = read_object(index)?;
    let bad = |reason: &str| Error::Json { path: index.to_owned(), reason: reason.to_owned() };
    let map = object.get("weight_map").and_then(Value::as_object).ok_or_else(|| bad("it has no weight_map"))?;
    let mut names = Vec::new();
    for name in map.values() {
        let name = name.as_str().ok_or_else(|| bad("a file name in weight_map is no string"))?;
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(bad(&format!("{name:?} in weight_map is no plain file name")));
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn length(path: &Path) -> Result<u64, Error> {
    let data = std::fs::metadata(path).map_err(|reason| Error::Read { path: path.to_owned(), reason })?;
    Ok(data.len())
}
