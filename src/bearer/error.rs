//! The errors of the layer and of the interceptor.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tonic::{Code, Status};

use crate::Error;

type BoxError = Box<dyn StdError + Send + Sync>;

const UNAVAILABLE: &str = "no credentials for this call at the moment";
const UNAUTHENTICATED: &str = "no credentials for this call";

/// The error of a [`BearerService`](crate::bearer::BearerService).
///
/// It converts into a boxed error and into a [`Status`], as tower's layers and tonic's clients
/// require. An error of the inner service isn't wrapped, so tonic classifies it as it would without
/// the layer. A [`TokenError`] becomes a [`Status`]. Because of these conversions, the type doesn't
/// implement [`std::error::Error`] itself.
///
/// ```
/// use gcp_iam_credentials::bearer::BearerError;
///
/// fn explain<E: std::fmt::Display>(error: &BearerError<E>) -> String {
///     match error {
///         BearerError::Token(error) => format!("not sent: {}", error.cause()),
///         BearerError::Inner(error) => format!("the service failed: {error}"),
///         other => other.to_string(),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum BearerError<E> {
    /// The request got no token, so it wasn't sent.
    Token(TokenError),
    /// The inner service failed.
    Inner(E),
}

impl<E> From<TokenError> for BearerError<E> {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl<E> From<Error> for BearerError<E> {
    fn from(error: Error) -> Self {
        Self::Token(error.into())
    }
}

impl<E: fmt::Display> fmt::Display for BearerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: Into<BoxError>> From<BearerError<E>> for BoxError {
    fn from(error: BearerError<E>) -> Self {
        match error {
            BearerError::Token(error) => Box::new(Status::from(error)),
            BearerError::Inner(error) => error.into(),
        }
    }
}

impl<E: Into<BoxError>> From<BearerError<E>> for Box<dyn StdError> {
    fn from(error: BearerError<E>) -> Self {
        BoxError::from(error)
    }
}

impl<E: Into<BoxError>> From<BearerError<E>> for Status {
    fn from(error: BearerError<E>) -> Self {
        Self::from_error(error.into())
    }
}

/// A request got no token, so it wasn't sent.
///
/// Handlers forward statuses to untrusted callers. So this error's text, and the [`Status`] that it
/// converts into, are constant: they contain no principal, no role and nothing of IAM's reply. The
/// [`Error`] with the details is the [`source`](StdError::source). To get it back from a status, use
/// [`find_in`](Self::find_in).
///
/// With `?`, every [`Error`] of this crate becomes such a status:
///
/// ```
/// use gcp_iam_credentials::Credentials;
/// use gcp_iam_credentials::bearer::TokenError;
/// use http::HeaderMap;
/// use tonic::{Request, Response, Status};
///
/// async fn handler(
///     acting: &Credentials,
///     _request: Request<()>,
/// ) -> Result<Response<()>, Status> {
///     let mut headers = HeaderMap::new();
///     acting.apply(&mut headers).await?;
///     // … a call with these headers …
///     Ok(Response::new(()))
/// }
///
/// /// Logs the details, which the caller doesn't get.
/// fn log(status: &Status) {
///     if let Some(cause) = TokenError::find_in(status) {
///         eprintln!("{cause}");
///     }
/// }
/// ```
#[derive(Clone)]
pub struct TokenError(Error);

impl TokenError {
    /// Returns why there is no token. Don't send this error to untrusted callers: it may contain
    /// accounts, roles and commands.
    pub fn cause(&self) -> &Error {
        &self.0
    }

    /// Returns `Unavailable` if the cause is transient, else `Unauthenticated`.
    ///
    /// It is never the code of IAM's reply, because a caller would think that the called API sent it.
    pub fn code(&self) -> Code {
        if self.0.is_transient() { Code::Unavailable } else { Code::Unauthenticated }
    }

    /// Returns why a request got no token, if `error` or one of its sources is a `TokenError`.
    pub fn find_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
        let mut chain = std::iter::successors(Some(error), |error| (**error).source());
        chain.find_map(|error| error.downcast_ref::<Self>()).map(Self::cause)
    }

    fn message(&self) -> &'static str {
        if self.0.is_transient() { UNAVAILABLE } else { UNAUTHENTICATED }
    }
}

impl From<Error> for TokenError {
    fn from(cause: Error) -> Self {
        Self(cause)
    }
}

impl From<TokenError> for Status {
    /// Returns a status with a constant message. Its source is the [`TokenError`].
    fn from(error: TokenError) -> Self {
        let mut status = Self::new(error.code(), error.message());
        status.set_source(Arc::new(error));
        status
    }
}

impl From<Error> for Status {
    /// Returns the status of a [`TokenError`]: its message is constant, and its code is `Unavailable`
    /// if the error is transient, else `Unauthenticated`.
    fn from(error: Error) -> Self {
        TokenError::from(error).into()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Shows no details, because a [`Status`] shows the `Debug` form of its source.
impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenError").finish_non_exhaustive()
    }
}

impl StdError for TokenError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        let cause = Error::permanent("PERMISSION_DENIED: iam.serviceAccounts.getAccessToken");
        cause.during("generate_access_token", "robot@example.iam.gserviceaccount.com", 1)
    }

    /// conf: M32, M18
    #[test]
    fn nothing_that_is_forwarded_names_the_principal_or_the_role() {
        let status = Status::from(TokenError::from(refused()));
        let forwarded = status.clone().into_http::<()>();
        let error: BearerError<BoxError> = BearerError::Token(TokenError::from(refused()));
        for shown in [
            format!("{status}"),
            format!("{status:?}"),
            format!("{:?}", forwarded.headers()),
            format!("{error} {error:?}"),
        ] {
            assert!(!shown.contains("robot") && !shown.contains("iam"), "{shown}");
        }
    }

    #[test]
    fn the_code_depends_only_on_whether_the_cause_is_transient() {
        for (cause, code) in [
            (Error::transient("x"), Code::Unavailable),
            (Error::timeout("x", None), Code::Unavailable),
            (refused(), Code::Unauthenticated),
            (Error::invalid("uri", "must be https"), Code::Unauthenticated),
        ] {
            let status = Status::from(BearerError::<BoxError>::Token(TokenError::from(cause)));
            assert_eq!(status.code(), code);
        }
    }

    #[test]
    fn the_cause_is_found_under_any_wrapping() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapper(#[source] BoxError);

        let error: BoxError = BearerError::<BoxError>::Token(TokenError::from(refused())).into();
        let status = Status::from_error(Box::new(Wrapper(error)));
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(TokenError::find_in(&status).map(ToString::to_string), Some(refused().to_string()));
        assert!(TokenError::find_in(&Status::unauthenticated("by the API")).is_none());
    }

    #[test]
    fn an_inner_error_is_passed_on_unchanged() {
        let error: BearerError<BoxError> = BearerError::Inner(Box::new(Status::aborted("lost the race")));
        assert_eq!(Status::from(error).code(), Code::Aborted);
        let error = BearerError::Inner(std::io::Error::other("disk"));
        assert_eq!(error.to_string(), "disk");
        assert!(BoxError::from(error).is::<std::io::Error>());
    }
}
