//! Lines of a log as a terminal would show them: colours, carriage returns, byte-order marks and logger prefixes
//! are dealt with here. It must not know what a benchmark block or an answer is.

/// A cleaned line and where it stood (from 1; pieces that were divided by `\r` share the number of their line).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
}

/// Where a marker stood on its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// What follows the marker.
    pub(super) rest: &'a str,
    /// Nothing but white space stood before it (else something that looks like a logger's prefix).
    pub(super) clean: bool,
}

/// Splits at `\n` and `\r\n`; a `\r` inside a line (progress bars) divides it further. A text without any `\n` is
/// taken as lines that end in `\r`. U+2028 and its kin end no line: answers of a model may hold them.
pub(super) fn split(text: &str) -> Vec<Line> {
    let ending = if text.contains('\n') { '\n' } else { '\r' };
    let mut lines = Vec::new();
    for (index, whole) in text.split(ending).enumerate() {
        for piece in whole.trim_end_matches('\r').split('\r') {
            lines.push(Line { number: index + 1, text: clean(piece) });
        }
    }
    lines
}

/// The first place where `marker` stands at the start of the line or after a logger's prefix.
pub(super) fn find<'a>(line: &'a str, marker: &str) -> Option<Found<'a>> {
    line.match_indices(marker).find_map(|(at, _)| {
        let before = line.get(..at)?;
        let clean = before.trim().is_empty();
        let rest = line.get(at + marker.len()..)?;
        (clean || looks_like_log_prefix(before)).then_some(Found { rest, clean })
    })
}

/// `label`, then optional space, then a colon: what follows the colon.
pub(super) fn find_label<'a>(line: &'a str, label: &str) -> Option<Found<'a>> {
    let found = find(line, label)?;
    let rest = found.rest.trim_start().strip_prefix(':')?;
    Some(Found { rest, ..found })
}

/// A bar of the usual progress printers: `45%|████      | 9/20 [00:01<00:02]`.
pub(super) fn is_progress(line: &str) -> bool {
    line.contains("%|")
}

/// How many `=` make up the line, when it holds nothing else (a logger's prefix before 20 or more is overlooked).
pub(super) fn rule_width(line: &str) -> Option<usize> {
    let line = line.trim();
    let body = line.trim_start_matches(|c| c != '=');
    let width = body.len();
    let only_rule = width > 0 && body.bytes().all(|b| b == b'=');
    let prefix = line.get(..line.len() - width)?;
    (only_rule && (prefix.is_empty() || (width >= 20 && looks_like_log_prefix(prefix)))).then_some(width)
}

/// Whether the text before a marker can come from a logger, a container tool or a progress bar: it ends in a
/// bracket or another divider, in the name of a level, or in a word with digits (time, process).
fn looks_like_log_prefix(before: &str) -> bool {
    let trimmed = before.trim_end();
    if trimmed.ends_with([']', ')', '|', '>', ':', '-', '#', '*']) {
        return true;
    }
    if trimmed.len() == before.len() {
        return false;
    }
    let word = trimmed.split_whitespace().next_back().unwrap_or_default();
    let level = matches!(
        word.to_ascii_uppercase().as_str(),
        "TRACE" | "DEBUG" | "INFO" | "WARN" | "WARNING" | "ERROR" | "CRITICAL" | "STDOUT" | "F"
    );
    level || word.bytes().filter(u8::is_ascii_digit).count() >= 2
}

/// Without escape sequences, control characters (tabs stay), a byte-order mark at the start, and space at the end.
fn clean(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut chars = piece.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_csi(&mut chars),
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: a control sequence, an operating-system command (window title, link), or one more character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next_if(|c| c.is_ascii()) {
        Some('[') => skip_csi(chars),
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some('(' | ')') => {
            chars.next_if(char::is_ascii);
        }
        _ => {}
    }
}

/// Parameters and intermediate bytes 0x20–0x3F, then one final byte 0x40–0x7E (ECMA-48, 5.4).
fn skip_csi(chars: &mut Chars<'_>) {
    while chars.next_if(|c| ('\u{20}'..='\u{3f}').contains(c)).is_some() {}
    chars.next_if(|c| ('\u{40}'..='\u{7e}').contains(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, String)> {
        split(text).into_iter().map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn lines_are_what_a_terminal_shows() {
        let check = |text: &str, expected: &[(usize, &str)]| {
            let expected: Vec<_> = expected.iter().map(|(n, t)| (*n, (*t).to_owned())).collect();
            assert_eq!(texts(text), expected, "{text:?}");
        };
        check("a  \r\nb", &[(1, "a"), (2, "b")]);
        check("\u{feff}a\n\u{feff}b", &[(1, "a"), (2, "b")]);
        check("a\rb\rc\nd", &[(1, "a"), (1, "b"), (1, "c"), (2, "d")]);
        check("a\rb", &[(1, "a"), (2, "b")]);
        check("\u{1b}[1;32ma\u{1b}[0m\n", &[(1, "a"), (2, "")]);
        check("\u{1b}]0;title\u{7}a\u{1b}(Bb", &[(1, "ab")]);
        check("\u{1b}]8;;x\u{1b}\\a", &[(1, "a")]);
        check("a\u{1b}[", &[(1, "a")]);
        check("a\u{1b}[3\u{4e2d}", &[(1, "a\u{4e2d}")]);
        check("a\u{2028}b\tc\n", &[(1, "a\u{2028}b\tc"), (2, "")]);
    }

    #[test]
    fn a_marker_may_follow_a_logger_but_not_prose() {
        let check = |line: &str, expected: Option<bool>| {
            let found = find_label(line, "Mean X (ms)").map(|found| found.clean);
            assert_eq!(found, expected, "{line:?}");
        };
        check("Mean X (ms): 1", Some(true));
        check("  Mean X (ms) : 1", Some(true));
        check("2026-01-01 12:00:00 INFO  Mean X (ms):   81.17", Some(false));
        check("[bench] Mean X (ms): 1", Some(false));
        check("bench-1  | Mean X (ms): 1", Some(false));
        check("# Mean X (ms): 1", Some(false));
        check("12:00:00.123 Mean X (ms): 1", Some(false));
        check("8/8 [00:01<00:00]Mean X (ms): 1", Some(false));
        check("our Mean X (ms): 1", None);
        check("Old99Mean X (ms): 1", None);
        check("Mean X (ms)", None);
    }

    #[test]
    fn rules_are_made_of_equal_signs() {
        let check = |line: &str, expected: Option<usize>| {
            assert_eq!(rule_width(line), expected, "{line:?}");
        };
        check("==========", Some(10));
        check("2026-01-01 12:00:00 INFO ====================", Some(20));
        check("INFO =====", None);
        check("==== a ====", None);
        check("", None);
        check("a", None);
    }
}
