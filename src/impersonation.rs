//! Acting as another service account: the options, and the verbs that make credentials.

mod diagnosis;
#[cfg(feature = "google-cloud-auth")]
mod google_cloud_auth_signer;
mod pool;
#[cfg(feature = "_tls")]
pub(crate) mod signed_url;
mod signer;
mod source;

use std::fmt;
use std::time::Duration;

pub use self::diagnosis::{DiagnosedHop, DiagnosedSource, Diagnosis, Finding, Fix, Operation};
pub use self::pool::{ImpersonationPool, PoolBuilder, PoolStats, PooledImpersonation};
pub use self::signer::Signer;
use self::source::{ImpersonatedSource, TokenRequest};
use crate::client::{checked_audience, checked_lifetime, wire_names};
use crate::scopes::check::checked_scopes;
use crate::{Credentials, Error, IamCredentialsClient, ServiceAccountName, headers};

/// The options for acting as a target service account. [`IamCredentialsClient::impersonate`] returns
/// it.
///
/// Set the options once, and call as many verbs as needed: the methods that make [`Credentials`] or
/// a [`Signer`]. A verb returns an error if an option is set that it can't use, so no option is
/// silently ignored:
///
/// | Option | [`access_token`] | [`id_token`] | [`self_signed_jwt`] | [`signer`] |
/// |---|---|---|---|---|
/// | [`delegates`] | yes | yes | yes | yes |
/// | [`lifetime`] | 1 s to 12 h, not with a `subject` | no | 1 s to 1 h | no |
/// | [`include_email`] | no | yes | no | no |
/// | [`subject`] | yes | no | no | no |
/// | [`quota_project`] | yes | yes | yes | no |
///
/// [`diagnose`](Self::diagnose) takes the options of the verb whose operation it diagnoses.
///
/// ```no_run
/// use gcp_iam_credentials::IamCredentialsClient;
/// use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
///
/// # async fn act() -> Result<(), gcp_iam_credentials::Error> {
/// let client = IamCredentialsClient::new()?;
/// let target = "deployer@project.iam.gserviceaccount.com";
/// let acting = client.impersonate(target).access_token([CLOUD_PLATFORM])?;
/// let token = acting.token().await?;
/// # Ok(())
/// # }
/// ```
///
/// [`access_token`]: Self::access_token
/// [`id_token`]: Self::id_token
/// [`self_signed_jwt`]: Self::self_signed_jwt
/// [`signer`]: Self::signer
/// [`delegates`]: Self::delegates
/// [`lifetime`]: Self::lifetime
/// [`include_email`]: Self::include_email
/// [`subject`]: Self::subject
/// [`quota_project`]: Self::quota_project
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
    in_file: OptionsInFile,
}

/// What a credential file says about the impersonation. Unlike an option that the program sets, it is
/// no error for a verb that can't use it.
#[derive(Clone, Default)]
pub(crate) struct OptionsInFile {
    /// The lifetime of access tokens.
    pub(crate) lifetime: Option<Duration>,
    pub(crate) quota_project: Option<String>,
}

/// The verbs, which differ in the options that they can use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    AccessToken,
    UserAccessToken,
    IdToken,
    SelfSignedJwt,
    Signer,
}

impl Verb {
    /// Returns the options that the verb can use, besides delegates.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::AccessToken => &["lifetime", "quota_project"],
            Self::UserAccessToken => &["subject", "quota_project"],
            Self::IdToken => &["include_email", "quota_project"],
            Self::SelfSignedJwt => &["lifetime", "quota_project"],
            Self::Signer => &[],
        }
    }

    /// Returns what the verb makes, for errors.
    fn product(self) -> &'static str {
        match self {
            Self::AccessToken => "access tokens",
            Self::UserAccessToken => "access tokens of a subject",
            Self::IdToken => "ID tokens",
            Self::SelfSignedJwt => "self-signed JWTs",
            Self::Signer => "a signer",
        }
    }
}

impl IamCredentialsClient {
    /// Returns the options for acting as `target`: an e-mail address, a numeric unique id or a full
    /// resource name.
    ///
    /// Sends nothing. An invalid target is an error of the verb that is called.
    pub fn impersonate(&self, target: impl AsRef<str>) -> Impersonation {
        Impersonation {
            client: self.clone(),
            target: ServiceAccountName::parse_field(target.as_ref(), "target"),
            delegates: Ok(Vec::new()),
            lifetime: None,
            include_email: None,
            subject: None,
            quota_project: None,
            in_file: OptionsInFile::default(),
        }
    }
}

