//! A picture of a request while it waits: resized, a byte a value. Its patches take twelve to twenty-four times as much
//! (four bytes a value, each frame), so they are cut only when the picture is encoded.

use std::sync::Arc;

use geometry::{ImageGeometry, Preprocessor};

use crate::pixels::{Error, Normalisation, Patches, RgbImage, preprocess, resize};
use crate::prompt::{ContentHash, PromptImage};

/// How pictures become patches.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRules {
    /// Sizes.
    pub preprocessor: Preprocessor,
    /// Values.
    pub normalisation: Normalisation,
}

/// A picture as the model sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    resized: RgbImage,
    geometry: ImageGeometry,
    content: ContentHash,
    rules: Arc<ImageRules>,
}

impl Picture {
    /// Resizes a decoded picture.
    ///
    /// # Errors
    /// [`Error::Geometry`] if the model takes no picture of its size.
    pub fn new(image: &RgbImage, rules: &Arc<ImageRules>) -> Result<Self, Error> {
        let geometry = rules.preprocessor.geometry(image.width, image.height)?;
        let resized = resize(image, geometry.resized_width, geometry.resized_height);
        let content = ContentHash::of_pixels(resized.width, resized.height, &resized.pixels);
        Ok(Self { resized, geometry, content, rules: Arc::clone(rules) })
    }

    /// What a prompt needs to know of it.
    #[must_use]
    pub fn for_prompt(&self) -> PromptImage {
        PromptImage { geometry: self.geometry, content: self.content }
    }

    /// What the vision tower takes.
    ///
    /// # Errors
    /// None that [`Picture::new`] did not report: a resized picture keeps its size.
    pub fn patches(&self) -> Result<Patches, Error> {
        let patches = preprocess(&self.resized, &self.rules.preprocessor, &self.rules.normalisation)?;
        Ok(Patches { geometry: self.geometry, ..patches })
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.resized.pixels.len()
    }
}

#[cfg(test)]
mod tests {
    use geometry::Family;

    use super::*;

    #[test]
    fn patches_are_those_of_the_whole_way() {
        let rules = ImageRules { preprocessor: Preprocessor::of(Family::Qwen2Vl), normalisation: Normalisation::CLIP };
        for (width, height) in [(28, 28), (70, 98), (1, 1), (200, 31), (29, 400)] {
            let pixels = (0..width * height * 3).map(|at| (at * 7 % 251) as u8).collect();
            let image = RgbImage { width, height, pixels };
            let whole = preprocess(&image, &rules.preprocessor, &rules.normalisation).unwrap();
            let picture = Picture::new(&image, &Arc::new(rules.clone())).unwrap();
            assert_eq!(picture.patches().unwrap(), whole, "{width}x{height}");
        }
    }
}
