//! One credential file, and the fields of the objects in it.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::jwt::json_type;
use crate::{Error, ServiceAccountName};

/// Far more than a credential file needs, in bytes.
const MAX_SIZE: u64 = 1 << 20;

pub(super) const SOURCE: &str = "source_credentials";
const IMPERSONATION: &str = "service_account_impersonation";

/// The lifetimes that Google's libraries accept in a file, in seconds.
const LIFETIMES: RangeInclusive<u64> = 600..=43_200;

/// A JSON object, and where it comes from.
#[derive(Debug)]
pub(super) struct CredentialFile {
    object: Map<String, Value>,
    origin: Box<str>,
}

impl CredentialFile {
    pub(super) fn parse(bytes: &[u8], origin: &str) -> Result<Self, Error> {
        if bytes.len() as u64 > MAX_SIZE {
            return Err(invalid_file(origin, format_args!("must have at most {MAX_SIZE} bytes")));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self { object, origin: origin.into() }),
            Ok(other) => {
                let got = json_type(&other);
                Err(invalid_file(origin, format_args!("must contain a JSON object, got {got}")))
            }
            // The text of a parse error may contain a part of the file, so only its position is shown.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let problem = format_args!("must contain JSON, got an error at line {line}, column {column}");
                Err(invalid_file(origin, problem))
            }
        }
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { object: &self.object, origin: &self.origin, depth: 0, section: "" }
    }
}

/// Returns the content of the file at `path`, or a part of it that is too long to be one.
pub(super) fn read_content(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |error: std::io::Error| {
        invalid_file(&path.display().to_string(), format_args!("can't be read: {error}"))
    };
    let mut content = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_SIZE + 1).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

fn invalid_file(origin: &str, problem: std::fmt::Arguments<'_>) -> Error {
    Error::invalid("credential file", format!("{origin} {problem}"))
}