impl Impersonation {
    /// The default lifetime of access tokens and self-signed JWTs: one hour. It is also the longest
    /// lifetime of a self-signed JWT.
    pub const LIFETIME: Duration = Duration::from_secs(3600);

    /// Sets the accounts between the client's credentials and the target, the one nearest to the
    /// credentials first. Default: none.
    ///
    /// Each account needs the role Token Creator on the next, and the last one on the target.
    pub fn delegates(mut self, delegates: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.delegates = wire_names(delegates);
        self
    }

    /// Sets the lifetime of each token. A token is renewed before its lifetime ends. Default:
    /// [`LIFETIME`](Self::LIFETIME).
    ///
    /// Access tokens may live for 1 s to 12 h. More than 1 h needs the organization policy
    /// `constraints/iam.allowServiceAccountCredentialLifetimeExtension`. Self-signed JWTs may live
    /// for 1 s to 1 h.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Sets whether ID tokens have the claims `email` and `email_verified`. Default: `false`.
    pub fn include_email(mut self, include: bool) -> Self {
        self.include_email = Some(include);
        self
    }

    /// Sets the Google Workspace user to act as, through the target's domain-wide delegation.
    /// Default: none, so the tokens are the target's own.
    ///
    /// No key is needed: the target signs with its system-managed key.
    pub fn subject(mut self, user: impl Into<String>) -> Self {
        self.subject = Some(user.into());
        self
    }

