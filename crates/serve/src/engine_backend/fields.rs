//! The fields of a request's body, read one by one; what is of a wrong type is refused in the words of pydantic, which
//! vLLM hands on. Pure.

use serde_json::{Map, Value};

use super::python_json;
use crate::validate::ApiError;

/// The fields of one body and the faults found so far.
pub(super) struct Fields {
    object: Map<String, Value>,
    /// Where the object stands: `body`.
    place: String,
    faults: Vec<Fault>,
}

/// How pydantic calls what a field is not, and its words for it.
pub(super) type Kind = (&'static str, &'static str);
pub(super) const NO_LIST: Kind = ("list_type", "Input should be a valid list");
pub(super) const NO_STRING: Kind = ("string_type", "Input should be a valid string");
const NO_MODEL: Kind = ("model_attributes_type", "Input should be a valid dictionary or object to extract fields from");

/// One field that cannot be used.
struct Fault {
    kind: &'static str,
    place: String,
    words: String,
    input: String,
}

impl Fields {
    /// Reads a body.
    pub(super) fn of(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(object)) => Ok(Self { object, place: "body".into(), faults: Vec::new() }),
            Ok(other) => Err(refused(&[Fault {
                kind: NO_MODEL.0,
                place: "body".into(),
                words: NO_MODEL.1.into(),
                input: shown(&other),
            }])),
            Err(error) => Err(no_json(body, &error)),
        }
    }

    /// A field as it is; null is none.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    /// Takes a field out, whole.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.object.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    /// Notes that a field must be there and is not.
    pub(super) fn missing(&mut self, name: &str) {
        let input = format!("<dict of {} items>", self.object.len());
        self.fault("missing", name, "Field required", input);
    }

    /// Notes that a field is of none of the kinds that it may have.
    pub(super) fn none_of(&mut self, name: &'static str, value: &Value, kinds: &[Kind]) {
        kinds.iter().for_each(|(kind, words)| self.fault(kind, name, words, shown(value)));
    }

    /// Reads the fields of an object in this one.
    pub(super) fn within<T: Default>(&mut self, name: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        match self.value(name).cloned() {
            None => T::default(),
            Some(Value::Object(object)) => {
                let place = format!("{}.{name}", self.place);
                let mut inner = Self { object, place, faults: Vec::new() };
                let read = read(&mut inner);
                self.faults.append(&mut inner.faults);
                read
            }
            Some(other) => {
                self.none_of(name, &other, &[NO_MODEL]);
                T::default()
            }
        }
    }

    pub(super) fn integer(&mut self, name: &'static str) -> Option<i64> {
        let value = self.value(name)?.clone();
        let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
        let (read, kind, words) = match &value {
            Value::Number(number) => (
                number.as_i64().or_else(|| number.as_f64().and_then(whole)),
                "int_from_float",
                "Input should be a valid integer, got a number with a fractional part",
            ),
            Value::String(text) => (
                text.trim().parse().ok(),
                "int_parsing",
                "Input should be a valid integer, unable to parse string as an integer",
            ),
            _ => (None, "int_type", "Input should be a valid integer"),
        };
        if read.is_none() {
            self.fault(kind, name, words, shown(&value));
        }
        read
    }

    pub(super) fn number(&mut self, name: &'static str) -> Option<f64> {
        let value = self.value(name)?.clone();
        let (read, kind, words) = match &value {
            Value::Number(number) => (number.as_f64(), "float_type", "Input should be a valid number"),
            Value::String(text) => (
                text.trim().parse().ok(),
                "float_parsing",
                "Input should be a valid number, unable to parse string as a number",
            ),
            _ => (None, "float_type", "Input should be a valid number"),
        };
        if read.is_none() {
            self.fault(kind, name, words, shown(&value));
        }
        read
    }

    pub(super) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?.clone();
        let word = match &value {
            Value::Bool(read) => return Some(*read),
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.to_lowercase(),
            _ => {
                self.fault("bool_type", name, "Input should be a valid boolean", shown(&value));
                return None;
            }
        };
        match word.as_str() {
            "1" | "1.0" | "true" | "t" | "on" | "yes" | "y" => Some(true),
            "0" | "0.0" | "false" | "f" | "off" | "no" | "n" => Some(false),
            _ => {
                let words = "Input should be a valid boolean, unable to interpret input";
                self.fault("bool_parsing", name, words, shown(&value));
                None
            }
        }
    }

    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.value(name)?.clone() {
            Value::String(text) => Some(text),
            other => {
                self.none_of(name, &other, &[NO_STRING]);
                None
            }
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&mut self, name: &'static str) -> Vec<String> {
        match self.value(name).cloned() {
            None => Vec::new(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => {
                let mut texts = Vec::with_capacity(items.len());
                for (at, item) in items.into_iter().enumerate() {
                    match item {
                        Value::String(text) => texts.push(text),
                        other => {
                            let place = format!("{name}.{at}");
                            self.fault("string_type", &place, "Input should be a valid string", shown(&other));
                        }
                    }
                }
                texts
            }
            Some(other) => {
                self.none_of(name, &other, &[NO_STRING, NO_LIST]);
                Vec::new()
            }
        }
    }

    /// A list of whole numbers.
    pub(super) fn integers(&mut self, name: &'static str) -> Vec<i64> {
        let items = self.list(name);
        let mut read = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match item.as_i64() {
                Some(number) => read.push(number),
                None => {
                    let place = format!("{name}.{at}");
                    self.fault("int_type", &place, "Input should be a valid integer", shown(item));
                }
            }
        }
        read
    }

    /// A list of anything.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.none_of(name, &other, &[NO_LIST]);
                Vec::new()
            }
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &'static str) -> Map<String, Value> {
        match self.take(name) {
            None => Map::new(),
            Some(Value::Object(object)) => object,
            Some(other) => {
                self.fault("dict_type", name, "Input should be a valid dictionary", shown(&other));
                Map::new()
            }
        }
    }

    /// The faults, if there are any.
    pub(super) fn finish(&self) -> Result<(), ApiError> {
        if self.faults.is_empty() { Ok(()) } else { Err(refused(&self.faults)) }
    }

    fn fault(&mut self, kind: &'static str, name: &str, words: &str, input: String) {
        self.faults.push(Fault { kind, place: format!("{}.{name}", self.place), words: words.to_owned(), input });
    }
}

