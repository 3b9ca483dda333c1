//! Creates credentials from the content of a credential file.

use std::path::PathBuf;

use super::credential_file::Fields;
use super::settings::Settings;
use crate::host::DEFAULT_UNIVERSE;
use crate::source::token_endpoint::{GOOGLE_TOKEN_URI, TokenEndpoint};
use crate::source::{AuthorizedUserSource, SourceInfo, TokenKind};
use crate::{Credentials, Error, headers, scopes};

const SERVICE_ACCOUNT: &str = "service_account";

/// How one type of file is read, or any type.
pub(super) type Read = fn(&Reader, Fields<'_>, Purpose) -> Result<Credentials, Error>;

/// Reads one credential file.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) settings: Settings,
    /// The file, if the content comes from one.
    pub(super) path: Option<PathBuf>,
    /// Why this file is used.
    pub(super) reason: &'static str,
}

/// What the credentials in one object of the file are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The program uses them, with the scopes and the quota project of its settings.
    Program,
    /// They impersonate an account. The settings are for that account's tokens.
    Impersonation,
}

impl Reader {
    /// Reads an object of any supported type.
    pub(super) fn credentials(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        match fields.text("type")? {
            SERVICE_ACCOUNT => self.service_account(fields, purpose),
            "authorized_user" => self.authorized_user(fields, purpose),
            "impersonated_service_account" => self.impersonated_service_account(fields, purpose),
            "external_account" => self.external_account(fields, purpose),
            "external_account_authorized_user" => self.workforce_user(fields, purpose),
            kind @ "gdch_service_account" => {
                let expectation =
                    format!("must be a supported type, got {kind:?} (Google Distributed Cloud)");
                Err(fields.invalid("type", expectation).fix_by(
                    "read the file with the crate google-cloud-auth, and pass its tokens to \
                     `Credentials::from_source`",
                ))
            }
            kind if is_type_name(kind) => {
                Err(fields.invalid("type", format!("must be a known type of credentials, got {kind:?}")))
            }
            _ => Err(fields.invalid("type", "must be a known type of credentials")),
        }
    }

    /// Reads a service account's key, and no object of another type.
    pub(super) fn service_account(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        if fields.text("type")? != SERVICE_ACCOUNT {
            return Err(fields.invalid("type", format!("must be {SERVICE_ACCOUNT:?}")));
        }
        let info = self.info(fields, purpose)?.with_principal(fields.text("client_email")?);
        fields.text("private_key")?;
        let token_uri = self.token_uri(fields)?;
        self.key_source(fields, purpose, info, token_uri)
    }

    #[cfg(feature = "_tls")]
    fn key_source(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
        info: SourceInfo,
        token_uri: &str,
    ) -> Result<Credentials, Error> {
        use crate::source::{ServiceAccountKey, ServiceAccountSource};

        if !cfg!(feature = "credential-files") {
            return Err(keys_not_supported(fields));
        }
        let email = fields.text("client_email")?;
        let id = fields.optional_text("private_key_id")?;
        let key = ServiceAccountKey::new(email, id, fields.text("private_key")?)
            .ok_or_else(|| fields.invalid("private_key", "must be an RSA key in PEM form (PKCS#8)"))?;
        let scopes = self.requested_scopes(purpose).map_or_else(default_scopes, <[String]>::to_vec);
        // Only the public universe exchanges assertions. In the others, the key signs the tokens.
        let source = if info.universe_domain() == Some(DEFAULT_UNIVERSE) {
            let endpoint = self.token_endpoint(fields, token_uri)?;
            ServiceAccountSource::exchanging(key, endpoint, token_uri, &scopes, info)
        } else {
            ServiceAccountSource::self_signing(key, &scopes, info)
        };
        Ok(Credentials::from_source(source))
    }

    #[cfg(not(feature = "_tls"))]
    fn key_source(
        &self,
        fields: Fields<'_>,
        _purpose: Purpose,
        _info: SourceInfo,
        _token_uri: &str,
    ) -> Result<Credentials, Error> {
        Err(keys_not_supported(fields))
    }

