//! Acting as another service account.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use http::HeaderValue;

use crate::client::{
    ACCESS_TOKEN_USAGE, GenerateAccessToken, GenerateIdToken, ID_TOKEN_USAGE, checked_audience,
    checked_lifetime, checked_scopes, wire_names,
};
use crate::{
    BoxFuture, Credentials, Error, FetchRequest, IamCredentialsClient, ServiceAccountName, SourceInfo, Token,
    TokenSource,
};

/// What calls as the target say in `x-goog-api-client` of themselves, as google-auth's do.
const TARGET_USAGE: &str = "cred-type/imp";

/// How to act as a target service account; its verbs make [`Credentials`] that do.
///
/// Made by [`IamCredentialsClient::impersonate`]. A plain value: set the options once, and call as
/// many verbs as needed.
///
/// ```no_run
/// use gcp_iam_credentials::{IamCredentialsClient, scopes::CLOUD_PLATFORM};
///
/// # async fn act() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let acting = client.impersonate("deployer@project.iam.gserviceaccount.com").access_token([CLOUD_PLATFORM])?;
/// let token = acting.token().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "call a verb to get credentials"]
#[derive(Clone)]
pub struct Impersonation {
    client: IamCredentialsClient,
    target: Result<ServiceAccountName, Error>,
    delegates: Result<Vec<String>, Error>,
    lifetime: Option<Duration>,
    include_email: Option<bool>,
}

impl IamCredentialsClient {
    /// Starts to act as `target`: an e-mail address, a numeric unique id or a full name.
    pub fn impersonate(&self, target: impl AsRef<str>) -> Impersonation {
        Impersonation {
            client: self.clone(),
            target: ServiceAccountName::parse_field(target.as_ref(), "target"),
            delegates: Ok(Vec::new()),
            lifetime: None,
            include_email: None,
        }
    }
}

impl Impersonation {
    /// How long each access token lives by default.
    pub const LIFETIME: Duration = Duration::from_secs(3600);

    /// The accounts between the client's credentials and the target, nearest to the credentials
    /// first. Each must hold Token Creator on the next.
    pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.delegates = wire_names(delegates);
        self
    }

    /// How long each access token lives: 1 s to 43200 s (12 h). Default:
    /// [`LIFETIME`](Self::LIFETIME). More than an hour needs the organisation policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension`.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Whether ID tokens have the claims `email` and `email_verified`. Default: no.
    pub fn include_email(mut self, include: bool) -> Self {
        self.include_email = Some(include);
        self
    }

    /// Credentials with access tokens of the target that have these scopes.
    ///
    /// # Errors
    ///
    /// Where the target or a delegate is no name, there is no scope, the lifetime is out of range,
    /// or an option is set that access tokens cannot have. Nothing is sent.
    pub fn access_token(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        if self.include_email.is_some() {
            return Err(Error::invalid("include_email", "does not go with access tokens"));
        }
        let lifetime = checked_lifetime(self.lifetime.unwrap_or(Self::LIFETIME))?;
        let scopes = checked_scopes(scopes)?;
        let (target, delegates) = self.chain()?;
        let mut call =
            self.client.generate_access_token(&target, scopes).delegates(delegates).lifetime(lifetime);
        call.request.usage(HeaderValue::from_static(ACCESS_TOKEN_USAGE));
        let info = self.info(&target).usage(TARGET_USAGE);
        Ok(Credentials::from_source(AccessTokenSource { call, info }))
    }

    /// Credentials with ID tokens of the target for `audience`.
    ///
    /// # Errors
    ///
    /// Where the target or a delegate is no name, the audience is empty, or an option is set that
    /// ID tokens cannot have. Nothing is sent.
    pub fn id_token(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        if self.lifetime.is_some() {
            return Err(Error::invalid("lifetime", "does not go with ID tokens: they live for an hour"));
        }
        let audience = checked_audience(audience.as_ref())?;
        let (target, delegates) = self.chain()?;
        let mut call = self
            .client
            .generate_id_token(&target, audience)
            .delegates(delegates)
            .include_email(self.include_email.unwrap_or(false));
        call.request.usage(HeaderValue::from_static(ID_TOKEN_USAGE));
        let info = self.info(&target);
        Ok(Credentials::from_source(IdTokenSource { call, info }))
    }

    fn chain(&self) -> Result<(ServiceAccountName, Vec<String>), Error> {
        Ok((self.target.clone()?, self.delegates.clone()?))
    }

    fn info(&self, target: &ServiceAccountName) -> SourceInfo {
        SourceInfo::new().principal(target.account()).universe_domain(self.client.universe_domain())
    }
}

impl fmt::Debug for Impersonation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impersonation")
            .field("target", &self.target)
            .field("delegates", &self.delegates)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

struct AccessTokenSource {
    call: GenerateAccessToken,
    info: SourceInfo,
}

impl TokenSource for AccessTokenSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let mut call = self.call.clone();
        call.request.within(request.time_left());
        call.into_future()
    }

    fn info(&self) -> SourceInfo {
        self.info.clone()
    }
}

struct IdTokenSource {
    call: GenerateIdToken,
    info: SourceInfo,
}

impl TokenSource for IdTokenSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        let mut call = self.call.clone();
        call.request.within(request.time_left());
        call.into_future()
    }

    fn info(&self) -> SourceInfo {
        self.info.clone()
    }
}
