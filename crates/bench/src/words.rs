//! A sentence in both languages, as the reason of an error. Which one is read is decided where it is printed.

use measure::Lang;
use std::fmt;

/// One sentence in both languages. As an error of a library's making (`Display`) it is English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    en: String,
    zh: String,
}

/// One sentence in both languages.
pub fn words(en: impl Into<String>, zh: impl Into<String>) -> Words {
    Words { en: en.into(), zh: zh.into() }
}

impl Words {
    /// The sentence in one language.
    #[must_use]
    pub fn text(&self, lang: Lang) -> &str {
        lang.pick(&self.en, &self.zh)
    }
}

/// Words of the system's, a library's or another program's: the same in both languages.
pub fn as_said(words: impl fmt::Display) -> Words {
    let said = words.to_string();
    Words { zh: said.clone(), en: said }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.en)
    }
}

impl std::error::Error for Words {}
