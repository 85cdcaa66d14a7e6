//! What can go wrong.

use std::path::PathBuf;

use crate::pool::Origin;
use crate::{ASPECT_MAX, SIDE_MAX, SIDE_MIN, Split};

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
    /// A folder that is a pool of other scenes.
    #[error(
        "{}: a pool of {} is there, and {} were asked for: give another folder, or the scenes that are there",
        path.display(), there.map_or_else(|| UNKNOWN.into(), scenes), scenes(*asked)
    )]
    OtherPool {
        /// The folder.
        path: PathBuf,
        /// What it is made of; `None` where its `pool.json` does not say.
        there: Option<Origin>,
        /// What was asked for.
        asked: Origin,
    },
    /// The settings of the model's pictures, which no size within bounds is known to bring about.
    #[error(transparent)]
    Geometry(#[from] geometry::Error),
}

const UNKNOWN: &str = "scenes that no pool.json of this version names";

fn scenes(of: Origin) -> String {
    let split = match of.split {
        Split::HeldOut => "held-out",
        Split::Training => "training",
    };
    format!("{split} scenes from number {} on", of.first)
}
