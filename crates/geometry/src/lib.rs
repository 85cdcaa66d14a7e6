//! From the size of a picture to what a Qwen-VL model makes of it: the resized
//! size, the grid of patches and the number of image tokens in the prompt.
//!
//! Pure arithmetic on sizes. It must not know pixels, files, HTTP or models;
//! settings come in as the text of a `preprocessor_config.json`.
//!
//! ```
//! use geometry::{Family, Preprocessor};
//!
//! let picture = Preprocessor::of(Family::Qwen2Vl).geometry(1080, 810)?;
//! assert_eq!((picture.resized_width, picture.resized_height), (1092, 812));
//! assert_eq!(picture.image_tokens, 39 * 29);
//! # Ok::<(), geometry::Error>(())
//! ```

mod error;
mod family;
mod image_geometry;
mod preprocessor;
mod resize;

pub use error::Error;
pub use family::Family;
pub use image_geometry::{Grid, ImageGeometry};
pub use preprocessor::Preprocessor;
pub use resize::{ASPECT_RATIO_MAX, PIXELS_LIMIT_MAX, SIDE_MAX, smart_resize};
