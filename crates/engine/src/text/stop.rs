//! Stop strings: where an answer ends, and how much of it must wait because a stop string may have begun.
//! The rules are vLLM 0.32's (`vllm/v1/engine/detokenizer.py`). It must not know tokens.

/// The stop strings of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopStrings {
    strings: Vec<String>,
    include: bool,
    hold_chars: usize,
}

/// Where a stop string was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The stop string.
    pub(super) string: String,
    /// The answer's length, in bytes, once it is cut.
    pub(super) keep: usize,
}

impl StopStrings {
    /// Stop strings; `include` leaves the one that was found in the answer. Empty strings are left out.
    #[must_use]
    pub fn new(strings: &[String], include: bool) -> Self {
        let strings: Vec<String> = strings.iter().filter(|string| !string.is_empty()).cloned().collect();
        let longest = strings.iter().map(|string| string.chars().count()).max().unwrap_or(0);
        Self { strings, include, hold_chars: if include { 0 } else { longest.saturating_sub(1) } }
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// Whether the stop string stays in the answer.
    pub(super) fn include(&self) -> bool {
        self.include
    }

    /// The stop string that ends first in `text`, of which the last `new_chars` characters are new. Of two that end at
    /// the same place the one named first wins.
    pub(super) fn find(&self, text: &str, new_chars: usize) -> Option<Found> {
        if new_chars == 0 {
            return None;
        }
        let mut best: Option<(usize, usize, &str)> = None;
        for string in &self.strings {
            let searched = new_chars + string.chars().count() - 1;
            let from = tail_start(text, searched);
            let Some(at) = text[from..].find(string.as_str()) else { continue };
            let (start, end) = (from + at, from + at + string.len());
            if best.is_none_or(|(_, best_end, _)| end < best_end) {
                best = Some((start, end, string));
            }
        }
        best.map(|(start, end, string)| Found {
            string: string.to_owned(),
            keep: if self.include { end } else { start },
        })
    }

    /// How many bytes of `text` may be shown while more is to come.
    pub(super) fn showable(&self, text: &str) -> usize {
        tail_start(text, self.hold_chars)
    }
}

/// Where the last `chars` characters of a text begin, in bytes.
fn tail_start(text: &str, chars: usize) -> usize {
    if chars == 0 {
        return text.len();
    }
    text.char_indices().rev().nth(chars - 1).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(strings: &[&str], include: bool) -> StopStrings {
        StopStrings::new(&strings.iter().map(|string| (*string).to_owned()).collect::<Vec<_>>(), include)
    }

    #[test]
    fn the_string_that_ends_first_is_found() {
        let check = |strings: &[&str], text: &str, new_chars, expected: Option<(&str, usize)>| {
            let found = stops(strings, false).find(text, new_chars);
            assert_eq!(found.as_ref().map(|found| (found.string.as_str(), found.keep)), expected, "{strings:?} {text}");
        };
        check(&["a"], " da", 3, Some(("a", 2)));
        check(&["a"], " da", 0, None);
        check(&["bc", "abcd"], "xabcd", 5, Some(("bc", 2)));
        check(&["cd", "bcd"], "abcd", 4, Some(("cd", 2)));
        check(&["bcd", "cd"], "abcd", 4, Some(("bcd", 1)));
        // Text before the new characters counts only as the beginning of a stop string.
        check(&["ab"], "ab ab", 1, Some(("ab", 3)));
        check(&["ab"], "ab c", 1, None);
        check(&["图片"], "请描述图片", 1, Some(("图片", "请描述".len())));
    }

    #[test]
    fn what_may_become_a_stop_string_waits() {
        let check = |strings: &[&str], include, text: &str, expected: &str| {
            assert_eq!(&text[..stops(strings, include).showable(text)], expected);
        };
        check(&[], false, "abc", "abc");
        check(&["x"], false, "abc", "abc");
        check(&["xyz", "x"], false, "abc", "a");
        check(&["xyz"], true, "abc", "abc");
        check(&["四个字符"], false, "图片", "");
        check(&["四个字符"], false, "请描述图片", "请描");
    }
}
