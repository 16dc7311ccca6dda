use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::ApiError;

/// A JSON object read field by field, so that an error names the field and repeats nothing of it.
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// Before the names in errors: `messages[2].`.
    prefix: String,
}

impl<'a> Fields<'a> {
    pub(super) fn new(value: &'a Value, place: &str) -> Result<Self, ApiError> {
        let object = value.as_object().ok_or_else(|| {
            let place = if place.is_empty() { "body" } else { place };
            ApiError::invalid(place, "must be an object")
        })?;
        let prefix = if place.is_empty() {
            String::new()
        } else {
            format!("{place}.")
        };
        Ok(Self { object, prefix })
    }

    /// `null` is as good as left out.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|it| !it.is_null())
    }

    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn wrong(&self, name: &str, reason: &str) -> ApiError {
        ApiError::invalid(self.place(name), reason)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    pub(super) fn text(&self, name: &str, longest: usize) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= longest => Ok(Some(text)),
            Some(Value::String(_)) => {
                Err(self.wrong(name, &format!("must have at most {longest} characters")))
            }
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    pub(super) fn number(&self, name: &str, range: RangeInclusive<f32>) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value.as_f64().map(|it| it as f32);
        match number.filter(|it| range.contains(it)) {
            Some(number) => Ok(Some(number)),
            None => {
                let reason = format!("must be a number from {} to {}", range.start(), range.end());
                Err(self.wrong(name, &reason))
            }
        }
    }

    pub(super) fn whole(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.as_i64().filter(|it| range.contains(it)) {
            Some(number) => Ok(Some(number)),
            None => {
                let reason = format!("must be a whole number from {} to {}", range.start(), range.end());
                Err(self.wrong(name, &reason))
            }
        }
    }

    /// How many tokens at most. More than a machine can hold is the most that it can; -1 is as good, since clients of
    /// llama-server write it for "no limit".
    pub(super) fn limit(&self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        if value.as_f64() == Some(-1.0) {
            return Ok(Some(usize::MAX));
        }
        let number = value.as_u64().map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        match number.filter(|it| *it >= 1) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(name, "must be a whole number, at least 1, or -1 for no limit")),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.object
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.as_str(), value))
    }
}
