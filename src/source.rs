//! Token sources: how one new token is fetched.
//!
//! A [`TokenSource`] fetches one token at a time and caches nothing. Put it into
//! [`Credentials`](crate::Credentials), which add the cache.
//!
//! The sources of this crate have constructors there:
//! [`fixed`](crate::Credentials::fixed), [`from_fn`](crate::Credentials::from_fn),
//! [`from_file`](crate::Credentials::from_file) and others. This module contains what you need to
//! write a source of your own:
//!
//! * [`FetchRequest`] says why a token is needed, and how long the fetch may take.
//! * [`SourceInfo`] reports whose tokens they are. [`Credentials::explain`] shows it to people.
//! * [`TokenKind`] says what they can be used for.
//! * [`CacheHints`] tells the cache about the tokens' lifetimes.
//!
//! [`Credentials::explain`]: crate::Credentials::explain
//!
//! # Example
//!
//! A source, and a unit test that needs neither a cache nor a network:
//!
//! ```
//! use gcp_iam_credentials::source::{
//!     BoxFuture, FetchReason, FetchRequest, SourceInfo, TokenSource,
//! };
//! use gcp_iam_credentials::{Error, Token};
//!
//! /// Reads the token from an environment variable.
//! struct VariableSource(&'static str);
//!
//! impl TokenSource for VariableSource {
//!     fn fetch<'a>(
//!         &'a self,
//!         request: FetchRequest<'a>,
//!     ) -> BoxFuture<'a, Result<Token, Error>> {
//!         Box::pin(async move {
//!             let secret = std::env::var(self.0).map_err(Error::permanent)?;
//!             if request.rejected().is_some_and(|old| old.secret() == secret) {
//!                 return Err(Error::permanent("the token was rejected"));
//!             }
//!             Token::new(secret, None)
//!         })
//!     }
//!
//!     fn info(&self) -> SourceInfo {
//!         SourceInfo::new().with_description("an environment variable")
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // #[tokio::test]
//! // async fn a_missing_variable_is_a_permanent_error() {
//! let source = VariableSource("A_VARIABLE_THAT_IS_NOT_SET");
//! let request = FetchRequest::new(FetchReason::Empty);
//! let error = source.fetch(request).await.unwrap_err();
//! assert!(!error.is_transient());
//! // }
//! # });
//! ```

mod authorized_user;
mod cache_hints;
#[cfg(any(feature = "credential-files", feature = "gcp-auth"))]
mod child_process;
mod closure;
mod explanation;
#[cfg(feature = "credential-files")]
pub(crate) mod external;
mod fetch_request;
mod fixed_token;
#[cfg(feature = "gcp-auth")]
mod gcloud;
#[cfg(feature = "gcp-auth")]
mod gcp_auth;
#[cfg(feature = "google-cloud-auth")]
mod google_cloud_auth;
mod hop;
mod info;
mod lines;
#[cfg(feature = "gcp-auth")]
mod metadata_or_gcloud;
#[cfg(feature = "_tls")]
mod service_account;
#[cfg(any(feature = "credential-files", feature = "gcp-auth"))]
mod thread;
pub(crate) mod token_endpoint;
mod token_kind;
#[cfg(feature = "credential-files")]
mod workforce_user;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) use self::authorized_user::AuthorizedUserSource;
pub use self::cache_hints::CacheHints;
pub(crate) use self::closure::ClosureSource;
pub use self::explanation::Explanation;
#[cfg(feature = "credential-files")]
pub use self::external::SubjectTokenRequest;
pub use self::fetch_request::{FetchReason, FetchRequest};
pub(crate) use self::fixed_token::FixedToken;
#[cfg(feature = "gcp-auth")]
pub(crate) use self::gcp_auth::GcpAuthSource;
#[cfg(feature = "google-cloud-auth")]
pub(crate) use self::google_cloud_auth::{OfficialIdTokenSource, OfficialSource};
pub use self::hop::Hop;
pub use self::info::SourceInfo;
#[cfg(feature = "gcp-auth")]
pub(crate) use self::metadata_or_gcloud::MetadataOrGcloud;
#[cfg(feature = "_tls")]
pub(crate) use self::service_account::{ServiceAccountKey, ServiceAccountSource};
pub use self::token_kind::TokenKind;
#[cfg(feature = "credential-files")]
pub(crate) use self::workforce_user::WorkforceUserSource;
use crate::{Error, Token};

