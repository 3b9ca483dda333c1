//! Makes credentials of what a credential file says.

use std::path::PathBuf;

use super::credential_file::Fields;
use crate::host::{DEFAULT_UNIVERSE, Trust};
use crate::source::AuthorizedUserSource;
use crate::source::SourceInfo;
use crate::source::token_endpoint::{GOOGLE_TOKEN_URI, TokenEndpoint};
use crate::{Credentials, Error, headers, scopes};

/// What the program says about all that its credential file holds.
pub(super) struct Reader {
    pub(super) trust: Trust,
    /// The universe that a client finds without being told.
    pub(super) usual_universe: Box<str>,
    /// The credential file, if it is one, and why it was chosen.
    pub(super) file: Option<PathBuf>,
    pub(super) reason: &'static str,
    pub(super) variables: fn(&str) -> Option<String>,
}

/// What the tokens of one object in the file are for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// The program's own use.
    Use {
        /// What the program asks for; `None` leaves it to the file.
        scopes: Option<&'a [Box<str>]>,
        /// The project that the program or its environment names.
        quota_project: Option<&'a str>,
    },
    /// To impersonate with: what the program asks for is the target's business.
    Impersonation,
}

impl<'a> Purpose<'a> {
    pub(super) fn scopes(self) -> Option<&'a [Box<str>]> {
        match self {
            Self::Use { scopes, .. } => scopes,
            Self::Impersonation => None,
        }
    }

    fn quota_project(self) -> Option<&'a str> {
        match self {
            Self::Use { quota_project, .. } => quota_project,
            Self::Impersonation => None,
        }
    }
}

impl Reader {
    /// Credentials of whatever type the object has.
    pub(super) fn credentials(&self, fields: Fields<'_>, purpose: Purpose<'_>) -> Result<Credentials, Error> {
        match fields.text("type")? {
            "service_account" => self.service_account(fields, purpose),
            "authorized_user" => self.authorized_user(fields, purpose),
            "impersonated_service_account" => self.impersonated(fields, purpose),
            kind @ ("external_account" | "external_account_authorized_user") => {
                fields.lifetime()?;
                Err(fields.invalid(
                    "type",
                    format!(
                        "is {kind:?} (identity federation), which this crate does not read: let the crate \
                         google-cloud-auth read it, and wrap that with Credentials::from_source"
                    ),
                ))
            }
            kind if is_name(kind) => {
                Err(fields.invalid("type", format!("is {kind:?}, which is not a known type of credentials")))
            }
            _ => Err(fields.invalid("type", "is not a known type of credentials")),
        }
    }