fn refused(faults: &[Fault]) -> ApiError {
    let many = if faults.len() == 1 { "" } else { "s" };
    let mut message = format!("{} validation error{many}:", faults.len());
    for Fault { kind, place, words, input } in faults {
        message.push_str(&format!("\n  {{'type': '{kind}', 'loc': '{place}', 'msg': '{words}', 'input': '{input}'}}"));
    }
    ApiError::new(400, "Bad Request", message, faults.first().map(|fault| fault.place.as_str()))
}

fn no_json(body: &[u8], error: &serde_json::Error) -> ApiError {
    let text = String::from_utf8_lossy(body);
    // A number too large or a nesting too deep for this program only: its own words.
    let own = error.to_string();
    let (at, words) = match python_json::fault(&text) {
        Some(fault) => (fault.at, fault.words),
        None => (0, own.as_str()),
    };
    let message = format!(
        "1 validation error:\n  {{'type': 'json_invalid', 'loc': 'body.{at}', 'msg': 'JSON decode error', 'input': \
         '<dict of 0 items>', 'ctx': {{'error': '{words}'}}}}"
    );
    ApiError::new(400, "Bad Request", message, Some(&format!("body.{at}")))
}

/// A value as Python shows it, without what is in it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.chars().take(100).collect(),
        Value::Array(items) => format!("<list of {} items>", items.len()),
        Value::Object(object) => format!("<dict of {} items>", object.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_as_recorded() {
        // The bodies that vLLM 0.32.0 replied with.
        let check = |error: Option<ApiError>, want: &str| assert_eq!(error.unwrap().body.to_string(), want);
        check(
            Fields::of(b"{\"model\": ").err(),
            r#"{"error":{"message":"1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.10', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting value'}}","type":"Bad Request","param":"body.10","code":400}}"#,
        );
        let mut fields = Fields::of(br#"{"model":"m","max_tokens":4}"#).unwrap();
        fields.missing("messages");
        check(
            fields.finish().err(),
            r#"{"error":{"message":"1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required', 'input': '<dict of 2 items>'}","type":"Bad Request","param":"body.messages","code":400}}"#,
        );
        let mut fields = Fields::of(br#"{"stop":5}"#).unwrap();
        fields.texts("stop");
        check(
            fields.finish().err(),
            r#"{"error":{"message":"2 validation errors:\n  {'type': 'string_type', 'loc': 'body.stop', 'msg': 'Input should be a valid string', 'input': '5'}\n  {'type': 'list_type', 'loc': 'body.stop', 'msg': 'Input should be a valid list', 'input': '5'}","type":"Bad Request","param":"body.stop","code":400}}"#,
        );
    }

    #[test]
    fn types_are_read_as_pydantic_reads_them() {
        let body = br#"{"a":"5","b":5.0,"c":5.5,"d":"x","e":1,"f":"maybe","g":null,"h":[1,"x"]}"#;
        let mut fields = Fields::of(body).unwrap();
        assert_eq!((fields.integer("a"), fields.integer("b"), fields.integer("g")), (Some(5), Some(5), None));
        assert_eq!((fields.number("a"), fields.boolean("e")), (Some(5.0), Some(true)));
        assert!(fields.finish().is_ok());
        assert_eq!((fields.integer("c"), fields.number("d"), fields.boolean("f")), (None, None, None));
        assert_eq!(fields.integers("h"), [1]);
        assert_eq!(fields.faults.len(), 4);
    }
}
