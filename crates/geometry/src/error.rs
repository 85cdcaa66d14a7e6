//! Everything that this crate refuses, in words a user can act on.
//! It must not know how a message is shown.

use crate::resize::{ASPECT_RATIO_MAX, SIDE_MAX};

/// Why a size or a setting was refused: what was given, what is allowed, what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A side of the picture is 0.
    #[error("picture of {width}x{height} px: each side must be at least 1 px; check that the file is whole")]
    EmptyPicture {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A side of the picture is longer than [`SIDE_MAX`].
    #[error("picture of {width}x{height} px: a side may be at most {SIDE_MAX} px; use a smaller picture")]
    PictureTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The long side is more than [`ASPECT_RATIO_MAX`] times the short one.
    #[error(
        "picture of {width}x{height} px: the long side may be at most {ASPECT_RATIO_MAX} times the short one \
         (Qwen-VL servers refuse more); crop or pad the picture"
    )]
    AspectRatio {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A setting is out of its range.
    #[error("{name} = {given}: allowed is {least} to {most}; check preprocessor_config.json or the flag that set it")]
    Setting {
        /// Name of the setting as in `preprocessor_config.json`.
        name: &'static str,
        /// The value given.
        given: u64,
        /// Least value allowed.
        least: u64,
        /// Greatest value allowed.
        most: u64,
    },
    /// The text is not the JSON object that was expected.
    #[error("{file} cannot be read: {reason}; expected is the JSON object published with the model")]
    Json {
        /// Name of the file whose text it is.
        file: &'static str,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// The files name no family, or one whose geometry is not known here.
    #[error(
        "model family {given}: known are qwen2_vl, qwen2_5_vl and qwen3_vl; \
         check model_type in config.json"
    )]
    UnknownFamily {
        /// What the files say, `not stated` if nothing.
        given: String,
    },
}
