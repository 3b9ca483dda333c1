//! A federated identity as a source: a token of another platform, the subject token, is exchanged for
//! one of Google's.

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "_tls")]
mod certificate;
mod executable;
mod file;
mod format;
mod request;
mod subject_token;
mod supplier;
mod url;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use http::HeaderValue;
use serde_json::json;
use tokio::time::Instant;

#[cfg(feature = "aws")]
pub(crate) use self::aws::{AwsSource, MetadataServer, VerificationUrl};
#[cfg(feature = "_tls")]
pub(crate) use self::certificate::{CertificateFiles, CertificateSource, ClientCertificate, is_path};
pub(crate) use self::executable::{ExecutableSource, Running};
pub(crate) use self::file::FileSource;
pub(crate) use self::format::TokenFormat;
pub(crate) use self::subject_token::{SubjectToken, SubjectTokenKind, SubjectTokenSource};
pub use self::supplier::SubjectTokenRequest;
pub(crate) use self::supplier::SupplierSource;
pub(crate) use self::url::UrlSource;
use super::token_endpoint::{ClientAuthentication, Grant, TokenEndpoint, TokenExchange};
use super::{BoxFuture, FetchRequest, SourceInfo, TokenSource};
use crate::error::{FederationFacts, FederationRefusal, ProviderDescription, ProviderName, SubjectFacts};
use crate::jwt::Parts;
use crate::{Error, Token};

/// What the token service learns about the identity, besides the subject token.
#[derive(Debug)]
pub(crate) struct ExternalAccount {
    /// The provider that knows the identity.
    pub(crate) audience: Box<str>,
    pub(crate) subject_token_type: Box<str>,
    /// The program's own OAuth client.
    pub(crate) client: Option<OauthClient>,
    /// The project that the exchange is counted against, for identities of a workforce pool.
    pub(crate) user_project: Option<Box<str>>,
    /// The provider's configuration, if the program has it.
    pub(crate) description: Option<ProviderDescription>,
}

impl ExternalAccount {
    /// Adds the provider's configuration.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is another provider's.
    pub(crate) fn described_by(self, description: Option<&ProviderDescription>) -> Result<Self, Error> {
        if let Some(description) = description {
            description.check(ProviderName::of_audience(&self.audience).as_ref())?;
        }
        Ok(Self { description: description.cloned(), ..self })
    }
}

/// An OAuth client. Its secret may be empty.
pub(crate) struct OauthClient {
    pub(crate) id: Box<str>,
    pub(crate) secret: Box<str>,
}

impl fmt::Debug for OauthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthClient").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How an account is impersonated with the tokens of a federated identity.
#[derive(Clone, Copy)]
pub(crate) struct Impersonation {
    /// Whether the file sets the lifetime of the account's tokens.
    pub(crate) has_lifetime: bool,
}

/// Exchanges subject tokens for access tokens: one for each fetch.
pub(crate) struct ExternalAccountSource {
    account: ExternalAccount,
    subject_tokens: Box<dyn SubjectTokenSource>,
    endpoint: TokenEndpoint,
    /// The scopes, separated by spaces.
    scope: Box<str>,
    /// The options of the exchange, as JSON. Empty if there are none.
    options: Box<str>,
    /// The value of the metrics header.
    api_client: HeaderValue,
    info: SourceInfo,
    /// The principal of the last subject token that was accepted, and whether it is certain.
    principal: Mutex<Option<(String, bool)>>,
}

impl ExternalAccountSource {
    /// `impersonation` says how an account is impersonated with the tokens, if one is.
    pub(crate) fn new(
        account: ExternalAccount,
        subject_tokens: Box<dyn SubjectTokenSource>,
        endpoint: TokenEndpoint,
        scopes: &[String],
        impersonation: Option<Impersonation>,
        info: SourceInfo,
    ) -> Self {
        let api_client = api_client(subject_tokens.kind(), impersonation);
        let options = account.user_project.as_deref().filter(|_| account.client.is_none());
        let options = options.map(|project| json!({ "userProject": project }).to_string());
        let options = options.unwrap_or_default().into();
        Self {
            account,
            subject_tokens,
            endpoint,
            scope: scopes.join(" ").into(),
            options,
            api_client,
            info,
            principal: Mutex::default(),
        }
    }