    /// Sets the quota project of requests that are made *with* the credentials. [`Credentials::layer`]
    /// and [`Credentials::interceptor`] send it as `x-goog-user-project`. Default: none.
    ///
    /// The calls that fetch the tokens use
    /// [`ClientBuilder::quota_project`](crate::ClientBuilder::quota_project) instead.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Makes credentials whose access tokens have these scopes. The tokens are the target's, or the
    /// [`subject`](Self::subject)'s if one is set.
    ///
    /// Nothing is sent before the first use.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the target, a delegate, a scope, the lifetime or the subject is
    /// invalid, if there is no scope, or if an option is set that access tokens can't use. With a
    /// subject, no lifetime may be set, and the client's universe must be `googleapis.com`.
    pub fn access_token(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Credentials, Error> {
        Ok(Credentials::from_source(self.access_token_source(scopes)?))
    }

    /// Makes credentials with ID tokens of the target for `audience`, such as a Cloud Run URL.
    ///
    /// Nothing is sent before the first use.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the target or a delegate is invalid, if the audience is empty, or
    /// if an option is set that ID tokens can't use.
    ///
    /// # Cloud Run, with reqwest or another HTTP client
    ///
    /// [`Credentials::apply`] writes into an [`http::HeaderMap`], which is the type of reqwest's
    /// headers too: `reqwest::Client::new().get(url).headers(headers).send().await?`.
    ///
    /// ```no_run
    /// use gcp_iam_credentials::IamCredentialsClient;
    /// use http::{HeaderMap, Request};
    ///
    /// # async fn call() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = IamCredentialsClient::new()?;
    /// let caller = client.impersonate("caller@project.iam.gserviceaccount.com");
    /// let acting = caller.id_token("https://my-service.run.app")?;
    ///
    /// let mut headers = HeaderMap::new();
    /// acting.apply(&mut headers).await?;
    /// let mut request = Request::get("https://my-service.run.app/path").body(())?;
    /// *request.headers_mut() = headers;
    /// # Ok(())
    /// # }
    /// ```
    pub fn id_token(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        Ok(Credentials::from_source(self.id_token_source(audience)?))
    }

    /// Makes credentials with JWTs that the target signs itself. Google APIs accept them in place of
    /// access tokens. `audience` is the API's URL, such as `https://pubsub.googleapis.com/`.
    ///
    /// Nothing is sent before the first use.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the target isn't an e-mail address, if a delegate or the lifetime
    /// is invalid, if the audience is empty, or if an option is set that self-signed JWTs can't
    /// use.
    pub fn self_signed_jwt(&self, audience: impl AsRef<str>) -> Result<Credentials, Error> {
        Ok(Credentials::from_source(self.self_signed_jwt_source(audience)?))
    }

    /// Makes a signer that signs bytes and claims as the target. Sends nothing.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the target isn't an e-mail address, if a delegate is invalid, or if
    /// an option other than the delegates is set.
    pub fn signer(&self) -> Result<Signer, Error> {
        self.check_options(Verb::Signer)?;
        self.require_email()?;
        Ok(Signer::new(self.client.clone(), self.target.clone()?, self.delegates.clone()?))
    }

    /// Sets what applies unless the program sets the option.
    pub(crate) fn in_file(mut self, options: OptionsInFile) -> Self {
        self.in_file = options;
        self
    }

    fn access_token_source(
        &self,
        scopes: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<ImpersonatedSource, Error> {
        let verb = self.access_token_verb();
        self.check_options(verb)?;
        let scopes = checked_scopes(scopes)?;
        let token = match &self.subject {
            None => TokenRequest::AccessToken { scopes, lifetime: checked_lifetime(self.token_lifetime())? },
            Some(subject) => {
                let token = TokenRequest::user_access_token(&self.client, subject, scopes)?;
                self.require_email()?;
                token
            }
        };
        self.source(token)
    }

    fn id_token_source(&self, audience: impl AsRef<str>) -> Result<ImpersonatedSource, Error> {
        self.check_options(Verb::IdToken)?;
        let audience = checked_audience(audience.as_ref())?;
        let include_email = self.include_email.unwrap_or(false);
        self.source(TokenRequest::IdToken { audience, include_email })
    }

    fn self_signed_jwt_source(&self, audience: impl AsRef<str>) -> Result<ImpersonatedSource, Error> {
        self.check_options(Verb::SelfSignedJwt)?;
        self.require_email()?;
        let audience = checked_audience(audience.as_ref())?;
        let lifetime = self.self_signed_lifetime()?;
        self.source(TokenRequest::SelfSignedJwt { audience, lifetime })
    }

    fn source(&self, token: TokenRequest) -> Result<ImpersonatedSource, Error> {
        Ok(ImpersonatedSource::new(
            self.client.clone(),
            &self.target.clone()?,
            self.delegates.clone()?,
            token,
            self.quota_project.clone().or_else(|| self.in_file.quota_project.clone()),
        ))
    }

    fn access_token_verb(&self) -> Verb {
        if self.subject.is_some() { Verb::UserAccessToken } else { Verb::AccessToken }
    }

    fn token_lifetime(&self) -> Duration {
        self.lifetime.or(self.in_file.lifetime).unwrap_or(Self::LIFETIME)
    }

    fn self_signed_lifetime(&self) -> Result<Duration, Error> {
        let lifetime = self.lifetime.unwrap_or(Self::LIFETIME);
        if lifetime < Duration::from_secs(1) || lifetime > Self::LIFETIME {
            let problem = format!("must be between 1 s and 1 h for a self-signed JWT, got {lifetime:?}");
            return Err(Error::invalid("lifetime", problem));
        }
        Ok(lifetime)
    }

    /// Checks that no option is set that `verb` can't use, and that the quota project is valid.
    fn check_options(&self, verb: Verb) -> Result<(), Error> {
        let options = [
            ("lifetime", self.lifetime.is_some()),
            ("include_email", self.include_email.is_some()),
            ("subject", self.subject.is_some()),
            ("quota_project", self.quota_project.is_some()),
        ];
        match options.iter().find(|(option, set)| *set && !verb.options().contains(option)) {
            Some((option, _)) => Err(Error::invalid(*option, format!("can't be set for {}", verb.product()))),
            None => self.check_quota_project(),
        }
    }

    fn check_quota_project(&self) -> Result<(), Error> {
        match &self.quota_project {
            Some(project) => headers::quota_project(project, "quota_project").map(drop),
            None => Ok(()),
        }
    }

    /// Checks that the target is an e-mail address, which becomes the issuer of what the target signs.
    fn require_email(&self) -> Result<(), Error> {
        match &self.target {
            Ok(target) if !target.account().contains('@') => {
                let got = target.account();
                let problem = format!("must be an e-mail address to sign with, got the unique id {got}");
                Err(Error::invalid("target", problem))
            }
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
