//! Fields of a JSON object, one by one, so that a refusal names the field. `null` is as good as missing.
//! It must not know what the fields mean.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::model::Error;

/// The JSON object in a file.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = fs::read_to_string(path).map_err(|reason| Error::Read { path: path.to_owned(), reason })?;
    serde_json::from_str(&text).map_err(|error| Error::Json { path: path.to_owned(), reason: error.to_string() })
}

/// An object of a configuration file.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    file: &'static str,
    /// What stands before a field's name in messages: "" or "vision_config.".
    place: String,
    object: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(file: &'static str, place: &str, object: &'a Map<String, Value>) -> Self {
        Self { file, place: place.to_owned(), object }
    }

    /// An error about a field.
    pub(crate) fn refuse(&self, field: &str, allowed: String) -> Error {
        let given = self.get(field).map_or_else(|| "missing".to_owned(), ToString::to_string);
        Error::Setting { file: self.file, field: format!("{}{field}", self.place), given, allowed }
    }

    /// Refuses the field unless `holds`.
    pub(crate) fn check(&self, field: &str, holds: bool, allowed: impl FnOnce() -> String) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(self.refuse(field, allowed())) }
    }

    pub(crate) fn object(&self, field: &str) -> Result<Option<Fields<'a>>, Error> {
        self.read(field, "an object is needed", |value| {
            let object = value.as_object()?;
            Some(Self { file: self.file, place: format!("{}{field}.", self.place), object })
        })
    }

    /// A size that must be there.
    pub(crate) fn size(&self, field: &str, max: usize) -> Result<usize, Error> {
        self.size_or(field, None, max)?.ok_or_else(|| self.refuse(field, format!("1 to {max} is needed")))
    }

    /// A size from 1 to `max`, else `default`.
    pub(crate) fn size_or(&self, field: &str, default: Option<usize>, max: usize) -> Result<Option<usize>, Error> {
        let found = self.read(field, &format!("1 to {max} is needed"), |value| {
            whole(value).filter(|size| (1..=max).contains(size))
        })?;
        Ok(found.or(default))
    }

    pub(crate) fn sizes(&self, field: &str) -> Result<Option<Vec<usize>>, Error> {
        self.read(field, "a list of numbers is needed", |value| value.as_array()?.iter().map(whole).collect())
    }

    /// A finite number over 0, else `default`.
    pub(crate) fn positive(&self, field: &str, default: f64) -> Result<f64, Error> {
        let found =
            self.read(field, "a number over 0 is needed", |value| value.as_f64().filter(|number| *number > 0.0))?;
        Ok(found.unwrap_or(default))
    }

    pub(crate) fn flag(&self, field: &str) -> Result<Option<bool>, Error> {
        self.read(field, "true or false is needed", Value::as_bool)
    }

    pub(crate) fn string(&self, field: &str) -> Result<Option<String>, Error> {
        self.read(field, "a string is needed", |value| value.as_str().map(str::to_owned))
    }

    /// A list of strings; empty if it is missing.
    pub(crate) fn strings(&self, field: &str) -> Result<Vec<String>, Error> {
        let found = self.read(field, "a list of strings is needed", |value| {
            value.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// A token id.
    pub(crate) fn id(&self, field: &str) -> Result<Option<u32>, Error> {
        self.read(field, "a token id is needed", |value| u32::try_from(value.as_u64()?).ok())
    }

    /// Refuses the field if it is there and none of `allowed`.
    pub(crate) fn one_of(&self, field: &str, allowed: &[&str]) -> Result<(), Error> {
        match self.string(field)? {
            Some(value) if !allowed.contains(&value.as_str()) => {
                Err(self.refuse(field, format!("{} is needed", allowed.join(" or "))))
            }
            _ => Ok(()),
        }
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        field: &str,
        allowed: &str,
        take: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.get(field).map(|value| take(value).ok_or_else(|| self.refuse(field, allowed.to_owned()))).transpose()
    }
}

/// A whole number, also if it was written as `4.0`.
fn whole(value: &Value) -> Option<usize> {
    let rounded = || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
    value.as_u64().or_else(|| rounded().map(|number| number as u64)).and_then(|size| usize::try_from(size).ok())
}
