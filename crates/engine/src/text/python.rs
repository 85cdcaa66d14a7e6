//! How Python prints numbers and JSON, for templates and messages that have to read as the original's.

use std::fmt::Write;

use serde_json::Value;

/// `repr` of a Python float: shortest digits that give the value back, an exponent below 1e-4 and from 1e16.
pub(crate) fn float_repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let scientific = format!("{value:e}");
    let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    if value == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let mantissa = scientific.split_once('e').map_or(scientific.as_str(), |(mantissa, _)| mantissa);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The settings of `json.dumps` that templates use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dumps {
    /// Escape everything outside ASCII.
    pub(crate) ascii: bool,
    /// Spaces for each level; `None` is one line.
    pub(crate) indent: Option<usize>,
    /// Between items, and between a key and its value.
    pub(crate) separators: Option<(String, String)>,
    /// Sort keys.
    pub(crate) sort_keys: bool,
}

/// `json.dumps` of Python's standard library.
pub(crate) fn dumps(value: &Value, settings: &Dumps) -> String {
    let mut out = String::new();
    write_value(value, settings, 0, &mut out);
    out
}

fn write_value(value: &Value, settings: &Dumps, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => out.push_str(&float_repr(float)),
            None => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_string(text, settings.ascii, out),
        Value::Array(items) => {
            write_group(('[', ']'), items.iter(), settings, depth, out, |item, out| {
                write_value(item, settings, depth + 1, out);
            });
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            if settings.sort_keys {
                entries.sort_by_key(|(key, _)| key.as_str());
            }
            let colon = settings.separators.as_ref().map_or(": ", |(_, colon)| colon);
            write_group(('{', '}'), entries.into_iter(), settings, depth, out, |(key, value), out| {
                write_string(key, settings.ascii, out);
                out.push_str(colon);
                write_value(value, settings, depth + 1, out);
            });
        }
    }
}

/// The brackets, separators and line ends around items.
fn write_group<T>(
    (open, close): (char, char),
    items: impl ExactSizeIterator<Item = T>,
    settings: &Dumps,
    depth: usize,
    out: &mut String,
    mut item: impl FnMut(T, &mut String),
) {
    let between = settings.separators.as_ref().map_or(if settings.indent.is_some() { "," } else { ", " }, |s| &s.0);
    let line = |depth: usize, out: &mut String| {
        if let Some(indent) = settings.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let count = items.len();
    out.push(open);
    for (at, each) in items.enumerate() {
        if at > 0 {
            out.push_str(between);
        }
        line(depth + 1, out);
        item(each, out);
    }
    if count > 0 {
        line(depth, out);
    }
    out.push(close);
}

fn write_string(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            letter if (letter as u32) < 0x20 || (ascii && (letter as u32) > 0x7e) => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_read_as_pythons() {
        // Expected: repr() of CPython 3.12.
        let check = |value: f64, expected: &str| assert_eq!(float_repr(value), expected);
        check(-1.0, "-1.0");
        check(0.0, "0.0");
        check(0.1, "0.1");
        check(2.5, "2.5");
        check(1e-4, "0.0001");
        check(1e-5, "1e-05");
        check(1.5e-7, "1.5e-07");
        check(1e15, "1000000000000000.0");
        check(1e16, "1e+16");
        check(1.25e100, "1.25e+100");
        check(f64::INFINITY, "inf");
        check(f64::NAN, "nan");
    }

    #[test]
    fn json_reads_as_pythons() {
        // Expected: json.dumps() of CPython 3.12.
        let value = serde_json::json!({"b": [1, 2.0, null, true], "a": {"图": "é\n\"\u{1}😀"}, "c": [], "d": {}});
        let check = |settings: Dumps, expected: &str| assert_eq!(dumps(&value, &settings), expected);
        check(
            Dumps::default(),
            "{\"b\": [1, 2.0, null, true], \"a\": {\"图\": \"é\\n\\\"\\u0001😀\"}, \"c\": [], \"d\": {}}",
        );
        check(
            Dumps { ascii: true, sort_keys: true, ..Dumps::default() },
            "{\"a\": {\"\\u56fe\": \"\\u00e9\\n\\\"\\u0001\\ud83d\\ude00\"}, \"b\": [1, 2.0, null, true], \"c\": [], \
             \"d\": {}}",
        );
        check(
            Dumps { indent: Some(2), ..Dumps::default() },
            "{\n  \"b\": [\n    1,\n    2.0,\n    null,\n    true\n  ],\n  \"a\": {\n    \"图\": \
             \"é\\n\\\"\\u0001😀\"\n  },\n  \"c\": [],\n  \"d\": {}\n}",
        );
        check(
            Dumps { separators: Some((",".into(), ":".into())), ..Dumps::default() },
            "{\"b\":[1,2.0,null,true],\"a\":{\"图\":\"é\\n\\\"\\u0001😀\"},\"c\":[],\"d\":{}}",
        );
    }
}
