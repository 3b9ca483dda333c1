//! The token source of impersonated credentials.

use std::future::IntoFuture;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::client::api_client;
use crate::host::DEFAULT_UNIVERSE;
use crate::jwt::Validity;
use crate::name::account_in;
use crate::source::token_endpoint::{Grant, TokenEndpoint};
use crate::source::{BoxFuture, CacheHints, FetchRequest, Hop, SourceInfo, TokenKind};
use crate::{Error, IamCredentialsClient, Impersonation, ServiceAccountName, Token, TokenSource};

/// The entry in `x-goog-api-client` of requests with the target's tokens. google-auth sends the same.
const CREDENTIALS_KIND: &str = "cred-type/imp";

/// Fetches tokens of one target.
///
/// It is small, because a pool may have 100,000 of them: many targets share their parameters, and
/// the call is built for each fetch.
pub(super) struct ImpersonatedSource {
    client: IamCredentialsClient,
    /// The target: an e-mail address or a numeric id, without what all full names begin with.
    account: Box<str>,
    parameters: Arc<TokenParameters>,
}

/// Everything that decides what the tokens are, except the target.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct TokenParameters {
    delegates: Vec<String>,
    token: TokenRequest,
    quota_project: Option<String>,
}

/// The token to fetch, with all that its kind needs.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum TokenRequest {
    AccessToken {
        scopes: Vec<String>,
        lifetime: Duration,
    },
    IdToken {
        audience: String,
        include_email: bool,
    },
    SelfSignedJwt {
        audience: String,
        lifetime: Duration,
    },
    /// An access token of a user, by domain-wide delegation.
    UserAccessToken {
        subject: String,
        scopes: Vec<String>,
        endpoint: AssertionEndpoint,
    },
}

/// The token endpoint that exchanges assertions. All users of a client share it.
pub(super) struct AssertionEndpoint(Arc<TokenEndpoint>);

impl TokenRequest {
    /// Returns the request for domain-wide delegation, which only the universe `googleapis.com` has.
    pub(super) fn user_access_token(
        client: &IamCredentialsClient,
        subject: &str,
        scopes: Vec<String>,
    ) -> Result<Self, Error> {
        let universe = client.universe_domain();
        if universe != DEFAULT_UNIVERSE {
            let problem = format!("can only be used in the universe {DEFAULT_UNIVERSE}, got {universe}");
            return Err(Error::invalid("subject", problem));
        }
        if !subject.contains('@') || subject.chars().any(char::is_whitespace) {
            return Err(Error::invalid(
                "subject",
                format!("must be a user's e-mail address, got {subject:?}"),
            ));
        }
        let endpoint = AssertionEndpoint(client.assertion_endpoint()?);
        Ok(Self::UserAccessToken { subject: subject.to_owned(), scopes, endpoint })
    }
}

// Two endpoints with the same URI are equal.
impl PartialEq for AssertionEndpoint {
    fn eq(&self, other: &Self) -> bool {
        self.0.uri() == other.0.uri()
    }
}

impl Eq for AssertionEndpoint {}

impl Hash for AssertionEndpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.uri().hash(state);
    }
}

impl ImpersonatedSource {
    pub(super) fn new(
        client: IamCredentialsClient,
        target: &ServiceAccountName,
        delegates: Vec<String>,
        token: TokenRequest,
        quota_project: Option<String>,
    ) -> Self {
        let account = target.account().into();
        Self { client, account, parameters: Arc::new(TokenParameters { delegates, token, quota_project }) }
    }

    pub(super) fn parameters(&self) -> &Arc<TokenParameters> {
        &self.parameters
    }

    /// Replaces the parameters with equal ones that other sources share.
    pub(super) fn share(&mut self, parameters: Arc<TokenParameters>) {
        self.parameters = parameters;
    }

    /// Makes a JWT that the target signs. It is valid from now for `lifetime`.
    async fn self_signed_jwt(
        &self,
        audience: &str,
        lifetime: Duration,
        request: FetchRequest<'_>,
    ) -> Result<Token, Error> {
        let claims = json!({ "sub": self.account, "aud": audience });
        let (jwt, expiry) = self.sign(claims, lifetime, request).await?;
        Token::new(jwt, expiry).map_err(|_| Error::invalid_reply("the signed JWT can't be sent in a header"))
    }

    /// Makes an access token of a user: the target signs an assertion, and the endpoint exchanges it.
    async fn user_access_token(
        &self,
        subject: &str,
        scopes: &[String],
        endpoint: &TokenEndpoint,
        request: FetchRequest<'_>,
    ) -> Result<Token, Error> {
        let claims = json!({ "sub": subject, "scope": scopes.join(" "), "aud": endpoint.uri() });
        let (assertion, _) = self.sign(claims, Impersonation::LIFETIME, request).await?;
        endpoint.exchange(Grant::JwtBearer { assertion: &assertion }, request.deadline()).await
    }

