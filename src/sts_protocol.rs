//! Routes and formats of Google's Security Token Service (STS), which exchanges tokens.

use serde::{Deserialize, Serialize};

/// The path of token exchange.
pub(crate) const TOKEN_PATH: &str = "/v1/token";

/// The path of token exchange in the version before.
pub(crate) const BETA_TOKEN_PATH: &str = "/v1beta/token";

/// The path at which people who signed in with a workforce pool get tokens.
pub(crate) const OAUTH_TOKEN_PATH: &str = "/v1/oauthtoken";

/// The path that says what a token is good for.
pub(crate) const INTROSPECT_PATH: &str = "/v1/introspect";

/// The path that revokes a token.
pub(crate) const REVOKE_PATH: &str = "/v1/revoke";

/// The grant type of token exchange.
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The type of access tokens.
pub(crate) const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The types of JWTs of OpenID Connect issuers.
pub(crate) const JWT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

/// The type of signed requests to AWS.
pub(crate) const AWS_TYPE: &str = "urn:ietf:params:aws:token-type:aws4_request";

/// The type of SAML assertions.
pub(crate) const SAML_TYPE: &str = "urn:ietf:params:oauth:token-type:saml2";

/// The type of chains of client certificates.
pub(crate) const CERTIFICATE_TYPE: &str = "urn:ietf:params:oauth:token-type:mtls";

/// Returns whether the audience of an exchange is the name of a provider in a workforce pool.
pub(crate) fn is_workforce_audience(audience: &str) -> bool {
    let name = audience.strip_prefix("//iam.").and_then(|rest| rest.split_once('/'));
    let parts = name.map(|(_domain, name)| name.split('/').take(4).collect::<Vec<_>>());
    matches!(parts.as_deref(), Some(["locations", _, "workforcePools", pool]) if !pool.is_empty())
}

/// A request for token exchange. A field that is absent is empty.
///
/// Forms have names in snake case; JSON may also have them in camel case.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExchangeRequest {
    #[serde(alias = "grantType")]
    pub(crate) grant_type: String,
    #[serde(alias = "requestedTokenType")]
    pub(crate) requested_token_type: String,
    pub(crate) audience: String,
    /// Separated by spaces.
    pub(crate) scope: String,
    #[serde(alias = "subjectToken")]
    pub(crate) subject_token: String,
    #[serde(alias = "subjectTokenType")]
    pub(crate) subject_token_type: String,
    /// JSON, which some clients percent-encode.
    pub(crate) options: String,
}

/// What a token is good for. For a token that isn't valid, all other fields are absent.
#[derive(Serialize)]
pub(crate) struct Introspection {
    pub(crate) active: bool,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<TokenDescription>,
}

/// What a valid token is good for. Times are in seconds since 1970.
#[derive(Serialize)]
pub(crate) struct TokenDescription {
    pub(crate) client_id: String,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: &'static str,
    /// Separated by spaces.
    pub(crate) scope: String,
    pub(crate) sub: String,
    pub(crate) username: String,
}