/// The fields of one object in a credential file. Errors name the file and the field, and contain no
/// values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    origin: &'a str,
    /// How many source's credentials this object is in.
    depth: usize,
    /// The path to this object from the credentials that contain it. Empty for the credentials.
    section: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Returns whether a field has a value.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// Returns a value; `None` if it is missing or null.
    fn value(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// Returns a string that must exist.
    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, Error> {
        self.optional_text(field)?.ok_or_else(|| self.invalid(field, "must be a string, got nothing"))
    }

    /// Returns a string that may be missing, but not empty.
    pub(super) fn optional_text(&self, field: &'static str) -> Result<Option<&'a str>, Error> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(self.invalid(field, "must not be an empty string"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(field, "a string", other)),
        }
    }

    /// Returns a string that may be missing or empty.
    #[cfg(feature = "credential-files")]
    pub(super) fn text_or_empty(&self, field: &'static str) -> Result<Option<&'a str>, Error> {
        match self.value(field) {
            Some(Value::String(text)) if text.is_empty() => Ok(Some("")),
            _ => self.optional_text(field),
        }
    }

    /// Returns whether a field is true. A missing one isn't.
    #[cfg_attr(
        not(all(feature = "credential-files", feature = "_tls")),
        allow(dead_code, reason = "only certificates need it")
    )]
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, Error> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong_type(field, "true or false", other)),
        }
    }

    /// Returns strings by their names. A missing object is empty.
    #[cfg(feature = "credential-files")]
    pub(super) fn texts_by_name(&self, field: &'static str) -> Result<Vec<(&'a str, &'a str)>, Error> {
        let items = match self.value(field) {
            None => return Ok(Vec::new()),
            Some(Value::Object(items)) => items,
            Some(other) => return Err(self.wrong_type(field, "an object of strings", other)),
        };
        let text = |(name, item): (&'a String, &'a Value)| match item {
            Value::String(text) => Ok((name.as_str(), text.as_str())),
            other => Err(self.wrong_type(field, "an object of strings", other)),
        };
        items.iter().map(text).collect()
    }

    /// Returns a whole number of `unit`s in this range, which may be missing.
    pub(super) fn whole_number(
        &self,
        field: &'static str,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> Result<Option<u64>, Error> {
        let number = match self.value(field) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(other) => return Err(self.wrong_type(field, "a number", other)),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (least, most) = (range.start(), range.end());
                let expectation = format!("must be a whole number of {unit} from {least} to {most}");
                Err(self.invalid(field, expectation))
            }
        }
    }

    /// Returns an object in this one, which may be missing. `path` leads to it from the credentials:
    /// its last part is the name of the field.
    pub(super) fn section(&self, path: &'static str) -> Result<Option<Fields<'a>>, Error> {
        let field = path.rsplit('.').next().unwrap_or(path);
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Fields { object, section: path, ..*self })),
            Some(other) => Err(self.wrong_type(field, "an object", other)),
        }
    }

    /// Returns a list of strings. A missing list is empty.
    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<&'a str>, Error> {
        let items = match self.value(field) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong_type(field, "a list of strings", other)),
        };
        let text = |(index, item): (usize, &'a Value)| match item {
            Value::String(text) if !text.is_empty() => Ok(text.as_str()),
            _ => Err(self.invalid(format!("{field}[{index}]"), "must be a string that isn't empty")),
        };
        items.iter().enumerate().map(text).collect()
    }

    /// Returns the delegates, whose names may have any form.
    pub(super) fn delegates(&self) -> Result<Vec<ServiceAccountName>, Error> {
        let parse = |(index, name): (usize, &str)| {
            name.parse().map_err(|_| {
                let expectation =
                    "must be an e-mail address, a unique id or the full name of a service account";
                self.invalid(format!("delegates[{index}]"), expectation)
            })
        };
        self.texts("delegates")?.into_iter().enumerate().map(parse).collect()
    }

    /// Returns the lifetime of impersonated tokens, if the file sets one.
    ///
    /// Google's libraries know this field only in external account files.
    pub(super) fn lifetime(&self) -> Result<Option<Duration>, Error> {
        let Some(impersonation) = self.section(IMPERSONATION)? else { return Ok(None) };
        let seconds = impersonation.whole_number("token_lifetime_seconds", LIFETIMES, "seconds")?;
        Ok(seconds.map(Duration::from_secs))
    }

    /// Returns the fields of the source's credentials.
    pub(super) fn source(&self) -> Result<Fields<'a>, Error> {
        match self.value(SOURCE) {
            None => Err(self.invalid(SOURCE, "must be an object, got nothing")),
            Some(Value::Object(object)) => Ok(Fields { object, depth: self.depth + 1, ..*self }),
            Some(other) => Err(self.wrong_type(SOURCE, "an object with the source's credentials", other)),
        }
    }

    fn wrong_type(&self, field: &'static str, expected: &str, got: &Value) -> Error {
        self.invalid(field, format!("must be {expected}, got {}", json_type(got)))
    }

    /// Returns the error for an invalid `field`. `expectation` says what it must be.
    pub(super) fn invalid(
        &self,
        field: impl Into<Cow<'static, str>>,
        expectation: impl Into<Cow<'static, str>>,
    ) -> Error {
        self.locate(Error::invalid(field, expectation))
    }

    /// Adds the file and the path to this object to an error that names a field.
    pub(super) fn locate(&self, error: Error) -> Error {
        let section = if self.section.is_empty() { String::new() } else { format!("{}.", self.section) };
        error.in_file(self.origin).in_object(&(format!("{SOURCE}.").repeat(self.depth) + &section))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: &str = "service_account_impersonation.token_lifetime_seconds";

    fn parse(content: &[u8]) -> Result<CredentialFile, Error> {
        CredentialFile::parse(content, "key.json")
    }

    fn assert_named(error: &Error, field: &str) {
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.to_string().contains("key.json"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
    }

    /// conf: M28
    #[test]
    fn content_that_is_not_a_json_object_of_credible_size_is_refused() {
        let deep = "[".repeat(100_000);
        let huge = vec![b' '; MAX_SIZE as usize + 1];
        for content in [
            &b""[..],
            b"hidden",
            b"\"hidden\"",
            b"{\"type\":\"hid",
            b"\xff\xfehidden",
            b"[]",
            deep.as_bytes(),
            &huge,
        ] {
            assert_named(&parse(content).unwrap_err(), "credential file");
        }
    }

    /// conf: P56
    #[test]
    fn missing_delegates_equal_an_empty_list_and_their_order_is_kept() {
        for content in ["{}", r#"{"delegates":[]}"#, r#"{"delegates":null}"#] {
            let file = parse(content.as_bytes()).unwrap();
            assert_eq!(file.fields().delegates().unwrap(), []);
        }
        let file = parse(br#"{"delegates":["b@p.com","projects/-/serviceAccounts/a@p.com","123"]}"#).unwrap();
        let delegates = file.fields().delegates().unwrap();
        let accounts: Vec<&str> = delegates.iter().map(ServiceAccountName::account).collect();
        assert_eq!(accounts, ["b@p.com", "a@p.com", "123"]);
    }

    /// conf: P53, P58
    #[test]
    fn a_field_of_the_wrong_type_or_range_is_named() {
        let lists = |file: &CredentialFile| file.fields().delegates().map(drop);
        let lifetime = |file: &CredentialFile| file.fields().lifetime().map(drop);
        let source = |file: &CredentialFile| file.fields().source().map(drop);
        type Read = fn(&CredentialFile) -> Result<(), Error>;
        let cases: [(&str, &str, Read); 13] = [
            (r#"{"delegates":"hidden"}"#, "delegates", lists),
            (r#"{"delegates":{"hidden":1}}"#, "delegates", lists),
            (r#"{"delegates":["a@b.c",7]}"#, "delegates[1]", lists),
            (r#"{"delegates":["a@b.c",""]}"#, "delegates[1]", lists),
            (r#"{"delegates":["hidden"]}"#, "delegates[0]", lists),
            (r#"{"service_account_impersonation":"hidden"}"#, IMPERSONATION, lifetime),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":"hidden"}}"#, LIFETIME, lifetime),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":599}}"#, LIFETIME, lifetime),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":43201}}"#, LIFETIME, lifetime),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":-1}}"#, LIFETIME, lifetime),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":600.5}}"#, LIFETIME, lifetime),
            (r#"{}"#, SOURCE, source),
            (r#"{"source_credentials":"key.json"}"#, SOURCE, source),
        ];
        for (content, field, read) in cases {
            assert_named(&read(&parse(content.as_bytes()).unwrap()).unwrap_err(), field);
        }
        let inner = parse(br#"{"source_credentials":{"source_credentials":{}}}"#).unwrap();
        let error = inner.fields().source().and_then(|source| source.source()?.text("type")).unwrap_err();
        assert_named(&error, "source_credentials.source_credentials.type");
    }

    /// conf: G61
    #[test]
    fn a_file_may_set_the_lifetime() {
        for (content, seconds) in [
            ("{}", None),
            (r#"{"service_account_impersonation":null}"#, None),
            (r#"{"service_account_impersonation":{}}"#, None),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":600}}"#, Some(600)),
            (r#"{"service_account_impersonation":{"token_lifetime_seconds":43200}}"#, Some(43200)),
        ] {
            let lifetime = parse(content.as_bytes()).unwrap().fields().lifetime().unwrap();
            assert_eq!(lifetime, seconds.map(Duration::from_secs), "{content}");
        }
    }
}
