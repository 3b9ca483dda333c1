//! Credential files of the type `external_account_authorized_user`.

use std::time::SystemTime;

use super::credential_file::Fields;
use super::external_account::client;
use super::reader::{Purpose, Reader};
use crate::source::external::OauthClient;
use crate::source::token_endpoint::TokenEndpoint;
use crate::source::{FixedToken, SourceInfo, WorkforceUserSource};
use crate::sts_protocol::is_workforce_audience;
use crate::{Credentials, Error, Token};

const AUDIENCE: &str = "audience";
const TOKEN_URL: &str = "token_url";
const REFRESH_TOKEN: &str = "refresh_token";

/// What refreshing needs. Without one of them, the token in the file is the only one.
struct SignIn<'a> {
    endpoint: TokenEndpoint,
    client: OauthClient,
    refresh_token: &'a str,
}

impl Reader {
    /// Reads the sign-in of a person with a workforce pool.
    pub(super) fn workforce_user(&self, fields: Fields<'_>, purpose: Purpose) -> Result<Credentials, Error> {
        if fields.optional_text(AUDIENCE)?.is_some_and(|audience| !is_workforce_audience(audience)) {
            return Err(fields.invalid(AUDIENCE, "must be a provider in a workforce pool"));
        }
        for field in ["token_info_url", "revoke_url"] {
            self.sts_url(fields, field)?;
        }
        let info = self.info(fields, purpose)?.with_scopes(fields.texts("scopes")?);
        let fixed = token(fields)?;
        match (self.sign_in(fields)?, fixed) {
            (Ok(SignIn { endpoint, client, refresh_token }), _) => {
                let description = "the sign-in of a person with a workforce pool \
                                   (external_account_authorized_user)";
                let info = info.with_description(description);
                let source = WorkforceUserSource::new(endpoint, client, refresh_token, info);
                Ok(Credentials::from_source(source))
            }
            (Err(_), Some(token)) => Ok(fixed_token(token, info)),
            (Err(missing), None) => {
                let expectation = "must be a string, got nothing, and there is no `token` either";
                Err(fields.invalid(missing, expectation))
            }
        }
    }

    /// Reads what refreshing needs. The inner error is the name of a field that is missing.
    fn sign_in<'a>(&self, fields: Fields<'a>) -> Result<Result<SignIn<'a>, &'static str>, Error> {
        let refresh_token = fields.optional_text(REFRESH_TOKEN)?;
        let endpoint = self.sts_url(fields, TOKEN_URL)?;
        let client = client(fields)?;
        Ok(match (refresh_token, endpoint, client) {
            (None, ..) => Err(REFRESH_TOKEN),
            (_, None, _) => Err(TOKEN_URL),
            (.., None) => Err("client_id"),
            (.., Some(client)) if client.secret.is_empty() => Err("client_secret"),
            (Some(refresh_token), Some(url), Some(client)) => {
                let endpoint = TokenEndpoint::new(&self.settings.http, url, TOKEN_URL);
                let endpoint = endpoint.map_err(|error| fields.locate(error))?;
                Ok(SignIn { endpoint, client, refresh_token })
            }
        })
    }
}

/// Returns the token in the file, with its expiry, if there is one.
fn token(fields: Fields<'_>) -> Result<Option<Token>, Error> {
    const FIELD: &str = "expiry";
    let expiry = fields.optional_text(FIELD)?.map(|text| {
        let expiry = parse_time(text);
        expiry.ok_or_else(|| fields.invalid(FIELD, "must be a time such as 2026-01-02T15:04:05Z"))
    });
    let expiry = expiry.transpose()?;
    let token = fields.optional_text("token")?.map(|secret| Token::new(secret, expiry));
    token.transpose().map_err(|error| fields.locate(error))
}

/// Parses a time in the form of RFC 3339. Google's libraries write it without a zone: it is UTC.
fn parse_time(text: &str) -> Option<SystemTime> {
    let has_zone = text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|time| time.contains(['+', '-']));
    let zone = if has_zone { "" } else { "Z" };
    let time: prost_types::Timestamp = format!("{text}{zone}").parse().ok()?;
    time.try_into().ok()
}

fn fixed_token(token: Token, info: SourceInfo) -> Credentials {
    let description = "the token of a person with a workforce pool (external_account_authorized_user), which can't be refreshed";
    Credentials::from_source(FixedToken::with_info(token, info.with_description(description)))
}