    /// Credentials from a service account's key.
    #[cfg(feature = "_tls")]
    pub(super) fn service_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose<'_>,
    ) -> Result<Credentials, Error> {
        use crate::source::{ServiceAccountKey, ServiceAccountSource};

        let (info, token_uri) = self.check_service_account(fields, purpose)?;
        let email = fields.text("client_email")?;
        let id = fields.optional_text("private_key_id")?;
        if !cfg!(feature = "credential-files") {
            return Err(missing_features(fields));
        }
        let key = ServiceAccountKey::new(email, id, fields.text("private_key")?)
            .ok_or_else(|| fields.invalid("private_key", "is not an RSA key in PEM form (PKCS#8)"))?;
        let scopes = purpose.scopes().map_or_else(default_scopes, Into::into);
        // Only the public universe exchanges assertions; the others take what the key itself signs.
        if info.universe_domain() != Some(DEFAULT_UNIVERSE) {
            let source = ServiceAccountSource::self_signing(key, &scopes, info);
            return Ok(Credentials::from_source(source));
        }
        let endpoint = TokenEndpoint::new(token_uri, "token_uri").map_err(|error| fields.locate(error))?;
        let source = ServiceAccountSource::exchanging(key, endpoint, token_uri, &scopes, info);
        Ok(Credentials::from_source(source))
    }

    #[cfg(not(feature = "_tls"))]
    pub(super) fn service_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose<'_>,
    ) -> Result<Credentials, Error> {
        self.check_service_account(fields, purpose)?;
        Err(missing_features(fields))
    }

    /// The key's principal and universe, and where it is exchanged for tokens.
    fn check_service_account<'a>(
        &self,
        fields: Fields<'a>,
        purpose: Purpose<'_>,
    ) -> Result<(SourceInfo, &'a str), Error> {
        if fields.text("type")? != "service_account" {
            return Err(fields.invalid("type", "is not \"service_account\""));
        }
        let principal = fields.text("client_email")?;
        fields.text("private_key")?;
        let info = self.info(fields, purpose)?.with_principal(principal);
        Ok((info, self.token_uri(fields)?))
    }

    /// Credentials from a user's consent.
    fn authorized_user(&self, fields: Fields<'_>, purpose: Purpose<'_>) -> Result<Credentials, Error> {
        let client_id = fields.text("client_id")?.into();
        let client_secret = fields.text("client_secret")?.into();
        let refresh_token = fields.text("refresh_token")?.into();
        let mut info = self.info(fields, purpose)?;
        if let Some(user) = fields.optional_text("account")? {
            info = info.with_principal(user);
        }
        let token_uri = self.token_uri(fields)?;
        let endpoint = TokenEndpoint::new(token_uri, "token_uri").map_err(|error| fields.locate(error))?;
        let scope = purpose.scopes().map(|scopes| scopes.join(" ").into());
        let source = AuthorizedUserSource { endpoint, client_id, client_secret, refresh_token, scope, info };
        Ok(Credentials::from_source(source))
    }

    fn token_uri<'a>(&self, fields: Fields<'a>) -> Result<&'a str, Error> {
        let token_uri = fields.optional_text("token_uri")?.unwrap_or(GOOGLE_TOKEN_URI);
        self.trust.check_url(token_uri, "token_uri").map_err(|error| fields.locate(error))?;
        Ok(token_uri)
    }

    /// What files of every type but impersonation may tell about their credentials.
    fn info(&self, fields: Fields<'_>, purpose: Purpose<'_>) -> Result<SourceInfo, Error> {
        let universe = self.universe(fields)?.unwrap_or(DEFAULT_UNIVERSE);
        let info = SourceInfo::new().with_universe_domain(universe).with_reason(self.reason);
        let info = match &self.file {
            Some(file) => info.with_file(file),
            None => info,
        };
        Ok(match self.quota_project(fields, purpose)? {
            Some(project) => info.with_quota_project(project),
            None => info,
        })
    }

    pub(super) fn universe<'a>(&self, fields: Fields<'a>) -> Result<Option<&'a str>, Error> {
        const FIELD: &str = "universe_domain";
        let universe = fields.optional_text(FIELD)?;
        if let Some(universe) = universe {
            self.trust.check_universe(universe, FIELD).map_err(|error| fields.locate(error))?;
        }
        Ok(universe)
    }

    pub(super) fn quota_project(
        &self,
        fields: Fields<'_>,
        purpose: Purpose<'_>,
    ) -> Result<Option<String>, Error> {
        const FIELD: &str = "quota_project_id";
        let named = fields.optional_text(FIELD)?;
        if let Some(project) = named {
            headers::quota_project(project, FIELD).map_err(|error| fields.locate(error))?;
        }
        Ok(purpose.quota_project().or(named).map(str::to_owned))
    }
}

fn missing_features(fields: Fields<'_>) -> Error {
    fields
        .invalid("type", "must not be service_account, because this build can't use keys")
        .fix_by("enable the features credential-files and tls-ring of gcp-iam-credentials")
}

pub(super) fn default_scopes() -> Box<[Box<str>]> {
    Box::new([scopes::CLOUD_PLATFORM.into()])
}

/// Whether it can be shown: the name of a type, and no secret in the wrong place.
fn is_name(kind: &str) -> bool {
    kind.len() <= 64 && kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
