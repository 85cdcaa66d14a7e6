//! Drawn road works: what is in a scene is chosen from a seed, drawn, and said in sentences that are true of it.
//!
//! One generator serves everything that needs pictures whose truth is known: the training of the small model, its
//! examination, the example and the client's synthetic pictures. It must not know servers or command lines, and of the
//! model only the size at which it sees pictures.
//!
//! ```
//! use scenes::{Facts, Language, View, describe, draw};
//!
//! let seed = scenes::Split::HeldOut.seed(3);
//! let facts = Facts::of(seed);
//! let drawing = draw(&facts, seed, &View::PLAIN)?;
//! assert_eq!((drawing.image.width, drawing.image.height), (1080, 810));
//! assert!(describe(&facts, Language::English, None).contains("road"));
//! # Ok::<(), scenes::Error>(())
//! ```

use serde::{Deserialize, Serialize};

mod canvas;
mod dice;
mod error;
mod facts;
mod finish;
mod mark;
pub mod pool;
mod scene;
mod things;
mod words;

pub use canvas::Bounds;
pub use error::Error;
pub use facts::{CONES_MAX, Colour, Facts, Kind, Road, TREES_MAX, VEHICLES_MAX, Vehicle, WORKERS_MAX, Worker};
pub use finish::Border;
pub use mark::{Atom, Mark};
pub use scene::{Drawing, View, draw};
pub use words::{Expected, Language, Question, describe, expected, questions};

/// The shortest side of a picture, in pixels.
pub const SIDE_MIN: u32 = 64;
/// The longest side of a picture, in pixels.
pub const SIDE_MAX: u32 = 8192;
/// The longer side may be this many times the shorter one.
pub const ASPECT_MAX: u64 = 3;

/// Scenes for training and scenes for examination, which are never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// For examination: even seeds.
    HeldOut,
    /// For training: odd seeds.
    Training,
}

impl Split {
    /// The seed of scene number `number`, from 0.
    #[must_use]
    pub fn seed(self, number: u64) -> u64 {
        number.wrapping_mul(2).wrapping_add(u64::from(self == Self::Training))
    }
}

/// A size of a picture in pixels, if it is within bounds.
///
/// # Errors
/// [`Error::Size`] where it is not.
pub fn check_size(width: u64, height: u64) -> Result<(u32, u32), Error> {
    let side = |side: u64| u32::try_from(side).ok().filter(|side| (SIDE_MIN..=SIDE_MAX).contains(side));
    let aspect = width.max(height) <= width.min(height).saturating_mul(ASPECT_MAX);
    side(width).zip(side(height)).filter(|_| aspect).ok_or(Error::Size { width, height })
}
