//! One credential file.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::host::{self, DEFAULT_UNIVERSE};
use crate::{Credentials, Error, SourceInfo};

/// No credential file comes near this size.
const MAX_SIZE: u64 = 1 << 20;

const DEFAULT_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A JSON object, and where it came from.
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

    /// Credentials of whatever type the file has.
    pub(super) fn credentials(&self, scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        match self.text("type")? {
            "service_account" => self.service_account(scopes),
            kind @ ("authorized_user"
            | "impersonated_service_account"
            | "external_account"
            | "external_account_authorized_user") => {
                Err(self.invalid("type", format!("is {kind:?}, which is not supported here yet")))
            }
            _ => Err(self.invalid("type", "is not a known type of credentials")),
        }
    }

    /// Credentials from the file in the well-known place, where gcp_auth reads a user's as well.
    pub(super) fn well_known(&self, scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        match self.text("type")? {
            "authorized_user" => self.well_known_user(scopes),
            _ => self.credentials(scopes),
        }
    }

    #[cfg(feature = "gcp-auth")]
    fn well_known_user(&self, scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        for field in ["client_id", "client_secret", "refresh_token"] {
            self.text(field)?;
        }
        let source = crate::source::WellKnownUserSource { info: self.info()?, scopes: Arc::clone(scopes) };
        Ok(Credentials::from_source(source))
    }

    #[cfg(not(feature = "gcp-auth"))]
    fn well_known_user(&self, _scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        Err(self.invalid("type", "is \"authorized_user\", which needs this crate's feature gcp-auth"))
    }

    /// Credentials from a service account's key.
    #[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
    pub(super) fn service_account(&self, scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        let (info, token_uri) = self.check_service_account()?;
        // gcp_auth gets what has been checked, and nothing else.
        let key = serde_json::json!({
            "client_email": self.text("client_email")?,
            "private_key": self.text("private_key")?,
            "token_uri": token_uri,
            "project_id": self.optional_text("project_id")?,
        });
        let source =
            crate::source::KeyFileSource::new(&key.to_string(), &self.origin, info, Arc::clone(scopes))?;
        Ok(Credentials::from_source(source))
    }

    #[cfg(not(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc"))))]
    pub(super) fn service_account(&self, _scopes: &Arc<[Box<str>]>) -> Result<Credentials, Error> {
        self.check_service_account()?;
        Err(self.invalid(
            "type",
            "is \"service_account\", which needs this crate's features gcp-auth and tls-ring",
        ))
    }

    /// The key's principal and universe, and where it is exchanged for tokens.
    fn check_service_account(&self) -> Result<(SourceInfo, &str), Error> {
        if self.text("type")? != "service_account" {
            return Err(self.invalid("type", "is not \"service_account\""));
        }
        let principal = self.text("client_email")?;
        self.text("private_key")?;
        let info = self.info()?.principal(principal);
        let token_uri = self.optional_text("token_uri")?.unwrap_or(DEFAULT_TOKEN_URI);
        let universe = info.known_universe_domain().unwrap_or(DEFAULT_UNIVERSE);
        host::check_credential_url(token_uri, universe, "token_uri").map_err(|error| self.locate(error))?;
        Ok((info, token_uri))
    }

    /// What files of every type may tell about their credentials.
    fn info(&self) -> Result<SourceInfo, Error> {
        let universe = self.optional_text("universe_domain")?.unwrap_or(DEFAULT_UNIVERSE);
        host::check_universe(universe, "universe_domain").map_err(|error| self.locate(error))?;
        let info = SourceInfo::new().universe_domain(universe);
        Ok(match self.optional_text("quota_project_id")? {
            Some(project) => info.quota_project(project),
            None => info,
        })
    }

    fn text(&self, field: &'static str) -> Result<&str, Error> {
        self.optional_text(field)?.ok_or_else(|| self.invalid(field, "is missing"))
    }

    fn optional_text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        match self.object.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(self.invalid(field, "is empty")),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(field, "is not a string")),
        }
    }

    fn invalid(&self, field: &'static str, problem: impl std::fmt::Display) -> Error {
        Error::invalid(field, format!("in {} {problem}", self.origin))
    }

    /// Says in which file the field of `error` stands.
    fn locate(&self, error: Error) -> Error {
        error.in_file(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes() -> Arc<[Box<str>]> {
        Arc::new(["s".into()])
    }

    fn error_of(content: &[u8]) -> Error {
        let parsed = CredentialFile::parse(content, "key.json");
        parsed.and_then(|file| file.credentials(&scopes())).unwrap_err()
    }

    /// conf: M28
    #[test]
    fn a_hostile_file_is_an_error_that_names_file_and_field_and_shows_no_content() {
        let deep = "[".repeat(100_000);
        let huge = vec![b' '; MAX_SIZE as usize + 1];
        for (content, field) in [
            (&b""[..], "credential file"),
            (b"hidden", "credential file"),
            (b"\"hidden\"", "credential file"),
            (b"{\"type\":\"hid", "credential file"),
            (b"\xff\xfehidden", "credential file"),
            (deep.as_bytes(), "credential file"),
            (&huge, "credential file"),
            (b"{}", "type"),
            (br#"{"type":1}"#, "type"),
            (br#"{"type":"hidden"}"#, "type"),
            (br#"{"type":"service_account"}"#, "client_email"),
            (br#"{"type":"service_account","client_email":["hidden"]}"#, "client_email"),
            (br#"{"type":"service_account","client_email":"a@b.c"}"#, "private_key"),
            (br#"{"type":"service_account","client_email":"a@b.c","private_key":""}"#, "private_key"),
            (
                br#"{"type":"service_account","client_email":"a@b.c","private_key":{"hidden":1}}"#,
                "private_key",
            ),
        ] {
            let error = error_of(content);
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.to_string().contains("key.json"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
        }
    }

    #[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
    #[test]
    fn a_key_file_with_a_bad_value_is_refused_before_its_key_is_used() {
        let pem = "-----BEGIN PRIVATE KEY-----\\naGlkZGVu\\n-----END PRIVATE KEY-----\\n";
        for (extra, field) in [
            ("", "private_key"),
            (r#","token_uri":"https://evil.example/token""#, "token_uri"),
            (r#","token_uri":"http://oauth2.googleapis.com/token""#, "token_uri"),
            (r#","universe_domain":"evil/""#, "universe_domain"),
            (r#","quota_project_id":7"#, "quota_project_id"),
        ] {
            let json = format!(
                r#"{{"type":"service_account","client_email":"a@b.c","private_key":"{pem}"{extra}}}"#
            );
            let error = error_of(json.as_bytes());
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.to_string().contains("key.json"), "{error}");
            assert!(!format!("{error} {error:?}").contains("aGlk"), "{error:?}");
        }
    }

    /// conf: P51
    #[test]
    fn a_type_that_is_known_but_not_supported_is_named() {
        for kind in ["external_account", "external_account_authorized_user"] {
            let error = error_of(format!(r#"{{"type":"{kind}"}}"#).as_bytes());
            assert!(error.to_string().contains(kind), "{error}");
        }
    }
}