    /// Calls `sign_jwt` as the target. `claims` become valid from now for `lifetime`. Returns the JWT and
    /// its expiry.
    async fn sign(
        &self,
        mut claims: Value,
        lifetime: Duration,
        request: FetchRequest<'_>,
    ) -> Result<(String, Option<SystemTime>), Error> {
        let validity = Validity::new(SystemTime::now(), lifetime);
        validity.add_to(&mut claims, &self.account);
        let mut call = self.client.sign_jwt(&self.account, &claims).delegates(&self.parameters.delegates);
        call.request.limit_timeout(request.time_left());
        Ok((call.await?.into_string(), validity.expiry()))
    }

    /// Returns what [`SourceInfo`] reports about this impersonation.
    fn hop(&self) -> Hop {
        let token = &self.parameters.token;
        let hop = Hop::new(&*self.account)
            .with_delegates(self.parameters.delegates.iter().map(|name| account_in(name)))
            .with_scopes(token.scopes())
            .with_token_kind(token.kind())
            .with_lifetime(token.lifetime())
            .with_endpoint(self.client.endpoint());
        match token {
            TokenRequest::AccessToken { .. } => hop,
            TokenRequest::IdToken { audience, .. } | TokenRequest::SelfSignedJwt { audience, .. } => {
                hop.with_audience(audience)
            }
            TokenRequest::UserAccessToken { subject, .. } => hop.with_subject(subject),
        }
    }
}

impl TokenSource for ImpersonatedSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let Self { client, account, parameters } = self;
        match &parameters.token {
            TokenRequest::AccessToken { scopes, lifetime } => {
                let call = client.generate_access_token(account, scopes);
                let mut call = call.delegates(&parameters.delegates).lifetime(*lifetime);
                call.request.set_api_client(api_client::FOR_ACCESS_TOKEN);
                call.request.limit_timeout(request.time_left());
                call.into_future()
            }
            TokenRequest::IdToken { audience, include_email } => {
                let call = client.generate_id_token(account, audience);
                let mut call = call.delegates(&parameters.delegates).include_email(*include_email);
                call.request.set_api_client(api_client::FOR_ID_TOKEN);
                call.request.limit_timeout(request.time_left());
                call.into_future()
            }
            TokenRequest::SelfSignedJwt { audience, lifetime } => {
                Box::pin(self.self_signed_jwt(audience, *lifetime, request))
            }
            TokenRequest::UserAccessToken { subject, scopes, endpoint } => {
                Box::pin(self.user_access_token(subject, scopes, &endpoint.0, request))
            }
        }
    }

    fn info(&self) -> SourceInfo {
        let token = &self.parameters.token;
        let info = self.client.credentials().info().with_hop(self.hop());
        let info = info.with_universe_domain(self.client.universe_domain());
        let info = match token {
            // ID tokens are for applications, not for Google's APIs.
            TokenRequest::IdToken { .. } => info,
            _ => info.with_api_client_entry(CREDENTIALS_KIND),
        };
        match &self.parameters.quota_project {
            Some(project) => info.with_quota_project(project),
            None => info,
        }
    }

    fn cache_hints(&self) -> CacheHints {
        CacheHints::new().with_max_lifetime(self.parameters.token.lifetime())
    }

    fn revision(&self) -> u64 {
        self.client.credentials().source().revision()
    }
}

impl TokenRequest {
    fn kind(&self) -> TokenKind {
        match self {
            Self::AccessToken { .. } | Self::UserAccessToken { .. } => TokenKind::AccessToken,
            Self::IdToken { .. } => TokenKind::IdToken,
            Self::SelfSignedJwt { .. } => TokenKind::SelfSignedJwt,
        }
    }

    fn scopes(&self) -> &[String] {
        match self {
            Self::AccessToken { scopes, .. } | Self::UserAccessToken { scopes, .. } => scopes,
            Self::IdToken { .. } | Self::SelfSignedJwt { .. } => &[],
        }
    }

    /// Returns the longest lifetime of a token.
    fn lifetime(&self) -> Duration {
        match self {
            Self::AccessToken { lifetime, .. } | Self::SelfSignedJwt { lifetime, .. } => *lifetime,
            Self::IdToken { .. } | Self::UserAccessToken { .. } => Impersonation::LIFETIME,
        }
    }
}

// A pool has one client, so the target and the parameters identify the tokens.
impl PartialEq for ImpersonatedSource {
    fn eq(&self, other: &Self) -> bool {
        self.account == other.account && self.parameters == other.parameters
    }
}

impl Eq for ImpersonatedSource {}

impl Hash for ImpersonatedSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.account.hash(state);
        self.parameters.hash(state);
    }
}