/// A boxed future that can be sent between threads.
///
/// ```
/// use gcp_iam_credentials::source::BoxFuture;
///
/// fn answer() -> BoxFuture<'static, u32> {
///     Box::pin(async { 42 })
/// }
/// ```
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Fetches one new token at a time.
///
/// A source doesn't cache: [`Credentials`](crate::Credentials) add a cache, run one fetch at a
/// time, and limit its duration. The [module page](crate::source) shows how to unit-test a source.
///
/// ```
/// use gcp_iam_credentials::source::{BoxFuture, FetchRequest};
/// use gcp_iam_credentials::{Credentials, Error, Token, TokenSource};
///
/// struct Vault;
///
/// impl TokenSource for Vault {
///     fn fetch<'a>(
///         &'a self,
///         _request: FetchRequest<'a>,
///     ) -> BoxFuture<'a, Result<Token, Error>> {
///         Box::pin(async { Token::new("from-the-vault", None) })
///     }
/// }
///
/// let credentials = Credentials::from_source(Vault);
/// ```
pub trait TokenSource: Send + Sync {
    /// Fetches a new token.
    ///
    /// The future may be dropped at any point.
    ///
    /// # Errors
    ///
    /// Return [`Error::transient`] if a later fetch may succeed without a change by a person, else
    /// [`Error::permanent`].
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>>;

    /// Returns what is known about the source and its tokens without a fetch. Default: nothing.
    fn info(&self) -> SourceInfo {
        SourceInfo::new()
    }

    /// Returns what the cache needs to know about the tokens. It is called once, when the cache is
    /// created. Default: [`CacheHints::new`].
    fn cache_hints(&self) -> CacheHints {
        CacheHints::new()
    }

    /// Returns a number that changes when what the source authenticates with is replaced: its key,
    /// its login, the file that contains them. Default: always 0.
    ///
    /// While a failure is returned again, the cache compares the number with the one from before the
    /// failed fetch. If they differ, it asks the source at once. So the first call after a file was
    /// replaced succeeds.
    ///
    /// It is called before each fetch, and by the calls that would get an earlier failure. It may
    /// read a small file, but must not wait for anything else. A source over other sources combines
    /// their numbers, or returns the number of the only one that it has.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use gcp_iam_credentials::source::{BoxFuture, FetchRequest};
    /// use gcp_iam_credentials::{Error, Token, TokenSource};
    ///
    /// /// The program replaces its password while it runs.
    /// struct Vault {
    ///     replaced: AtomicU64,
    /// }
    ///
    /// impl TokenSource for Vault {
    ///     fn fetch<'a>(
    ///         &'a self,
    ///         _request: FetchRequest<'a>,
    ///     ) -> BoxFuture<'a, Result<Token, Error>> {
    ///         Box::pin(async { Err(Error::permanent("wrong password")) })
    ///     }
    ///
    ///     fn revision(&self) -> u64 {
    ///         self.replaced.load(Ordering::Acquire)
    ///     }
    /// }
    /// # let vault = Vault { replaced: AtomicU64::new(7) };
    /// # assert_eq!(vault.revision(), 7);
    /// ```
    fn revision(&self) -> u64 {
        0
    }
}

impl<T: TokenSource + ?Sized> TokenSource for Arc<T> {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        (**self).fetch(request)
    }

    fn info(&self) -> SourceInfo {
        (**self).info()
    }

    fn cache_hints(&self) -> CacheHints {
        (**self).cache_hints()
    }

    fn revision(&self) -> u64 {
        (**self).revision()
    }
}

impl fmt::Debug for dyn TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("info", &self.info()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Implements only what it must.
    struct Minimal;

    impl TokenSource for Minimal {
        fn fetch<'a>(&'a self, _request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
            Box::pin(async { Token::new("minimal", None) })
        }
    }

    #[tokio::test]
    async fn a_source_behind_an_arc_is_a_source_even_as_a_trait_object() {
        let shared: Arc<dyn TokenSource> = Arc::new(FixedToken::new(Token::new("fixed", None).unwrap()));
        let credentials = crate::Credentials::from_source(Arc::clone(&shared));
        assert_eq!(credentials.token().await.unwrap().secret(), "fixed");
        assert_eq!(credentials.info(), shared.info());
        assert_eq!(
            TokenSource::cache_hints(&shared),
            FixedToken::new(Token::new("x", None).unwrap()).cache_hints()
        );
    }

    #[tokio::test]
    async fn a_source_that_implements_only_fetch_can_be_explained() {
        let credentials = crate::Credentials::from_source(Minimal);
        assert_eq!(credentials.explain().to_string(), "credentials: a custom token source");
        assert_eq!(credentials.token().await.unwrap().secret(), "minimal");
    }
}
