//! What can be wrong with a checkpoint folder or with what is asked of the model. It must not know who asks.

use std::io;
use std::path::PathBuf;

/// Why a model cannot be loaded or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the checkpoint cannot be read.
    #[error("cannot read {path}: {reason}. Check that the checkpoint's folder is whole")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A JSON file is not what it should be.
    #[error("{path} is not valid: {reason}")]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A field of `config.json` or `generation_config.json` is missing or out of its range.
    #[error("{file}: {field} is {given}, but {allowed}")]
    Setting {
        /// The file, by its name.
        file: &'static str,
        /// The field, with the object it stands in.
        field: String,
        /// The value, as JSON, or "missing".
        given: String,
        /// What would be taken.
        allowed: String,
    },
    /// The checkpoint is of a kind that this engine does not run.
    #[error("{what} is not supported: {given}. {hint}")]
    Unsupported {
        /// The kind of thing.
        what: &'static str,
        /// What the checkpoint has.
        given: String,
        /// What to do.
        hint: &'static str,
    },
    /// The folder has no weights.
    #[error("{folder} has neither model.safetensors nor model.safetensors.index.json: give the folder of a checkpoint")]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// The head of a safetensors file is not valid.
    #[error("{path} is no safetensors file: {reason}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that the model needs is nowhere.
    #[error(
        "tensor {name} is missing in {folder}: expected with shape {expected:?}. The folder is not whole, or its config.json \
         is that of another checkpoint"
    )]
    MissingTensor {
        /// The name, as in the checkpoint's own layout.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
        /// The folder.
        folder: PathBuf,
    },
    /// A tensor has a shape that does not follow from `config.json`.
    #[error(
        "tensor {name} in {path} has shape {found:?}, but config.json makes it {expected:?}. Take both from one checkpoint"
    )]
    Shape {
        /// The name.
        name: String,
        /// The file it stands in.
        path: PathBuf,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor has a number format that is not read.
    #[error(
        "tensor {name} in {path} has dtype {found}, but BF16, F16 or F32 is needed: quantised weights are not read"
    )]
    TensorDtype {
        /// The name.
        name: String,
        /// The file it stands in.
        path: PathBuf,
        /// Its dtype.
        found: String,
    },
    /// A file ends before a tensor's last byte.
    #[error(
        "{path} is cut short: tensor {name} of shape {shape:?} ends at byte {needed}, the file has {found}. Fetch the file again"
    )]
    Truncated {
        /// The tensor.
        name: String,
        /// The file.
        path: PathBuf,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// Where the tensor ends, in bytes.
        needed: u64,
        /// The length of the file, in bytes.
        found: u64,
    },
    /// The patches of a picture do not fit their grid or the model.
    #[error("picture of grid {grid:?} with {found} values: {allowed}")]
    Patches {
        /// Frames, rows and columns of patches.
        grid: [u32; 3],
        /// How many values were given.
        found: usize,
        /// What would be taken.
        allowed: String,
    },
    /// A chunk of a step contradicts itself, the cache or the model.
    #[error("chunk {chunk} of the step: {reason}")]
    Chunk {
        /// Its place in the step.
        chunk: usize,
        /// What is wrong.
        reason: String,
    },
    /// The worker threads cannot be started.
    #[error("cannot start a worker thread: {0}")]
    Threads(io::Error),
}
