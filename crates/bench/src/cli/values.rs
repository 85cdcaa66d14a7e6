//! The words that a flag's value may be.

use clap::ValueEnum;
use measure::{Clock, Definitions, Detail, Lang};
use serde::{Deserialize, Serialize};

/// How images travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageAs {
    /// A data URL inside the request.
    Base64,
    /// A `file://` URL of the file's absolute path.
    FileUrl,
    /// A URL that the server fetches.
    Url,
}

/// What stands first in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartOrder {
    /// Text, then images.
    TextFirst,
    /// Images, then text.
    ImageFirst,
}

/// Name of the field that limits the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// The older name, known everywhere.
    MaxTokens,
    /// OpenAI's newer name.
    MaxCompletionTokens,
}

/// Spacing of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Random, independent (gamma-spaced with --burstiness).
    Poisson,
    /// Even.
    Constant,
}

/// What happens to an arrival over the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverCap {
    /// It waits.
    Wait,
    /// It is recorded as not sent.
    Drop,
}

/// A value of `measure` as a flag's value.
macro_rules! flag_value {
    ($(#[$meta:meta])* $name:ident => $target:ident { $($(#[$doc:meta])* $variant:ident),+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub enum $name {
            $($(#[$doc])* $variant),+
        }

        impl From<$name> for $target {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant),+
                }
            }
        }
    };
}

flag_value! {
    /// [`Detail`] on the command line.
    DetailArg => Detail {
        /// The events that bound a figure, and answers only where they are printed, graded or counted.
        Summary,
        /// Every event's time, kind and size, and the same answers.
        Stamps,
        /// Every event and every answer.
        Text
    }
}
flag_value! {
    /// [`Definitions`] on the command line.
    DefinitionsArg => Definitions {
        /// Ours.
        Standard,
        /// The older meaning.
        Vllm
    }
}
flag_value! {
    /// [`Clock`] on the command line.
    ClockArg => Clock {
        /// The kernel's receive time.
        Kernel,
        /// Our own reads.
        User
    }
}
flag_value! {
    /// [`Lang`] on the command line.
    LangArg => Lang {
        /// English.
        En,
        /// Chinese.
        Zh
    }
}
