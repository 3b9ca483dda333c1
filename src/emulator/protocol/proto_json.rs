//! The JSON form of protocol buffers.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use crate::emulator::error::{ApiError, shorten};
use crate::json_duration;
use crate::jwt::json_type;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// How every complaint about a body begins.
const INVALID: &str = "Invalid JSON payload received.";

/// The fields of a message. Reading a field removes it.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body. An empty body has no fields.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(_) => Err(invalid_payload("", "Root element must be a message.")),
            // The error contains the line and the column, but no part of the text.
            Err(error) => Err(invalid_payload("", &format!("Expected JSON: {error}."))),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<String, ApiError> {
        match self.take(name)? {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(invalid_value(name, "TYPE_STRING", &other)),
        }
    }

    /// Returns a list. One text stands for a list of it: Google's open-source transcoder accepts that.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let list = match self.take(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(Value::String(text)) => return Ok(vec![text]),
            Some(other) => return Err(invalid_value(name, "repeated TYPE_STRING", &other)),
        };
        let text = |(index, value)| match value {
            Value::String(text) => Ok(text),
            other => Err(invalid_value(&format!("{name}[{index}]"), "TYPE_STRING", &other)),
        };
        list.into_iter().enumerate().map(text).collect()
    }

    /// Returns a flag. The texts `true` and `false` count too: Google's open-source transcoder accepts them.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name)? {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(Value::String(text)) if text == "true" || text == "false" => Ok(text == "true"),
            Some(other) => Err(invalid_value(name, "TYPE_BOOL", &other)),
        }
    }

    pub(crate) fn bytes(&mut self, name: &str) -> Result<Vec<u8>, ApiError> {
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => base64(&text).ok_or_else(|| {
                ApiError::invalid_field(
                    name,
                    &format!("Invalid value at '{name}' (TYPE_BYTES), Base64 decoding failed"),
                )
            }),
            Some(other) => Err(invalid_value(name, "TYPE_BYTES", &other)),
        }
    }

    pub(crate) fn duration(&mut self, name: &str) -> Result<Option<prost_types::Duration>, ApiError> {
        const TYPE: &str = "type.googleapis.com/google.protobuf.Duration";
        match self.take(name)? {
            None => Ok(None),
            Some(Value::String(text)) => match json_duration::parse(&text) {
                Some(duration) => Ok(Some(duration)),
                None => Err(invalid_value(name, TYPE, &Value::String(text))),
            },
            Some(other) => Err(invalid_value(name, TYPE, &other)),
        }
    }

    /// Returns a message, which is `null` if it is absent.
    pub(crate) fn message(&mut self, name: &str) -> Result<Value, ApiError> {
        match self.take(name)? {
            None => Ok(Value::Null),
            Some(Value::Object(message)) => Ok(Value::Object(message)),
            Some(other) => Err(invalid_value(name, "a message", &other)),
        }
    }

    /// Returns an error if fields are left, because the message has no such fields. It names all of them.
    pub(crate) fn finish(&self) -> Result<(), ApiError> {
        let unknown =
            |name: &String| format!("{INVALID} Unknown name \"{}\": Cannot find field.", shorten(name));
        let problems: Vec<_> = self.0.keys().map(|name| ("", unknown(name))).collect();
        if problems.is_empty() { Ok(()) } else { Err(ApiError::invalid_fields(&problems)) }
    }

    /// Removes and returns the value with this name, in camelCase or in snake_case. `null` counts as
    /// absent.
    fn take(&mut self, camel: &str) -> Result<Option<Value>, ApiError> {
        let value = self.0.remove(camel);
        let snake = snake_case(camel);
        if snake != camel
            && let Some(other) = self.0.remove(&snake)
        {
            if value.is_some() {
                let problem = format!("Field '{camel}' is set twice, as \"{camel}\" and as \"{snake}\".");
                return Err(invalid_payload(camel, &problem));
            }
            return Ok(Some(other).filter(|value| !value.is_null()));
        }
        Ok(value.filter(|value| !value.is_null()))
    }
}

fn invalid_payload(field: &str, problem: &str) -> ApiError {
    ApiError::invalid_field(field, &format!("{INVALID} {problem}"))
}

