//! Acting as another service account.

mod diagnosis;
mod pool;
#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
mod public_keys;
mod signer;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::diagnosis::{Diagnosis, Finding, HopDiagnosis};
pub use self::pool::{ImpersonationPool, PoolBuilder, PoolStats};
#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
pub use self::public_keys::PublicKeys;
pub use self::signer::Signer;
use self::source::{Grant, How, ImpersonatedSource};
use crate::client::{checked_audience, checked_lifetime, checked_scopes, wire_names};
use crate::{Credentials, Error, IamCredentialsClient, ServiceAccountName, headers};

/// How to act as a target service account; its verbs make [`Credentials`] that do.
///
/// Made by [`IamCredentialsClient::impersonate`]. A plain value: set the options once, and call as
/// many verbs as needed. An option that a verb cannot use is an error, so that none is ignored
/// unseen.
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
    subject: Option<String>,
    quota_project: Option<String>,
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
            subject: None,
            quota_project: None,
        }
    }
}

impl Impersonation {
    /// How long each access token lives by default, and the longest a self-signed JWT may.
    pub const LIFETIME: Duration = Duration::from_secs(3600);

    /// The accounts between the client's credentials and the target, nearest to the credentials
    /// first. Each must hold Token Creator on the next.
    pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.delegates = wire_names(delegates);
        self
    }

    /// How long each token lives, renewed ahead of its end. For access tokens 1 s to 43200 s
    /// (12 h), and more than an hour only with the organisation policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension`; for self-signed JWTs 1 s
    /// to 3600 s. Default: [`LIFETIME`](Self::LIFETIME).
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Whether ID tokens have the claims `email` and `email_verified`. Default: no.
    pub fn include_email(mut self, include: bool) -> Self {
        self.include_email = Some(include);
        self
    }

    /// The Google Workspace user to act as, through the target's domain-wide delegation. No key is
    /// needed: the target signs with its system-managed one.
    pub fn subject(mut self, user: impl Into<String>) -> Self {
        self.subject = Some(user.into());
        self
    }

    /// The project that calls *with* the credentials are counted against: what
    /// [`Credentials::layer`] sends as `x-goog-user-project`. Calls *for* them go by
    /// [`ClientBuilder::quota_project`](crate::ClientBuilder::quota_project).
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Credentials with access tokens of the target, or of the [`subject`](Self::subject), that
    /// have these scopes.
    ///
    /// # Errors
    ///
    /// Where the target or a delegate is no name, there is no scope, the lifetime is out of range,
    /// or an option is set that does not go with access tokens. A subject excludes a lifetime, and
    /// universes other than `googleapis.com`. Nothing is sent.
    pub fn access_token(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        Ok(Credentials::from_source(self.access_token_source(scopes)?))
    }

    fn access_token_source(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<ImpersonatedSource, Error> {
        self.refuse("include_email", self.include_email.is_some(), "access tokens")?;
        let scopes = checked_scopes(scopes)?;
        match &self.subject {
            None => {
                let lifetime = checked_lifetime(self.lifetime.unwrap_or(Self::LIFETIME))?;
                self.source(Grant::AccessToken { scopes, lifetime })
            }
            Some(subject) => {
                self.refuse("lifetime", self.lifetime.is_some(), "a subject: its tokens live for an hour")?;
                let grant = Grant::subject(&self.client, subject, &scopes)?;
                self.need_email("the issuer for a subject")?;
                self.source(grant)
            }
        }
    }

    /// Credentials with ID tokens of the target for `audience`.
    ///
    /// # Errors
    ///
    /// Where the target or a delegate is no name, the audience is empty, or an option is set that
    /// does not go with ID tokens. Nothing is sent.
    pub fn id_token(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        Ok(Credentials::from_source(self.id_token_source(audience)?))
    }

    fn id_token_source(&self, audience: impl AsRef<str>) -> Result<ImpersonatedSource, Error> {
        self.refuse("lifetime", self.lifetime.is_some(), "ID tokens: they live for an hour")?;
        self.refuse("subject", self.subject.is_some(), "ID tokens")?;
        let audience = checked_audience(audience.as_ref())?;
        self.source(Grant::IdToken { audience, include_email: self.include_email.unwrap_or(false) })
    }

    /// Credentials with JWTs that the target signs itself, which Google APIs take in place of
    /// access tokens. `audience` is the API, as `https://pubsub.googleapis.com/`.
    ///
    /// # Errors
    ///
    /// Where the target is not given by its e-mail address, a delegate is no name, the audience is
    /// empty, the lifetime is over an hour, or an option is set that does not go with self-signed
    /// JWTs. Nothing is sent.
    pub fn self_signed_jwt(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        self.refuse("include_email", self.include_email.is_some(), "self-signed JWTs")?;
        self.refuse("subject", self.subject.is_some(), "self-signed JWTs")?;
        self.need_email("the issuer of a self-signed JWT")?;
        let audience = checked_audience(audience.as_ref())?;
        let lifetime = self.lifetime.unwrap_or(Self::LIFETIME);
        if lifetime < Duration::from_secs(1) || lifetime > Self::LIFETIME {
            let problem = format!("is {lifetime:?}: Google APIs take self-signed JWTs of 1 s to 3600 s");
            return Err(Error::invalid("lifetime", problem));
        }
        Ok(Credentials::from_source(self.source(Grant::SelfSignedJwt { audience, lifetime })?))
    }

    /// Signs as the target.
    ///
    /// # Errors
    ///
    /// Where the target is not given by its e-mail address, a delegate is no name, or an option is
    /// set that does not go with signing. Nothing is sent.
    pub fn signer(&self) -> Result<Signer, Error> {
        self.refuse("lifetime", self.lifetime.is_some(), "a signer")?;
        self.refuse("include_email", self.include_email.is_some(), "a signer")?;
        self.refuse("subject", self.subject.is_some(), "a signer")?;
        self.refuse("quota_project", self.quota_project.is_some(), "a signer: set the client's")?;
        self.need_email("a signer")?;
        Ok(Signer::new(self.client.clone(), self.target.clone()?, self.delegates.clone()?))
    }

    /// The same options, with calls made by another client.
    fn over(&self, client: &IamCredentialsClient) -> Self {
        Self { client: client.clone(), ..self.clone() }
    }

    fn source(&self, grant: Grant) -> Result<ImpersonatedSource, Error> {
        if let Some(project) = &self.quota_project {
            headers::quota_project(project, "quota_project")?;
        }
        let how =
            How { delegates: self.delegates.clone()?, grant, quota_project: self.quota_project.clone() };
        let target = self.target.clone()?;
        Ok(ImpersonatedSource { client: self.client.clone(), target, how: Arc::new(how) })
    }

    fn refuse(&self, option: &'static str, set: bool, with: &str) -> Result<(), Error> {
        match set {
            true => Err(Error::invalid(option, format!("does not go with {with}"))),
            false => Ok(()),
        }
    }

    fn need_email(&self, what: &str) -> Result<(), Error> {
        match &self.target {
            Ok(target) if !target.account().contains('@') => Err(Error::invalid(
                "target",
                format!("is a unique id, but {what} goes by its e-mail address"),
            )),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Impersonation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impersonation")
            .field("target", &self.target)
            .field("delegates", &self.delegates)
            .field("lifetime", &self.lifetime)
            .field("include_email", &self.include_email)
            .field("subject", &self.subject)
            .field("quota_project", &self.quota_project)
            .finish_non_exhaustive()
    }
}
