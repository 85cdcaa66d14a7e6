//! What a model makes of one picture: resized size, grid of patches, tokens.
//! It must not know where the settings came from.

use crate::{Error, Preprocessor, smart_resize};

/// A grid of patches: frames, rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Groups of frames; 1 for a picture.
    pub t: u32,
    /// Rows of patches.
    pub h: u32,
    /// Columns of patches.
    pub w: u32,
}

/// The way of one picture from its size to its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageGeometry {
    /// Width of the picture as the server sees it, in pixels.
    pub width: u32,
    /// Height of the picture as the server sees it, in pixels.
    pub height: u32,
    /// Width after resizing, in pixels: a multiple of patch size x merge size.
    pub resized_width: u32,
    /// Height after resizing, in pixels: a multiple of patch size x merge size.
    pub resized_height: u32,
    /// Patches before merging (`image_grid_thw`).
    pub grid: Grid,
    /// Image tokens in the prompt: patches / merge size squared. The tokens
    /// around them (`<|vision_start|>`, `<|vision_end|>`) are not counted.
    pub image_tokens: u64,
}

impl ImageGeometry {
    /// The geometry of a picture of `width` x `height` pixels.
    pub(crate) fn new(preprocessor: &Preprocessor, width: u32, height: u32) -> Result<Self, Error> {
        let (resized_height, resized_width) =
            smart_resize(height, width, preprocessor.factor(), preprocessor.min_pixels(), preprocessor.max_pixels())?;
        // A picture is one frame, repeated to fill one temporal patch.
        let grid =
            Grid { t: 1, h: resized_height / preprocessor.patch_size(), w: resized_width / preprocessor.patch_size() };
        let merge = preprocessor.merge_size();
        Ok(Self {
            width,
            height,
            resized_width,
            resized_height,
            grid,
            image_tokens: u64::from(grid.h / merge) * u64::from(grid.w / merge),
        })
    }

    /// The number of patches that the vision tower sees.
    #[must_use]
    pub fn patches(&self) -> u64 {
        u64::from(self.grid.t) * u64::from(self.grid.h) * u64::from(self.grid.w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Family;

    #[test]
    fn the_picture_of_the_readme_has_1131_tokens() {
        let picture = Preprocessor::of(Family::Qwen2Vl).geometry(1080, 810);
        let expected = ImageGeometry {
            width: 1080,
            height: 810,
            resized_width: 1092,
            resized_height: 812,
            grid: Grid { t: 1, h: 58, w: 78 },
            image_tokens: 1131,
        };
        assert_eq!(picture, Ok(expected));
        assert_eq!(expected.patches(), 4524);
    }
}
