//! Pictures made from a recipe such as `photo:1080x810`: the same (recipe, seed, index) gives the same bytes.
//!
//! It must not know how a recipe reached it, nor how many pictures a run needs.

use std::fmt;
use std::str::FromStr;

use image::ExtendedColorType;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::alter::encode_png;
use super::{ImageError, Picture, paint};

/// The longest side, in pixels.
pub const SIDE_MAX: u32 = 16_384;
/// The most pixels in all.
pub const PIXELS_MAX: u64 = 100_000_000;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntheticKind {
    /// Each sample uniform at random: nothing to compress, about 3 bytes a pixel.
    Noise,
    /// A smooth blend of four corner colours: next to nothing to send.
    Gradient,
    /// Smooth fields, shapes with edges and grain: about as many bytes a pixel as a photograph's PNG.
    Photo,
    /// Drawn road works, whose truth is known: with seed 0, picture number n is held-out scene number n.
    Scenes,
}

/// A checked recipe of a synthetic picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synthetic {
    kind: SyntheticKind,
    width: u32,
    height: u32,
    seed: u64,
}

impl Synthetic {
    /// A recipe; sizes in pixels.
    ///
    /// # Errors
    /// [`ImageError::BadSize`] where a side is 0 or over [`SIDE_MAX`], or the whole over [`PIXELS_MAX`];
    /// [`ImageError::BadSceneSize`] where scenes are not drawn at that size.
    pub fn new(kind: SyntheticKind, width: u32, height: u32, seed: u64) -> Result<Self, ImageError> {
        check_kind_size(kind, width.into(), height.into())?;
        Ok(Self { kind, width, height, seed })
    }

    /// The same recipe with another seed (a parsed one has seed 0).
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// What is drawn.
    #[must_use]
    pub fn kind(&self) -> SyntheticKind {
        self.kind
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Draws picture number `index` as PNG, mode RGB. Different numbers give different pictures of the same size
    /// (by chance alike only where the picture has a few pixels).
    ///
    /// # Errors
    /// [`ImageError::Unencodable`], which no size within the limits is known to bring about.
    pub fn render(&self, index: u64) -> Result<Picture, ImageError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index);
        let size = (self.width, self.height);
        let samples = match self.kind {
            SyntheticKind::Noise => paint::noise(&mut rng, size),
            SyntheticKind::Gradient => paint::gradient(&mut rng, size),
            SyntheticKind::Photo => paint::photo(&mut rng, size),
            SyntheticKind::Scenes => self.scene(self.seed.wrapping_add(index))?,
        };
        let name = self.to_string();
        let bytes = encode_png(&name, &samples, size, ExtendedColorType::Rgb8, None)?;
        let mut picture = Picture::from_bytes(&name, bytes)?;
        picture.facts.synthetic = Some(format!("{name} seed {} index {index}", self.seed));
        Ok(picture)
    }
}

impl Synthetic {
    /// The samples of a held-out scene.
    fn scene(&self, number: u64) -> Result<Vec<u8>, ImageError> {
        let seed = scenes::Split::HeldOut.seed(number);
        let view = scenes::View { width: self.width, height: self.height, ..scenes::View::PLAIN };
        let bad = |_| ImageError::BadSceneSize { width: self.width.into(), height: self.height.into() };
        Ok(scenes::draw(&scenes::Facts::of(seed), seed, &view).map_err(bad)?.image.pixels)
    }
}

/// The recipe as it is typed, without the seed.
impl fmt::Display for Synthetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SyntheticKind::Noise => "noise",
            SyntheticKind::Gradient => "gradient",
            SyntheticKind::Photo => "photo",
            SyntheticKind::Scenes => "scenes",
        };
        write!(f, "{kind}:{}x{}", self.width, self.height)
    }
}

impl FromStr for Synthetic {
    type Err = ImageError;

    /// Reads `noise:WxH`, `gradient:WxH`, `photo:WxH` or `scenes:WxH`.
    fn from_str(given: &str) -> Result<Self, ImageError> {
        let bad = || ImageError::BadRecipe { given: given.to_owned() };
        let (kind, size) = given.trim().split_once(':').ok_or_else(bad)?;
        let kind = match kind.to_ascii_lowercase().as_str() {
            "noise" => SyntheticKind::Noise,
            "gradient" => SyntheticKind::Gradient,
            "photo" => SyntheticKind::Photo,
            "scenes" => SyntheticKind::Scenes,
            _ => return Err(bad()),
        };
        let (width, height) = size.split_once(['x', 'X', '×']).ok_or_else(bad)?;
        // u64 first: a size that is too large is said to be so, and not to be no number.
        let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
        let (width, height) = check_kind_size(kind, number(width)?, number(height)?)?;
        Ok(Self { kind, width, height, seed: 0 })
    }
}

