//! Which model family a checkpoint belongs to, by the names in its files.
//! It must not know sizes or limits: those are the preprocessor's.

use std::fmt;

use serde::Deserialize;

use crate::Error;

/// A family of models that share one rule from picture size to image tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Qwen2-VL: patches of 14 px.
    Qwen2Vl,
    /// Qwen2.5-VL: patches of 14 px.
    Qwen2_5Vl,
    /// Qwen3-VL, dense and mixture of experts: patches of 16 px.
    Qwen3Vl,
}

impl Family {
    /// All families, oldest first.
    pub const ALL: [Self; 3] = [Self::Qwen2Vl, Self::Qwen2_5Vl, Self::Qwen3Vl];

    /// The family of a `model_type` in `config.json`; `None` if it is not one of these.
    #[must_use]
    pub fn from_model_type(model_type: &str) -> Option<Self> {
        match model_type {
            "qwen2_vl" => Some(Self::Qwen2Vl),
            "qwen2_5_vl" => Some(Self::Qwen2_5Vl),
            "qwen3_vl" | "qwen3_vl_moe" => Some(Self::Qwen3Vl),
            _ => None,
        }
    }

    /// The family that the text of a `config.json` states.
    ///
    /// # Errors
    /// [`Error::Json`] if the text is no JSON object, [`Error::UnknownFamily`] if
    /// its `model_type` is missing or not one of these.
    pub fn from_config_json(text: &str) -> Result<Self, Error> {
        let config: Config = serde_json::from_str(text)
            .map_err(|error| Error::Json { file: "config.json", reason: error.to_string() })?;
        let model_type = config.model_type.unwrap_or_else(|| "not stated".to_owned());
        Self::from_model_type(&model_type).ok_or(Error::UnknownFamily { given: model_type })
    }

    /// The `model_type` of the family, as in `config.json`.
    #[must_use]
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2Vl => "qwen2_vl",
            Self::Qwen2_5Vl => "qwen2_5_vl",
            Self::Qwen3Vl => "qwen3_vl",
        }
    }

    /// The family of a class name in `preprocessor_config.json`
    /// (`processor_class` or `image_processor_type`, with or without `Fast`).
    ///
    /// Qwen2.5-VL and Qwen3-VL files name Qwen2-VL's image processor, so
    /// `processor_class` has to be asked first.
    pub(crate) fn from_class(class: &str) -> Option<Self> {
        let family = |prefix: &str| class.starts_with(prefix);
        if family("Qwen2VL") {
            Some(Self::Qwen2Vl)
        } else if family("Qwen2_5_VL") {
            Some(Self::Qwen2_5Vl)
        } else if family("Qwen3VL") {
            Some(Self::Qwen3Vl)
        } else {
            None
        }
    }
}

impl fmt::Display for Family {
    /// The name people use: `Qwen2.5-VL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Qwen2Vl => "Qwen2-VL",
            Self::Qwen2_5Vl => "Qwen2.5-VL",
            Self::Qwen3Vl => "Qwen3-VL",
        })
    }
}

/// The one field of `config.json` that is read.
#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_type_names_the_family() {
        for family in Family::ALL {
            assert_eq!(Family::from_model_type(family.model_type()), Some(family));
        }
        assert_eq!(Family::from_model_type("qwen3_vl_moe"), Some(Family::Qwen3Vl));
        assert_eq!(Family::from_model_type("qwen2_audio"), None);
    }

    #[test]
    fn class_names_the_family() {
        let check = |class, expected| assert_eq!(Family::from_class(class), expected, "{class}");
        check("Qwen2VLProcessor", Some(Family::Qwen2Vl));
        check("Qwen2VLImageProcessorFast", Some(Family::Qwen2Vl));
        check("Qwen2_5_VLProcessor", Some(Family::Qwen2_5Vl));
        check("Qwen3VLProcessor", Some(Family::Qwen3Vl));
        check("CLIPImageProcessor", None);
    }

    #[test]
    fn config_json_states_the_family() {
        let check = |text, expected| assert_eq!(Family::from_config_json(text), expected, "{text}");
        let unknown = |given: &str| Err(Error::UnknownFamily { given: given.to_owned() });
        check(r#"{"model_type": "qwen2_5_vl", "x": [1]}"#, Ok(Family::Qwen2_5Vl));
        check(r#"{"model_type": "llava"}"#, unknown("llava"));
        check(r#"{"model_type": null}"#, unknown("not stated"));
        check("{}", unknown("not stated"));
        assert!(matches!(Family::from_config_json("[]"), Err(Error::Json { file: "config.json", .. })));
    }
}
