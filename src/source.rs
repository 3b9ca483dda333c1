//! Where tokens come from.

mod authorized_user;
mod explanation;
mod fixed;
mod function;
#[cfg(feature = "gcp-auth")]
mod gcloud;
#[cfg(feature = "gcp-auth")]
mod gcp_auth;
mod hints;
#[cfg(feature = "gcp-auth")]
mod machine;
pub(crate) mod oauth;
#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
mod service_account;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use self::authorized_user::AuthorizedUserSource;
pub use self::explanation::{Explanation, Hop};
pub(crate) use self::fixed::FixedToken;
pub(crate) use self::function::FunctionSource;
#[cfg(feature = "gcp-auth")]
pub(crate) use self::gcp_auth::GcpAuthSource;
pub use self::hints::CacheHints;
#[cfg(feature = "gcp-auth")]
pub(crate) use self::machine::MachineSource;
#[cfg(all(feature = "gcp-auth", any(feature = "tls-ring", feature = "tls-aws-lc")))]
pub(crate) use self::service_account::{ServiceAccountKey, ServiceAccountSource};
use crate::{Error, Token};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A way to get one token.
///
/// It keeps no token: [`Credentials`](crate::Credentials) puts a cache around it, sees to it that
/// one fetch runs at a time, and bounds it in time.
///
/// ```
/// use gcp_iam_credentials::{BoxFuture, Credentials, Error, FetchRequest, SourceInfo, Token, TokenSource};
///
/// struct Vault;
///
/// impl TokenSource for Vault {
///     fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
///         Box::pin(async { Token::new("from-the-vault", None) })
///     }
///
///     fn info(&self) -> SourceInfo {
///         SourceInfo::new().principal("vault@project.iam.gserviceaccount.com")
///     }
/// }
///
/// let credentials = Credentials::from_source(Vault);
/// ```
pub trait TokenSource: Send + Sync {
    /// Fetches a new token.
    ///
    /// The future may be dropped at any point. Fail with [`Error::transient`] where trying again
    /// later makes sense, else with [`Error::permanent`].
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>>;

    /// Who the tokens speak for, as far as that is known without a fetch.
    fn info(&self) -> SourceInfo;

    /// What kind of source it is, for [`Credentials::explain`](crate::Credentials::explain). Nothing
    /// is sent.
    fn explain(&self) -> Explanation {
        Explanation::new("a source of the program's own")
    }

    /// What the cache should know of the tokens. Asked once, when the cache is made.
    fn cache_hints(&self) -> CacheHints {
        CacheHints::new()
    }
}

/// Why and under which conditions a token is fetched.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    reason: FetchReason,
    rejected: Option<&'a Token>,
    deadline: Instant,
}

impl<'a> FetchRequest<'a> {
    pub(crate) fn new(reason: FetchReason, rejected: Option<&'a Token>, deadline: Instant) -> Self {
        Self { reason, rejected, deadline }
    }

    /// Why a token is needed.
    pub fn reason(&self) -> FetchReason {
        self.reason
    }

    /// The token that an API refused, where that is the reason: handing out the same one again
    /// does not help.
    pub fn rejected(&self) -> Option<&'a Token> {
        self.rejected
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The time left until the fetch is given up.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Why a token is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchReason {
    /// There is none yet.
    Empty,
    /// The present one is about to expire, or has.
    Expiring,
    /// An API refused the present one.
    Rejected,
    /// Somebody asked for a new one.
    Requested,
}

/// Who a source's tokens speak for, for errors and explanations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceInfo {
    principal: Option<String>,
    universe_domain: Option<String>,
    quota_project: Option<String>,
    usage: Option<&'static str>,
}

impl SourceInfo {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the principal: an e-mail address where there is one.
    pub fn principal(mut self, principal: impl Into<String>) -> Self {
        self.principal = Some(principal.into());
        self
    }

    /// Sets the universe domain, `googleapis.com` unless in a sovereign cloud.
    pub fn universe_domain(mut self, domain: impl Into<String>) -> Self {
        self.universe_domain = Some(domain.into());
        self
    }

    /// Sets the project that calls are counted against.
    pub fn quota_project(mut self, project: impl Into<String>) -> Self {
        self.quota_project = Some(project.into());
        self
    }

    /// Sets what requests with such a token tell Google about it, in `x-goog-api-client`.
    pub(crate) fn usage(mut self, usage: &'static str) -> Self {
        self.usage = Some(usage);
        self
    }

    /// The principal, if known.
    pub fn known_principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// The universe domain, if known.
    pub fn known_universe_domain(&self) -> Option<&str> {
        self.universe_domain.as_deref()
    }

    /// The quota project, if known.
    pub fn known_quota_project(&self) -> Option<&str> {
        self.quota_project.as_deref()
    }

    pub(crate) fn known_usage(&self) -> Option<&'static str> {
        self.usage
    }
}

impl fmt::Debug for dyn TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("info", &self.info()).finish_non_exhaustive()
    }
}
