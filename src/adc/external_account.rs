//! Credential files of the type `external_account`.

mod aws;
#[cfg(feature = "_tls")]
pub(super) mod certificate;
#[cfg(not(feature = "_tls"))]
mod certificate_unavailable;
mod subject_tokens;
mod supplied;

use super::credential_file::Fields;
use super::reader::{Purpose, Reader};
use super::target::Target;
use crate::host::{DEFAULT_UNIVERSE, Service};
use crate::source::SourceInfo;
use crate::source::external::{self, ExternalAccount, ExternalAccountSource, OauthClient};
use crate::source::token_endpoint::TokenEndpoint;
use crate::sts_protocol::{TOKEN_PATH, is_workforce_audience};
use crate::{Credentials, Error, Impersonation, headers, scopes};

const AUDIENCE: &str = "audience";
const TOKEN_TYPE: &str = "subject_token_type";
const TOKEN_URL: &str = "token_url";
const TOKEN_INFO_URL: &str = "token_info_url";
const USER_PROJECT: &str = "workforce_pool_user_project";

/// Far more than the name of a provider or of a type needs, in bytes.
const MAX_NAME: usize = 1024;

impl Reader {
    /// Reads a federated identity, and the account that it impersonates, if there is one.
    pub(super) fn external_account(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
    ) -> Result<Credentials, Error> {
        let scopes = self.target_scopes(fields, purpose)?;
        match self.optional_target(fields)? {
            None => {
                fields.lifetime()?;
                let info = self.info(fields, purpose)?;
                self.federated_identity(fields, None, &scopes, info)
            }
            Some(target) => {
                let source = self.federated_source(fields, &target)?;
                let impersonation = self.impersonation_by_federated(fields, purpose, &target, source)?;
                impersonation.access_token(&scopes).map_err(|error| fields.locate(error))
            }
        }
    }

    /// Reads the identity that impersonates `target`, which the object names.
    pub(super) fn federated_source(&self, fields: Fields<'_>, target: &Target) -> Result<Credentials, Error> {
        let info = self.info(fields, Purpose::Impersonation)?;
        self.federated_identity(fields, Some(target), &[scopes::IAM.to_owned()], info)
    }

    /// Reads the impersonation of `target` by `source`.
    pub(super) fn impersonation_by_federated(
        &self,
        fields: Fields<'_>,
        purpose: Purpose,
        target: &Target,
        source: Credentials,
    ) -> Result<Impersonation, Error> {
        let universe = self.universe(fields)?.unwrap_or(DEFAULT_UNIVERSE);
        self.for_identity(fields)?.impersonation(fields, purpose, target, source, universe)
    }

    /// Reads the identity itself.
    fn federated_identity(
        &self,
        fields: Fields<'_>,
        target: Option<&Target>,
        scopes: &[String],
        info: SourceInfo,
    ) -> Result<Credentials, Error> {
        let account = self.account(fields)?;
        let account = account.described_by(self.settings.provider_description.as_ref())?;
        let reader = self.for_identity(fields)?;
        let endpoint = reader.sts_endpoint(fields, info.universe_domain().unwrap_or(DEFAULT_UNIVERSE))?;
        let subject_tokens = reader.subject_tokens(fields, &account, target)?;
        let impersonation = match target {
            Some(_) => Some(external::Impersonation { has_lifetime: fields.lifetime()?.is_some() }),
            None => None,
        };
        let source =
            ExternalAccountSource::new(account, subject_tokens, endpoint, scopes, impersonation, info);
        Ok(Credentials::from_source(source))
    }

    /// Reads what the token service learns about the identity.
    fn account(&self, fields: Fields<'_>) -> Result<ExternalAccount, Error> {
        let audience = fields.text(AUDIENCE)?;
        let subject_token_type = fields.text(TOKEN_TYPE)?;
        let problems =
            [(AUDIENCE, name_problem(audience)), (TOKEN_TYPE, token_type_problem(subject_token_type))];
        if let Some((field, problem)) = problems.into_iter().find_map(|(field, it)| Some((field, it?))) {
            return Err(fields.invalid(field, problem));
        }
        let user_project = fields.optional_text(USER_PROJECT)?;
        if let Some(project) = user_project {
            headers::quota_project(project, USER_PROJECT).map_err(|error| fields.locate(error))?;
            if !is_workforce_audience(audience) {
                let expectation = "must not be set, because `audience` isn't in a workforce pool";
                return Err(fields.invalid(USER_PROJECT, expectation));
            }
        }
        Ok(ExternalAccount {
            audience: audience.into(),
            subject_token_type: subject_token_type.into(),
            client: client(fields)?,
            user_project: user_project.map(Into::into),
            description: None,
        })
    }

    fn sts_endpoint(&self, fields: Fields<'_>, universe: &str) -> Result<TokenEndpoint, Error> {
        self.sts_url(fields, TOKEN_INFO_URL)?;
        let host = match self.shows_certificate() {
            true => Service::Sts.mtls_host(universe),
            false => Service::Sts.host(universe),
        };
        let usual = format!("https://{host}{TOKEN_PATH}");
        // The universe has been checked.
        let url = self.sts_url(fields, TOKEN_URL)?.unwrap_or(&usual);
        TokenEndpoint::new(&self.settings.http, url, TOKEN_URL).map_err(|error| fields.locate(error))
    }

    /// Returns a URL of the Security Token Service, which may be missing.
    pub(super) fn sts_url<'a>(
        &self,
        fields: Fields<'a>,
        field: &'static str,
    ) -> Result<Option<&'a str>, Error> {
        let url = fields.optional_text(field)?;
        if let Some(url) = url {
            let checked = self.settings.trust.check_service_url(url, field, Service::Sts);
            checked.map_err(|error| fields.locate(error))?;
        }
        Ok(url)
    }
}

/// Returns what is wrong with the name of a provider.
fn name_problem(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("must not be empty"),
        _ if name.len() > MAX_NAME => Some("must have at most 1024 bytes"),
        _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Some("must be visible ASCII without spaces")
        }
        _ => None,
    }
}

/// Returns what is wrong with a type of tokens.
fn token_type_problem(name: &str) -> Option<&'static str> {
    match name_problem(name) {
        None if !name.starts_with("urn:") => Some("must be a type of tokens, which starts with urn:"),
        problem => problem,
    }
}

/// Returns the OAuth client that the file names, if it names one. Its secret may be missing or empty.
pub(super) fn client(fields: Fields<'_>) -> Result<Option<OauthClient>, Error> {
    let id = fields.optional_text("client_id")?;
    let secret = fields.text_or_empty("client_secret")?;
    match (id, secret) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(fields.invalid("client_id", "must be set if `client_secret` is")),
        (Some(id), _) if id.contains(':') => {
            Err(fields.invalid("client_id", "must not contain a colon, which HTTP Basic can't send"))
        }
        (Some(id), secret) => {
            Ok(Some(OauthClient { id: id.into(), secret: secret.unwrap_or_default().into() }))
        }
    }
}
