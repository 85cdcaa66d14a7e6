//! What can be wrong with a picture, in words for whoever sent it.

/// Why a picture was not taken.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no picture of a known format.
    #[error("not a picture: the bytes are of no known image format; send one of {READ}")]
    NotAPicture,
    /// A picture of a format that is not read here.
    #[error("{format} pictures are not supported; convert it to one of {READ}")]
    Format {
        /// The format's name.
        format: &'static str,
    },
    /// A variant of a known format that is not read here.
    #[error("this {format} picture uses {what}, which is not supported; convert it to a common PNG or JPEG")]
    Variant {
        /// The format's name.
        format: &'static str,
        /// What in it is not supported.
        what: String,
    },
    /// The file is cut off or damaged.
    #[error("the {format} picture is truncated or damaged: {reason}; check that the file was sent whole")]
    Broken {
        /// The format's name.
        format: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// More pixels than allowed.
    #[error("the picture has {width} x {height} = {pixels} pixels, at most {pixels_max} are allowed; send a smaller one",
        pixels = u64::from(*.width) * u64::from(*.height))]
    TooManyPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit.
        pixels_max: u64,
    },
    /// A longer file than allowed.
    #[error("the picture's file has {bytes} bytes, at most {bytes_max} are allowed; compress it or send a smaller one")]
    TooManyBytes {
        /// Length of the file.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Decoding would take more memory than allowed.
    #[error("decoding the picture needs {bytes} bytes of memory, at most {bytes_max} are allowed; send a smaller one")]
    TooMuchMemory {
        /// What decoding needs, in bytes.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The model takes no picture of this size.
    #[error(transparent)]
    Geometry(#[from] geometry::Error),
    /// The numbers of a `preprocessor_config.json` cannot be used.
    #[error(
        "preprocessor_config.json cannot be used to normalise pictures: {reason}; image_mean must hold three finite numbers, image_std three positive ones, rescale_factor a positive one"
    )]
    Normalisation {
        /// What is wrong.
        reason: String,
    },
}

/// The formats that are read.
const READ: &str = "PNG, JPEG, WebP, GIF, BMP, TIFF";
