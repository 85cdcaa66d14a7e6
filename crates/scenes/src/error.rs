//! What can go wrong.

use std::path::PathBuf;

use crate::{ASPECT_MAX, SIDE_MAX, SIDE_MIN};

/// Why a scene was not drawn or a pool not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A size that is not drawn.
    #[error(
        "a scene of {width}x{height} pixels: allowed are sides of {SIDE_MIN} to {SIDE_MAX}, the longer at most \
         {ASPECT_MAX} times the shorter"
    )]
    Size {
        /// Pixels asked for.
        width: u64,
        /// Pixels asked for.
        height: u64,
    },
    /// A file or folder that could not be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The settings of the model's pictures, which no size within bounds is known to bring about.
    #[error(transparent)]
    Geometry(#[from] geometry::Error),
}