/// The size, where it is within the limits of its kind.
fn check_kind_size(kind: SyntheticKind, width: u64, height: u64) -> Result<(u32, u32), ImageError> {
    match kind {
        SyntheticKind::Scenes => {
            scenes::check_size(width, height).map_err(|_| ImageError::BadSceneSize { width, height })
        }
        _ => check_size(width, height),
    }
}

/// The size, where it is within the limits.
pub(super) fn check_size(width: u64, height: u64) -> Result<(u32, u32), ImageError> {
    let side = |side: u64| u32::try_from(side).ok().filter(|side| (1..=SIDE_MAX).contains(side));
    side(width).zip(side(height)).filter(|_| width * height <= PIXELS_MAX).ok_or(ImageError::BadSize { width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_read_or_refused() {
        let check = |given: &str, wanted: Result<&str, &str>| {
            let read = given.parse::<Synthetic>().map(|recipe| recipe.to_string()).map_err(|e| e.to_string());
            match (&read, wanted) {
                (Ok(recipe), Ok(wanted)) => assert_eq!(recipe, wanted),
                (Err(error), Err(wanted)) => assert!(error.contains(wanted), "{error}"),
                _ => panic!("{given}: {read:?}, wanted {wanted:?}"),
            }
        };
        check("noise:1080x810", Ok("noise:1080x810"));
        check(" Photo:1024×768 ", Ok("photo:1024x768"));
        check("gradient:1X16384", Ok("gradient:1x16384"));
        check("photo:10000x10000", Ok("photo:10000x10000"));
        for given in ["", "noise", "noise:", "noise:10", "photo:ax3", "photo:3x-1", "cat:3x3", "photo:1.5x2"] {
            check(given, Err("allowed are noise:WxH, gradient:WxH, photo:WxH and scenes:WxH"));
        }
        for given in ["noise:0x5", "noise:5x0", "noise:16385x1", "photo:10001x10000", "photo:99999999999x1"] {
            check(given, Err("out of bounds"));
        }
        check("photo:99999999999999999999x1", Err("allowed are"));
        check("scenes:1080x810", Ok("scenes:1080x810"));
        for given in ["scenes:10x10", "scenes:9000x9000", "scenes:1080x100"] {
            check(given, Err("a scene of"));
        }
    }

    #[test]
    fn same_recipe_same_bytes_other_index_or_seed_other_bytes() -> Result<(), ImageError> {
        for kind in ["noise", "gradient", "photo", "scenes"] {
            let recipe: Synthetic = format!("{kind}:96x72").parse()?;
            let first = recipe.render(0)?;
            assert_eq!(first, recipe.render(0)?);
            assert_eq!((first.facts.width, first.facts.height, first.facts.mode.as_str()), (96, 72, "RGB"));
            assert_eq!(first.facts.synthetic.as_deref(), Some(format!("{kind}:96x72 seed 0 index 0").as_str()));
            assert_eq!(first.facts.name, format!("{kind}:96x72"));
            assert!(!first.looks_truncated());
            assert_ne!(first.facts.sha256, recipe.render(1)?.facts.sha256, "{kind}");
            assert_ne!(first.facts.sha256, recipe.with_seed(1).render(0)?.facts.sha256, "{kind}");
        }
        Ok(())
    }

    #[test]
    fn bytes_a_pixel_are_those_of_the_kind() -> Result<(), ImageError> {
        let check = |recipe: &str, least: f64, most: f64| -> Result<(), ImageError> {
            let (width, height) = recipe.parse::<Synthetic>()?.size();
            for index in 0..3 {
                let bytes = recipe.parse::<Synthetic>()?.render(index)?.facts.bytes;
                let each = bytes as f64 / f64::from(width * height);
                assert!((least..=most).contains(&each), "{recipe} {index}: {each}");
            }
            Ok(())
        };
        check("noise:160x120", 3.0, 3.2)?;
        check("gradient:320x240", 0.0, 1.0)?;
        check("photo:320x240", 1.0, 2.5)?;
        check("photo:540x405", 1.0, 2.5)
    }

    #[test]
    fn the_narrowest_sizes_are_drawn() -> Result<(), ImageError> {
        for size in [(1, 1), (1, 300), (300, 1), (2, 3)] {
            for kind in [SyntheticKind::Noise, SyntheticKind::Gradient, SyntheticKind::Photo] {
                let picture = Synthetic::new(kind, size.0, size.1, 9)?.render(u64::MAX)?;
                assert_eq!((picture.facts.width, picture.facts.height), size);
            }
        }
        assert!(Synthetic::new(SyntheticKind::Noise, 0, 1, 0).is_err());
        Ok(())
    }
}
