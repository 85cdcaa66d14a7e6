//! The settings of an image processor, checked: patch and merge size and the
//! limits on pixels, read from the text of a `preprocessor_config.json`.
//! It must not know files or the names of folders.

use serde::Deserialize;

use crate::resize::{FACTOR_MAX, check_limits, check_setting};
use crate::{Error, Family, ImageGeometry};

/// Checked settings of the image processor of one model.
///
/// Every value is in its range by construction, so that only the picture's own
/// size can still be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preprocessor {
    family: Family,
    patch_size: u32,
    merge_size: u32,
    temporal_patch_size: u32,
    min_pixels: u64,
    max_pixels: u64,
}

impl Preprocessor {
    /// The settings published with the instruct models of a family.
    ///
    /// Source: `preprocessor_config.json` of Qwen2-VL-7B-Instruct,
    /// Qwen2.5-VL-7B-Instruct and Qwen3-VL-8B-Instruct.
    #[must_use]
    pub fn of(family: Family) -> Self {
        let (patch_size, min_pixels, max_pixels) = match family {
            Family::Qwen2Vl | Family::Qwen2_5Vl => (14, 56 * 56, 28 * 28 * 16384),
            Family::Qwen3Vl => (16, 256 * 256, 4096 * 4096),
        };
        Self { family, patch_size, merge_size: 2, temporal_patch_size: 2, min_pixels, max_pixels }
    }

    /// The settings in the text of a `preprocessor_config.json`.
    ///
    /// `family` is what the model's `config.json` states
    /// ([`Family::from_config_json`]); where it is `None` the class names in the
    /// text decide. Limits are taken from `min_pixels` / `max_pixels`, else from
    /// `size` (`shortest_edge` / `longest_edge`), as transformers does. The
    /// `image_processor` part of a `processor_config.json` is read alike. A field
    /// that is missing has the family's published value.
    ///
    /// # Errors
    /// [`Error::Json`] if the text is no such JSON object, [`Error::UnknownFamily`]
    /// if neither `family` nor the text tells, [`Error::Setting`] if a value is
    /// out of its range.
    pub fn from_json(text: &str, family: Option<Family>) -> Result<Self, Error> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| Error::Json { file: "preprocessor_config.json", reason: error.to_string() })?;
        let outer_class = file.fields.processor_class.clone();
        let fields = file.image_processor.unwrap_or(file.fields);
        let family = match family {
            Some(family) => family,
            None => family_of(outer_class.or(fields.processor_class.clone()), &fields)?,
        };
        Self::of(family).with_fields(&fields)?.checked()
    }

    /// The same settings with other limits on the pixels of a resized picture;
    /// `None` keeps the limit.
    ///
    /// # Errors
    /// [`Error::Setting`] if a limit is 0, over 2^52, or the two are in the wrong order.
    pub fn with_limits(mut self, min_pixels: Option<u64>, max_pixels: Option<u64>) -> Result<Self, Error> {
        self.min_pixels = min_pixels.unwrap_or(self.min_pixels);
        self.max_pixels = max_pixels.unwrap_or(self.max_pixels);
        self.checked()
    }

    /// What the model makes of a picture of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`Error::EmptyPicture`], [`Error::PictureTooLarge`] or [`Error::AspectRatio`].
    pub fn geometry(&self, width: u32, height: u32) -> Result<ImageGeometry, Error> {
        ImageGeometry::new(self, width, height)
    }

    /// The model family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// Side of a patch, in pixels.
    #[must_use]
    pub fn patch_size(&self) -> u32 {
        self.patch_size
    }

    /// Side of the square of patches that becomes one token, in patches.
    #[must_use]
    pub fn merge_size(&self) -> u32 {
        self.merge_size
    }

    /// Frames that become one patch; a picture is repeated to fill it.
    #[must_use]
    pub fn temporal_patch_size(&self) -> u32 {
        self.temporal_patch_size
    }

    /// Least number of pixels of a resized picture.
    #[must_use]
    pub fn min_pixels(&self) -> u64 {
        self.min_pixels
    }

    /// Greatest number of pixels of a resized picture.
    #[must_use]
    pub fn max_pixels(&self) -> u64 {
        self.max_pixels
    }

    /// The sides of a resized picture are multiples of this, in pixels.
    #[must_use]
    pub fn factor(&self) -> u32 {
        self.patch_size * self.merge_size
    }

    fn with_fields(mut self, fields: &Fields) -> Result<Self, Error> {
        let size = fields.size.as_ref();
        let min = fields.min_pixels.or(size.and_then(|s| s.shortest_edge));
        let max = fields.max_pixels.or(size.and_then(|s| s.longest_edge));
        self.min_pixels = min.unwrap_or(self.min_pixels);
        self.max_pixels = max.unwrap_or(self.max_pixels);
        let small = |name, given: Option<u64>, else_value| match given {
            Some(given) => small_setting(name, given),
            None => Ok(else_value),
        };
        self.patch_size = small("patch_size", fields.patch_size, self.patch_size)?;
        self.merge_size = small("merge_size", fields.merge_size, self.merge_size)?;
        self.temporal_patch_size = small("temporal_patch_size", fields.temporal_patch_size, self.temporal_patch_size)?;
        Ok(self)
    }

    fn checked(self) -> Result<Self, Error> {
        check_limits(self.min_pixels, self.max_pixels)?;
        Ok(self)
    }
}

/// Greatest patch, merge and temporal patch size; the product of two is a factor that is allowed.
const SMALL_MAX: u32 = 256;
const _: () = assert!(SMALL_MAX * SMALL_MAX <= FACTOR_MAX);

fn small_setting(name: &'static str, given: u64) -> Result<u32, Error> {
    check_setting(name, given, 1, SMALL_MAX.into())?;
    // Cannot fail after the check; the bound stands in if it did.
    Ok(u32::try_from(given).unwrap_or(SMALL_MAX))
}

fn family_of(processor_class: Option<String>, fields: &Fields) -> Result<Family, Error> {
    let names = [processor_class, fields.image_processor_type.clone()];
    let stated = || names.iter().flatten();
    stated().find_map(|name| Family::from_class(name)).ok_or_else(|| Error::UnknownFamily {
        given: stated().next().cloned().unwrap_or_else(|| "not stated".to_owned()),
    })
}

/// The file: the fields themselves, or (`processor_config.json`) one level down.
#[derive(Deserialize)]
struct File {
    image_processor: Option<Fields>,
    #[serde(flatten)]
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    processor_class: Option<String>,
    image_processor_type: Option<String>,
    patch_size: Option<u64>,
    merge_size: Option<u64>,
    temporal_patch_size: Option<u64>,
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    size: Option<Size>,
}

/// `size`, with the keys of today; releases before them wrote the names of the limits.
#[derive(Deserialize)]
struct Size {
    #[serde(alias = "min_pixels")]
    shortest_edge: Option<u64>,
    #[serde(alias = "max_pixels")]
    longest_edge: Option<u64>,
}

#[cfg(test)]
mod tests;