    /// Exchanges the current subject token. If it is refused, another one may have taken its place.
    async fn token(&self, deadline: Instant) -> Result<Token, Error> {
        let subject_token = self.subject_tokens.fetch(deadline).await?;
        let refusal = match self.exchange(&subject_token, deadline).await {
            Err(error) if is_refused_subject_token(&error) => error,
            outcome => return outcome,
        };
        match self.subject_tokens.fetch_other(&subject_token, deadline).await {
            Ok(other) if other != subject_token => {
                tracing::debug!("the subject token was refused, and another one has taken its place");
                self.exchange(&other, deadline).await
            }
            _ => Err(refusal),
        }
    }

    async fn exchange(&self, subject_token: &SubjectToken, deadline: Instant) -> Result<Token, Error> {
        let ExternalAccount { audience, subject_token_type, client, .. } = &self.account;
        let client = client.as_ref().map(|OauthClient { id, secret }| ClientAuthentication { id, secret });
        let exchange = TokenExchange {
            audience,
            scope: &self.scope,
            subject_token: subject_token.secret(),
            subject_token_type,
            options: &self.options,
            client,
            api_client: Some(&self.api_client),
        };
        match self.endpoint.exchange(Grant::TokenExchange(exchange), deadline).await {
            Ok(token) => {
                let mut principal = self.principal.lock().unwrap_or_else(PoisonError::into_inner);
                *principal = self.facts(subject_token).principal();
                Ok(token)
            }
            Err(error) => Err(self.explain(error, subject_token)),
        }
    }

    /// Adds to a refusal what is known about the subject token, and advice.
    fn explain(&self, error: Error, subject_token: &SubjectToken) -> Error {
        let Some(code) = error.oauth_code() else { return error };
        let now = SystemTime::now();
        let refusal = FederationRefusal::new(code, &error.to_string(), self.facts(subject_token), now);
        error.explained_by(refusal, now)
    }

    fn facts(&self, subject_token: &SubjectToken) -> FederationFacts {
        let claims = Parts::split(subject_token.secret()).and_then(|parts| parts.claims());
        FederationFacts {
            provider: ProviderName::of_audience(&self.account.audience),
            subject: SubjectFacts::of(claims.as_ref()),
            origin: self.subject_tokens.origin(),
            description: self.account.description.clone(),
        }
    }
}

/// Whether a new subject token may be accepted.
fn is_refused_subject_token(error: &Error) -> bool {
    error.oauth_code() == Some("invalid_grant") && !error.is_transient()
}

/// Returns the metrics header of Google's libraries for federated identities.
fn api_client(kind: SubjectTokenKind, impersonation: Option<Impersonation>) -> HeaderValue {
    let text = format!(
        "gl-rust/{} auth/{} google-byoid-sdk source/{} sa-impersonation/{} config-lifetime/{}",
        env!("RUSTC_RELEASE"),
        env!("CARGO_PKG_VERSION"),
        kind.name(),
        impersonation.is_some(),
        impersonation.is_some_and(|impersonation| impersonation.has_lifetime),
    );
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("google-byoid-sdk"))
}

impl TokenSource for ExternalAccountSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request.deadline()))
    }

    fn info(&self) -> SourceInfo {
        let origin = self.subject_tokens.origin();
        let description =
            format!("a federated identity (external_account), with subject tokens from {origin}");
        let info = self.info.clone().with_description(description).with_audience(&*self.account.audience);
        let info = info.with_scopes(self.scope.split(' ')).with_endpoint(self.endpoint.uri());
        match &*self.principal.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((principal, true)) => info.with_principal(principal),
            Some((principal, false)) => info.with_likely_principal(principal),
            None => info,
        }
    }

    fn revision(&self) -> u64 {
        self.subject_tokens.revision()
    }
}

impl fmt::Debug for ExternalAccountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalAccountSource")
            .field("account", &self.account)
            .field("subject_tokens", &self.subject_tokens.origin())
            .field("endpoint", &self.endpoint)
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
