//! From a picture to what the vision tower takes: resized, normalised, cut into
//! patches in the order of transformers' `Qwen2VLImageProcessor` with torchvision.
//! It must not know files or how a picture was encoded.

use geometry::{ImageGeometry, Preprocessor};
use serde::Deserialize;

use super::{Error, RgbImage, resize};

/// How levels 0..=255 become numbers: `(level - mean / factor) / (std / factor)` for each channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// What a level is multiplied by first; 1/255.
    pub rescale_factor: f64,
    /// Mean of red, green and blue after rescaling.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue after rescaling.
    pub std: [f32; 3],
}

/// What one picture is to the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// Resized size, grid and number of tokens.
    pub geometry: ImageGeometry,
    /// One row for each patch, `[grid.t * grid.h * grid.w, 3 * temporal * patch * patch]`.
    ///
    /// The patches of one token stand together: rows of squares of merge size,
    /// and inside a square row by row. Inside a patch: channel, frame, y, x.
    pub values: Vec<f32>,
}

/// Resizes and cuts a picture.
///
/// # Errors
/// [`Error::Geometry`] if the picture is too narrow or too large for the model.
pub fn preprocess(
    image: &RgbImage,
    preprocessor: &Preprocessor,
    normalisation: &Normalisation,
) -> Result<Patches, Error> {
    let geometry = preprocessor.geometry(image.width, image.height)?;
    let resized = resize(image, geometry.resized_width, geometry.resized_height);
    let values = cut(&resized, preprocessor, &normalisation.tables());
    Ok(Patches { geometry, values })
}

impl Normalisation {
    /// The numbers of the published Qwen2-VL models (OpenAI's CLIP).
    pub const CLIP: Self = Self {
        rescale_factor: 1.0 / 255.0,
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
    };

    /// The numbers in the text of a `preprocessor_config.json`; what it lacks is as in [`Self::CLIP`].
    ///
    /// # Errors
    /// [`Error::Normalisation`] if the text is no such JSON object or a number cannot be divided by.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let file: File =
            serde_json::from_str(text).map_err(|error| Error::Normalisation { reason: error.to_string() })?;
        let fields = file.image_processor.unwrap_or(file.fields);
        let found = Self {
            rescale_factor: fields.rescale_factor.unwrap_or(Self::CLIP.rescale_factor),
            mean: fields.image_mean.map_or(Self::CLIP.mean, |mean| mean.map(|value| value as f32)),
            std: fields.image_std.map_or(Self::CLIP.std, |std| std.map(|value| value as f32)),
        };
        let divisors = found.std.iter().copied().chain([found.rescale_factor as f32]);
        match divisors.chain(found.mean.map(|mean| mean.abs() + 1.0)).find(|value| !(*value > 0.0 && value.is_finite()))
        {
            None => Ok(found),
            Some(_) => Err(Error::Normalisation {
                reason: format!("image_mean, image_std or rescale_factor out of range: {found:?}"),
            }),
        }
    }

    /// What each level of each channel becomes.
    ///
    /// transformers 5 fuses both steps: mean and std times 1/factor in float32, then
    /// a subtraction and a division in float32.
    fn tables(&self) -> [[f32; 256]; 3] {
        let scale = (1.0 / self.rescale_factor) as f32;
        let mut tables = [[0.0; 256]; 3];
        for ((table, mean), std) in tables.iter_mut().zip(self.mean).zip(self.std) {
            for (level, value) in table.iter_mut().enumerate() {
                *value = (level as f32 - mean * scale) / (std * scale);
            }
        }
        tables
    }
}

/// Patches of a picture whose sides are multiples of patch size x merge size.
fn cut(image: &RgbImage, preprocessor: &Preprocessor, tables: &[[f32; 256]; 3]) -> Vec<f32> {
    let patch = preprocessor.patch_size() as usize;
    let merge = preprocessor.merge_size() as usize;
    let frames = preprocessor.temporal_patch_size() as usize;
    let token = patch * merge;
    let (width, height) = (image.width as usize, image.height as usize);
    let mut values = Vec::with_capacity(image.pixels.len() * frames);
    for (token_y, token_x) in places(height / token, width / token) {
        for (patch_y, patch_x) in places(merge, merge) {
            let (top, left) = (token_y * token + patch_y * patch, token_x * token + patch_x * patch);
            for (channel, table) in tables.iter().enumerate() {
                let first = values.len();
                for y in top..top + patch {
                    let start = (y * width + left) * 3;
                    let row = image.pixels.get(start..start + patch * 3).unwrap_or_default();
                    // A level is a byte and a table has 256 places, so the index is inside.
                    values.extend(row.as_chunks::<3>().0.iter().map(|pixel| table[usize::from(pixel[channel])]));
                }
                // A still picture is the same in every frame.
                let end = values.len();
                (1..frames).for_each(|_| values.extend_from_within(first..end));
            }
        }
    }
    values
}

/// All places of a grid, row by row.
fn places(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
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
    rescale_factor: Option<f64>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_numbers_has_the_published_ones() {
        assert_eq!(Normalisation::from_json("{}").ok(), Some(Normalisation::CLIP));
        let nested =
            r#"{"image_processor": {"image_mean": [0.5, 0.25, 0], "image_std": [1, 1, 2], "rescale_factor": 1}}"#;
        let expected = Normalisation { rescale_factor: 1.0, mean: [0.5, 0.25, 0.0], std: [1.0, 1.0, 2.0] };
        assert_eq!(Normalisation::from_json(nested).ok(), Some(expected));
    }

    #[test]
    fn numbers_that_cannot_be_divided_by_are_refused() {
        for text in [
            "[]",
            r#"{"image_std": [1, 0, 1]}"#,
            r#"{"image_mean": [1, 2]}"#,
            r#"{"rescale_factor": 0}"#,
            r#"{"image_std": [1, -1, 1]}"#,
            r#"{"image_mean": [1e300, 0, 0]}"#,
        ] {
            assert!(matches!(Normalisation::from_json(text), Err(Error::Normalisation { .. })), "{text}");
        }
    }
}
