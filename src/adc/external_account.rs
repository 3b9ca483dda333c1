//! Credential files of the type `external_account`.

mod aws;
mod subject_tokens;

use super::credential_file::Fields;
use super::reader::{Purpose, Reader};
use crate::host::{DEFAULT_UNIVERSE, Service};
use crate::source::external::{ExternalAccount, ExternalAccountSource, OauthClient};
use crate::source::token_endpoint::TokenEndpoint;
use crate::sts_protocol::{TOKEN_PATH, is_workforce_audience};
use crate::{Credentials, Error, headers, scopes};

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
        let account = self.account(fields)?;
        let universe = self.universe(fields)?.unwrap_or(DEFAULT_UNIVERSE);
        let endpoint = self.sts_endpoint(fields, universe)?;
        let target = self.optional_target(fields)?;
        let scopes = self.target_scopes(fields, purpose)?;
        fields.lifetime()?;
        let subject_tokens = self.subject_tokens(fields, &account, target.as_ref())?;

        let info = self.info(fields, purpose)?;
        let Some(target) = target else {
            let source = ExternalAccountSource { account, subject_tokens, endpoint, scopes, info };
            return Ok(Credentials::from_source(source));
        };
        let scopes_of_source = vec![scopes::IAM.to_owned()];
        let source =
            ExternalAccountSource { account, subject_tokens, endpoint, scopes: scopes_of_source, info };
        let source = Credentials::from_source(source);
        let impersonation = self.impersonation(fields, purpose, &target, source, universe)?;
        impersonation.access_token(&scopes).map_err(|error| fields.locate(error))
    }

    /// Reads what the token service learns about the identity.
    fn account(&self, fields: Fields<'_>) -> Result<ExternalAccount, Error> {
        let audience = name(fields, AUDIENCE)?;
        let subject_token_type = name(fields, TOKEN_TYPE)?;
        if !subject_token_type.starts_with("urn:") {
            return Err(fields.invalid(TOKEN_TYPE, "must be a type of tokens, which starts with urn:"));
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
        })
    }

    fn sts_endpoint(&self, fields: Fields<'_>, universe: &str) -> Result<TokenEndpoint, Error> {
        let trust = &self.settings.trust;
        let check = |url: &str, field| {
            trust.check_service_url(url, field, Service::Sts).map_err(|error| fields.locate(error))
        };
        if let Some(url) = fields.optional_text(TOKEN_INFO_URL)? {
            check(url, TOKEN_INFO_URL)?;
        }
        let usual = format!("https://{}{TOKEN_PATH}", Service::Sts.host(universe));
        let url = fields.optional_text(TOKEN_URL)?.unwrap_or(&usual);
        check(url, TOKEN_URL)?;
        TokenEndpoint::new(&self.settings.http, url, TOKEN_URL).map_err(|error| fields.locate(error))
    }
}

/// Returns a name, which must exist: visible ASCII of a credible size.
fn name<'a>(fields: Fields<'a>, field: &'static str) -> Result<&'a str, Error> {
    let name = fields.text(field)?;
    if name.len() > MAX_NAME {
        return Err(fields.invalid(field, format!("must have at most {MAX_NAME} bytes")));
    }
    if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(fields.invalid(field, "must be visible ASCII without spaces"));
    }
    Ok(name)
}

/// Returns the OAuth client that the file names, if it names one. Its secret may be missing or empty.
fn client(fields: Fields<'_>) -> Result<Option<OauthClient>, Error> {
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
