//! What a request that got no token ends with.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tonic::{Code, Status};

use crate::Error;

type BoxError = Box<dyn StdError + Send + Sync>;

const UNAVAILABLE: &str = "no credentials for this call at the moment";
const UNAUTHENTICATED: &str = "no credentials for this call";

/// Why [`BearerService`](crate::BearerService) gave no reply.
///
/// Converts into a boxed error as tower's users and tonic's clients do it, and vanishes on the way:
/// an error of the wrapped service comes out as it went in, so that tonic takes it for what it is,
/// and [`NoToken`] as a [`Status`]. For the sake of that conversion this type is no
/// [`std::error::Error`] itself.
#[derive(Debug)]
#[non_exhaustive]
pub enum BearerError<E> {
    /// The request got no token, and was not sent.
    NoToken(NoToken),
    /// The wrapped service failed.
    Inner(E),
}

impl<E: fmt::Display> fmt::Display for BearerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken(error) => error.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: Into<BoxError>> From<BearerError<E>> for BoxError {
    fn from(error: BearerError<E>) -> Self {
        match error {
            BearerError::NoToken(error) => Box::new(Status::from(error)),
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

/// A request got no token, and was not sent.
///
/// What it shows, and the [`Status`] it becomes, say no more than that, for handlers forward
/// statuses to strangers: neither names the principal, nor shows IAM's answer. The [`Error`] with
/// all of that is its [`source`](StdError::source); [`find_in`](Self::find_in) gets it back from a
/// status.
///
/// ```
/// use gcp_iam_credentials::NoToken;
///
/// fn log(status: &tonic::Status) {
///     if let Some(cause) = NoToken::find_in(status) {
///         eprintln!("{cause}");
///     }
/// }
/// ```
#[derive(Clone)]
pub struct NoToken(Error);

impl NoToken {
    pub(super) fn new(cause: Error) -> Self {
        Self(cause)
    }

    /// What went wrong. Not for strangers: it may name accounts, roles and commands.
    pub fn cause(&self) -> &Error {
        &self.0
    }

    /// `Unavailable` where the cause is transient, else `Unauthenticated`: never the code of IAM's
    /// answer, which would be taken for the called API's.
    pub fn code(&self) -> Code {
        if self.0.is_transient() { Code::Unavailable } else { Code::Unauthenticated }
    }

    /// Why a request got no token, if that is what `error` or one of its sources says.
    pub fn find_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
        let mut chain = std::iter::successors(Some(error), |error| (**error).source());
        chain.find_map(|error| error.downcast_ref::<Self>()).map(Self::cause)
    }

    fn message(&self) -> &'static str {
        if self.0.is_transient() { UNAVAILABLE } else { UNAUTHENTICATED }
    }
}

impl From<NoToken> for Status {
    /// The source is the [`NoToken`], whose source is the [`Error`].
    fn from(error: NoToken) -> Self {
        let mut status = Self::new(error.code(), error.message());
        status.set_source(Arc::new(error));
        status
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// As terse as `Display`: a [`Status`] shows the `Debug` of its source when it is displayed.
impl fmt::Debug for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoToken").finish_non_exhaustive()
    }
}

impl StdError for NoToken {
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
        let status = Status::from(NoToken::new(refused()));
        let forwarded = status.clone().into_http::<()>();
        let error: BearerError<BoxError> = BearerError::NoToken(NoToken::new(refused()));
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
    fn the_code_depends_on_transience_alone() {
        for (cause, code) in [
            (Error::transient("x"), Code::Unavailable),
            (Error::timeout("x", None), Code::Unavailable),
            (refused(), Code::Unauthenticated),
            (Error::invalid("uri", "is odd"), Code::Unauthenticated),
        ] {
            let status = Status::from(BearerError::<BoxError>::NoToken(NoToken::new(cause)));
            assert_eq!(status.code(), code);
        }
    }

    #[test]
    fn the_cause_is_found_under_any_wrapping() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapper(#[source] BoxError);

        let error: BoxError = BearerError::<BoxError>::NoToken(NoToken::new(refused())).into();
        let status = Status::from_error(Box::new(Wrapper(error)));
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(NoToken::find_in(&status).map(ToString::to_string), Some(refused().to_string()));
        assert!(NoToken::find_in(&Status::unauthenticated("by the API")).is_none());
    }

    #[test]
    fn an_inner_error_comes_out_as_it_went_in() {
        let error: BearerError<BoxError> = BearerError::Inner(Box::new(Status::aborted("lost the race")));
        assert_eq!(Status::from(error).code(), Code::Aborted);
        let error = BearerError::Inner(std::io::Error::other("disk"));
        assert_eq!(error.to_string(), "disk");
        assert!(BoxError::from(error).is::<std::io::Error>());
    }
}