/// The journal keeps the message, so it doesn't contain lists and objects: they may be a payload.
fn invalid_value(field: &str, kind: &str, value: &Value) -> ApiError {
    let shown = match value {
        Value::Array(_) | Value::Object(_) => json_type(value).to_owned(),
        value => shorten(&value.to_string()),
    };
    ApiError::invalid_field(field, &format!("Invalid value at '{field}' ({kind}), {shown}"))
}

fn snake_case(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// Decodes base64, standard or URL-safe, with padding or without.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    if text.contains(['-', '_']) { URL_SAFE.decode(text).ok() } else { STANDARD.decode(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn names_come_in_both_cases_and_null_is_absent() {
        assert!(fields(r#"{"includeEmail": true}"#).flag("includeEmail").unwrap());
        assert!(fields(r#"{"include_email": true}"#).flag("includeEmail").unwrap());
        assert!(!fields(r#"{"includeEmail": null}"#).flag("includeEmail").unwrap());
        assert_eq!(fields(" ").text("name").unwrap(), "");
        let twice = fields(r#"{"includeEmail": true, "include_email": true}"#).flag("includeEmail");
        assert!(twice.unwrap_err().message().contains("twice"));
    }

    #[test]
    fn wrong_types_and_unknown_fields_are_refused_by_name() {
        for (json, says) in [
            (r#"{"name": 7}"#, "'name'"),
            (r#"{"scope": 1}"#, "'scope'"),
            (r#"{"scope": {"one": 1}}"#, "'scope'"),
            (r#"{"scope": ["one", 2]}"#, "'scope[1]'"),
            (r#"{"includeEmail": "yes"}"#, "'includeEmail'"),
            (r#"{"includeEmail": 1}"#, "'includeEmail'"),
            (r#"{"payload": "*"}"#, "'payload'"),
            (r#"{"lifetime": 3600}"#, "'lifetime'"),
            (r#"{"lifetime": "3600"}"#, "'lifetime'"),
            (r#"{"color": 1}"#, "\"color\""),
        ] {
            let mut fields = fields(json);
            let read = fields
                .text("name")
                .and_then(|_| fields.texts("scope").map(drop))
                .and_then(|()| fields.flag("includeEmail").map(drop))
                .and_then(|()| fields.bytes("payload").map(drop))
                .and_then(|()| fields.duration("lifetime").map(drop))
                .and_then(|()| fields.finish());
            let error = read.expect_err(json);
            assert!(error.message().contains(says), "{json}: {}", error.message());
        }
        for body in ["{", "[]", "7", "{\"a\":1}x", "\u{feff}{}", "nul"] {
            Fields::parse(body.as_bytes()).expect_err(body);
        }
        let deep = "[".repeat(100_000);
        Fields::parse(deep.as_bytes()).expect_err("deep");
    }

    #[test]
    fn a_text_is_a_list_of_one_and_flags_come_as_text() {
        assert_eq!(fields(r#"{"scope": "one"}"#).texts("scope").unwrap(), ["one"]);
        assert!(fields(r#"{"includeEmail": "true"}"#).flag("includeEmail").unwrap());
        assert!(!fields(r#"{"includeEmail": "false"}"#).flag("includeEmail").unwrap());
    }

    #[test]
    fn all_unknown_fields_are_named_up_to_a_limit() {
        let error = fields(r#"{"a": 1, "b": 2, "c": 3}"#).finish().unwrap_err();
        let line = |name| format!("{INVALID} Unknown name \"{name}\": Cannot find field.");
        assert_eq!(error.message(), [line("a"), line("b"), line("c")].join("\n"));
        let violations = error.to_json()["error"]["details"][0]["fieldViolations"].clone();
        assert_eq!(violations.as_array().unwrap().len(), 3, "{violations}");

        let many: Map<String, Value> = (0..10_000).map(|number| (number.to_string(), Value::Null)).collect();
        let error = Fields(many).finish().unwrap_err();
        assert!(error.message().len() < 3_000, "{}", error.message().len());
    }

    #[test]
    fn base64_comes_in_both_alphabets() {
        for text in ["+/+/", "-_-_"] {
            assert_eq!(base64(text).unwrap(), [0xfb, 0xff, 0xbf], "{text}");
        }
        for text in ["YQ==", "YQ"] {
            assert_eq!(base64(text).unwrap(), b"a", "{text}");
        }
        assert_eq!(base64("a"), None);
        assert_eq!(base64("+_+_"), None);
    }
}