    /// Reads a user's login.
    fn authorized_user(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        let client_id = fields.text("client_id")?.into();
        let client_secret = fields.text("client_secret")?.into();
        let refresh_token = fields.text("refresh_token")?.into();
        let mut info = self.info(fields, purpose)?;
        if let Some(user) = fields.optional_text("account")? {
            info = info.with_principal(user);
        }
        let token_uri = self.token_uri(fields)?;
        let endpoint = self.token_endpoint(fields, token_uri)?;
        let scope = self.requested_scopes(purpose).map(|scopes| scopes.join(" ").into());
        let source = AuthorizedUserSource { endpoint, client_id, client_secret, refresh_token, scope, info };
        Ok(Credentials::from_source(source))
    }

    fn token_uri<'a>(&self, fields: Fields<'a>) -> Result<&'a str, Error> {
        let token_uri = fields.optional_text("token_uri")?.unwrap_or(GOOGLE_TOKEN_URI);
        self.settings.trust.check_url(token_uri, "token_uri").map_err(|error| fields.locate(error))?;
        Ok(token_uri)
    }

    fn token_endpoint(&self, fields: Fields<'_>, token_uri: &str) -> Result<TokenEndpoint, Error> {
        TokenEndpoint::new(&self.settings.http, token_uri, "token_uri").map_err(|error| fields.locate(error))
    }

    /// Returns what keys and logins have in common.
    pub(super) fn info(&self, fields: Fields<'_>, purpose: Purpose) -> Result<SourceInfo, Error> {
        let universe = self.universe(fields)?.unwrap_or(DEFAULT_UNIVERSE);
        let mut info = SourceInfo::new()
            .with_universe_domain(universe)
            .with_reason(self.reason)
            .with_token_kind(TokenKind::AccessToken);
        if let Some(path) = &self.path {
            info = info.with_file(path);
        }
        if let Some(project) = self.quota_project(fields, purpose)? {
            info = info.with_quota_project(project);
        }
        Ok(info)
    }

    /// Returns the universe that the object names.
    pub(super) fn universe<'a>(&self, fields: Fields<'a>) -> Result<Option<&'a str>, Error> {
        const FIELD: &str = "universe_domain";
        let universe = fields.optional_text(FIELD)?;
        if let Some(universe) = universe {
            self.settings.trust.check_universe(universe, FIELD).map_err(|error| fields.locate(error))?;
        }
        Ok(universe)
    }

    /// Returns the quota project of the settings, else the one that the object names.
    pub(super) fn quota_project<'a>(
        &'a self,
        fields: Fields<'a>,
        purpose: Purpose,
    ) -> Result<Option<&'a str>, Error> {
        const FIELD: &str = "quota_project_id";
        let named = fields.optional_text(FIELD)?;
        if let Some(project) = named {
            headers::quota_project(project, FIELD).map_err(|error| fields.locate(error))?;
        }
        let set = self.settings.quota_project.as_deref().filter(|_| purpose == Purpose::Program);
        Ok(set.or(named))
    }

    /// Returns the scopes of the settings.
    pub(super) fn requested_scopes(&self, purpose: Purpose) -> Option<&[String]> {
        self.settings.scopes.as_deref().filter(|_| purpose == Purpose::Program)
    }
}

/// The replacement in builds that can't exchange tokens.
#[cfg(not(feature = "credential-files"))]
impl Reader {
    fn external_account(&self, fields: Fields<'_>, _purpose: Purpose) -> Result<Credentials, Error> {
        let kind = fields.text("type")?;
        let expectation = format!("must not be {kind:?}, because this build can't exchange tokens");
        let error = fields.invalid("type", expectation);
        Err(error.fix_by("enable the feature credential-files of gcp-iam-credentials"))
    }

    fn workforce_user(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        self.external_account(fields, purpose)
    }
}

fn keys_not_supported(fields: Fields<'_>) -> Error {
    let expectation = format!("must not be {SERVICE_ACCOUNT:?}, because this build can't use keys");
    fields
        .invalid("type", expectation)
        .fix_by("enable the features credential-files and tls-ring (or tls-aws-lc) of gcp-iam-credentials")
}

pub(super) fn default_scopes() -> Vec<String> {
    vec![scopes::CLOUD_PLATFORM.to_owned()]
}

/// Whether errors may show it: it looks like the name of a type, and not like a misplaced secret.
fn is_type_name(kind: &str) -> bool {
    kind.len() <= 64 && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
