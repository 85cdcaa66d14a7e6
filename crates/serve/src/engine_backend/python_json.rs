//! Why a text is no JSON, in the words and at the place that Python's decoder gives, as FastAPI hands them on. Pure.

/// What is wrong and at which character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadJson {
    pub(super) words: &'static str,
    pub(super) at: usize,
}

/// What a value stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Object,
    Array,
}

/// The first fault of a text that has one. `None`: Python would read it.
pub(super) fn fault(text: &str) -> Option<BadJson> {
    // Python counts characters, the scan bytes.
    let fault = Scan { text: text.as_bytes(), at: 0 }.document().err()?;
    let before = text.as_bytes().get(..fault.at).unwrap_or_default();
    let at = before.iter().filter(|byte| (**byte as i8) >= -0x40).count();
    Some(BadJson { at, ..fault })
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), BadJson> {
        let mut open: Vec<Inside> = Vec::new();
        self.space();
        // One turn for each value; containers are a list and not recursion, so that depth costs nothing.
        loop {
            let opened = match self.peek() {
                Some(b'{') => Some(Inside::Object),
                Some(b'[') => Some(Inside::Array),
                _ => None,
            };
            match opened {
                Some(Inside::Object) => {
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b'}') {
                        open.push(Inside::Object);
                        self.key()?;
                        continue;
                    }
                    self.at += 1;
                }
                Some(Inside::Array) => {
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(b']') {
                        open.push(Inside::Array);
                        continue;
                    }
                    self.at += 1;
                }
                None => self.scalar()?,
            }
            if self.after_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here and stands at the next value; whether the document is whole.
    fn after_value(&mut self, open: &mut Vec<Inside>) -> Result<bool, BadJson> {
        loop {
            self.space();
            let Some(inside) = open.last().copied() else {
                return if self.at == self.text.len() { Ok(true) } else { Err(self.bad("Extra data")) };
            };
            match (self.peek(), inside) {
                (Some(b','), Inside::Array) => {
                    self.at += 1;
                    self.space();
                    return Ok(false);
                }
                (Some(b','), Inside::Object) => {
                    self.at += 1;
                    self.space();
                    self.key()?;
                    return Ok(false);
                }
                (Some(b']'), Inside::Array) | (Some(b'}'), Inside::Object) => {
                    self.at += 1;
                    open.pop();
                }
                _ => return Err(self.bad("Expecting ',' delimiter")),
            }
        }
    }

    /// A key and its colon; stands at the value.
    fn key(&mut self) -> Result<(), BadJson> {
        if self.peek() != Some(b'"') {
            return Err(self.bad("Expecting property name enclosed in double quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.bad("Expecting ':' delimiter"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), BadJson> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let words = ["null", "true", "false", "NaN", "Infinity", "-Infinity"];
        let rest = self.text.get(self.at..).unwrap_or_default();
        if let Some(word) = words.iter().find(|word| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            return Ok(());
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => {
                self.at = start;
                return Err(self.bad("Expecting value"));
            }
        }
        // What does not belong to the number is left for the next look.
        if self.peek() == Some(b'.') && self.digit_at(self.at + 1) {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.text.get(self.at + 1), Some(b'+' | b'-')));
            if self.digit_at(self.at + 1 + sign) {
                self.at += 1 + sign;
                self.digits();
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(BadJson { words: "Unterminated string starting at", at: start }),
                Some(b'"') => break,
                Some(b'\\') => self.escape(start)?,
                Some(control) if control < b' ' => return Err(self.bad("Invalid control character at")),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self, start: usize) -> Result<(), BadJson> {
        match self.text.get(self.at + 1) {
            None => Err(BadJson { words: "Unterminated string starting at", at: start }),
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.text.iter().skip(self.at + 2).take(4).filter(|digit| digit.is_ascii_hexdigit());
                if digits.count() < 4 {
                    return Err(BadJson { words: "Invalid \\uXXXX escape", at: self.at + 1 });
                }
                self.at += 6;
                Ok(())
            }
            Some(_) => Err(self.bad("Invalid \\escape")),
        }
    }

    fn digits(&mut self) {
        while self.digit_at(self.at) {
            self.at += 1;
        }
    }

    fn digit_at(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(u8::is_ascii_digit)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn bad(&self, words: &'static str) -> BadJson {
        BadJson { words, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_places_are_pythons() {
        // Expected: json.loads of Python 3.12.
        let check =
            |text: &str, words: &'static str, at| assert_eq!(fault(text), Some(BadJson { words, at }), "{text}");
        check("", "Expecting value", 0);
        check("{\"model\": ", "Expecting value", 10);
        check("{x", "Expecting property name enclosed in double quotes", 1);
        check("{\"a\":1,}", "Expecting property name enclosed in double quotes", 7);
        check("[1,]", "Expecting value", 3);
        check("{\"a\" 1}", "Expecting ':' delimiter", 5);
        check("{\"图\":1 \"b\"}", "Expecting ',' delimiter", 7);
        check("[1 2]", "Expecting ',' delimiter", 3);
        check("\"abc", "Unterminated string starting at", 0);
        check("[\"a\\", "Unterminated string starting at", 1);
        check("\"a\nb\"", "Invalid control character at", 2);
        check("\"\\q\"", "Invalid \\escape", 1);
        check("\"\\u12\"", "Invalid \\uXXXX escape", 2);
        check("1 2", "Extra data", 2);
        check("1.x", "Extra data", 1);
        check("-", "Expecting value", 0);
        let deep = format!("{}1", "[".repeat(100_000));
        check(&deep, "Expecting ',' delimiter", 100_001);
        for whole in ["{}", "[]", " [1, -0.5e+3, {\"a\": [null, true, NaN]}, \"\\u56fe\\n\"] "] {
            assert_eq!(fault(whole), None, "{whole}");
        }
    }
}
