//! One credential file, and the fields of the objects in it.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::{Error, ServiceAccountName};

/// No credential file comes near this size.
const MAX_SIZE: u64 = 1 << 20;

pub(super) const SOURCE: &str = "source_credentials";
const IMPERSONATION: &str = "service_account_impersonation";
const LIFETIME: &str = "service_account_impersonation.token_lifetime_seconds";

/// What Google's libraries take for the lifetime in a file, in seconds.
const LIFETIMES: std::ops::RangeInclusive<u64> = 600..=43_200;

/// A JSON object, and where it came from.
#[derive(Debug)]
pub(super) struct CredentialFile {
    object: Map<String, Value>,
    origin: Box<str>,
}

impl CredentialFile {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let origin = path.display().to_string();
        let failed = |error: std::io::Error| {
            Error::invalid("credential file", format!("{origin} cannot be read: {error}"))
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(failed)?;
        Self::parse(&bytes, &origin)
    }

    pub(super) fn parse(bytes: &[u8], origin: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Err(Error::invalid("credential file", format!("{origin} {problem}")));
        if bytes.len() as u64 > MAX_SIZE {
            return invalid("is too large for a credential file".to_owned());
        }
        // The words of a parse error may quote the file, so only its place is told.
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(object)) => Ok(Self { object, origin: origin.into() }),
            Ok(_) => invalid("is not a JSON object".to_owned()),
            Err(error) => {
                invalid(format!("is not JSON: error at line {}, column {}", error.line(), error.column()))
            }
        }
    }

    pub(super) fn fields(&self) -> Fields<'_> {
        Fields { object: &self.object, origin: &self.origin, depth: 0 }
    }
}

/// The fields of one object in a credential file. Errors name file and field, and show no content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    origin: &'a str,
    /// How many objects are around this one.
    depth: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn text(&self, field: &'static str) -> Result<&'a str, Error> {
        self.optional_text(field)?.ok_or_else(|| self.invalid(field, "is missing"))
    }

    pub(super) fn optional_text(&self, field: &'static str) -> Result<Option<&'a str>, Error> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(self.invalid(field, "is empty")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(field, "is not a string")),
        }
    }

    /// A list of strings; one that is missing is empty.
    pub(super) fn texts(&self, field: &'static str) -> Result<Vec<&'a str>, Error> {
        let items = match self.object.get(field) {
            None | Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.invalid(field, "is not a list")),
        };
        let text = |(index, item): (usize, &'a Value)| match item {
            Value::String(text) if !text.is_empty() => Ok(text.as_str()),
            _ => Err(self.invalid(format!("{field}[{index}]"), "is not a string with something in it")),
        };
        items.iter().enumerate().map(text).collect()
    }

    /// The accounts in between, in any form of their names.
    pub(super) fn delegates(&self) -> Result<Vec<ServiceAccountName>, Error> {
        let parse = |(index, name): (usize, &str)| {
            name.parse().map_err(|_| {
                let field = format!("delegates[{index}]");
                self.invalid(
                    field,
                    "is neither an e-mail address, a unique id nor a service account's full name",
                )
            })
        };
        self.texts("delegates")?.into_iter().enumerate().map(parse).collect()
    }

    /// The lifetime of impersonated tokens. Not in the format of Google's libraries for this type
    /// of file, but in that for external accounts.
    pub(super) fn lifetime(&self) -> Result<Option<Duration>, Error> {
        let impersonation = match self.object.get(IMPERSONATION) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(impersonation)) => impersonation,
            Some(_) => return Err(self.invalid(IMPERSONATION, "is not an object")),
        };
        match impersonation.get("token_lifetime_seconds") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(seconds)) => {
                match seconds.as_u64().filter(|seconds| LIFETIMES.contains(seconds)) {
                    Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
                    None => {
                        let (least, most) = (LIFETIMES.start(), LIFETIMES.end());
                        let problem = format!("is not a whole number of seconds between {least} and {most}");
                        Err(self.invalid(LIFETIME, problem))
                    }
                }
            }
            Some(_) => Err(self.invalid(LIFETIME, "is not a number")),
        }
    }

    /// The credentials inside these.
    pub(super) fn source(&self) -> Result<Fields<'a>, Error> {
        match self.object.get(SOURCE) {
            None | Some(Value::Null) => Err(self.invalid(SOURCE, "is missing")),
            Some(Value::Object(object)) => Ok(Fields { object, origin: self.origin, depth: self.depth + 1 }),
            Some(_) => Err(self.invalid(
                SOURCE,
                "is not an object: it holds the source's own credentials, not a file's name",
            )),
        }
    }

    /// `field` is wrong: `problem` finishes the sentence.
    pub(super) fn invalid(
        &self,
        field: impl Into<Cow<'static, str>>,
        problem: impl std::fmt::Display,
    ) -> Error {
        self.locate(Error::invalid(field, problem.to_string()))
    }

    /// Says where the field of `error` stands.
    pub(super) fn locate(&self, error: Error) -> Error {
        error.in_file(self.origin).in_object(&format!("{SOURCE}.").repeat(self.depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_no_json_object_of_sensible_size_is_refused() {
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
    fn no_delegates_and_an_empty_list_are_equal_and_order_is_kept() {
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
    fn a_lifetime_may_be_named() {
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
