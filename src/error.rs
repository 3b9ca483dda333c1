//! The crate's error: for programs and for people.

mod access_path;
mod code;
mod constructors;
mod display;
#[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
mod federation;
mod kind;
mod local;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod refusal;
mod service;
mod text;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::sync::Arc;

use tonic::Code;

pub(crate) use self::access_path::AccessPath;
#[cfg(feature = "emulator")]
pub(crate) use self::access_path::add_binding;
#[cfg(any(feature = "credential-files", feature = "emulator"))]
pub(crate) use self::code::code_from_name;
pub(crate) use self::code::code_name;
pub(crate) use self::federation::FederationRefusal;
#[cfg(feature = "credential-files")]
pub(crate) use self::federation::{FederationFacts, ProviderDescription, ProviderName, SubjectFacts};
pub use self::kind::ErrorKind;
use self::local::LocalFailure;
pub(crate) use self::refusal::{RefusalCause, Remedy};
pub use self::service::ServiceError;
pub(crate) use self::text::shorten;
use crate::printable::printable;

/// What commands contain in place of names that aren't known, each after the text before it.
pub(crate) fn placeholders() -> impl Iterator<Item = (&'static str, &'static str)> {
    refusal::PLACEHOLDERS.into_iter().chain(federation::PLACEHOLDERS)
}

type BoxError = Box<dyn StdError + Send + Sync>;
type SharedError = Arc<dyn StdError + Send + Sync>;

/// Any failure of this crate.
///
/// Programs decide by [`kind`](Self::kind), [`is_transient`](Self::is_transient) and
/// [`service`](Self::service). For people, the text says which operation failed, on which account
/// and why. If the crate knows what to do about it, the text has a second line that starts with
/// `fix:`.
///
/// `{}` prints this error only; its cause is its [`source`](StdError::source). `{:#}` prints the
/// whole chain of causes. No secret is ever in the text.
///
/// A clone is cheap. All callers that wait for one token share one error.
///
/// ```
/// use gcp_iam_credentials::{Code, Error, ErrorKind, Token};
///
/// fn is_worth_a_retry(error: &Error) -> bool {
///     match error.kind() {
///         // The service replied: its code tells.
///         ErrorKind::Service => error.code() == Code::Unavailable,
///         // A wrong argument or setting stays wrong.
///         ErrorKind::InvalidInput => false,
///         _ => error.is_transient(),
///     }
/// }
///
/// let error = Token::new("", None).unwrap_err();
/// assert_eq!(error.field(), Some("token"));
/// assert!(!is_worth_a_retry(&error));
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    transient: bool,
    /// Whether the innermost call has already used up its retries.
    retried: bool,
    operation: Option<&'static str>,
    account: Option<Box<str>>,
    /// Set if the service refused the call.
    path: Option<Box<AccessPath>>,
    attempts: u32,
    field: Option<Cow<'static, str>>,
    /// The file that contains the field.
    file: Option<Box<str>>,
    message: Cow<'static, str>,
    /// OAuth's `error`, if a token endpoint refused a grant.
    oauth_code: Option<Box<str>>,
    fix: Option<Cow<'static, str>>,
    /// Set if the token service refused a federated identity.
    federation: Option<Box<FederationRefusal>>,
    cause: Cause,
}

/// What an error was made from.
#[derive(Clone)]
enum Cause {
    None,
    /// The cause that a source of tokens gave. The error shows its text as its own.
    Given(SharedError),
    /// The service's reply. The error shows its text as its own.
    Service(ServiceError),
    Local(LocalFailure),
    /// An error one level down.
    Error(Error),
}

impl Error {
    /// Makes a failure of a [`TokenSource`](crate::TokenSource) that may pass by itself: fetching
    /// again later may succeed, and a client that has retries left does so.
    ///
    /// The error shows the text of `cause`, which also ends up in logs: keep secrets out of it.
    ///
    /// ```
    /// use gcp_iam_credentials::{Error, ErrorKind};
    ///
    /// let error = Error::transient("the vault is sealed");
    /// assert_eq!(error.to_string(), "the vault is sealed");
    /// assert_eq!(error.kind(), ErrorKind::Credentials);
    /// assert!(error.is_transient());
    /// ```
    pub fn transient(cause: impl Into<BoxError>) -> Self {
        Self::given(cause.into(), true)
    }

    /// Makes a failure of a [`TokenSource`](crate::TokenSource) that stays until somebody changes
    /// something: the fetch isn't retried.
    ///
    /// The error shows the text of `cause`, which also ends up in logs: keep secrets out of it.
    ///
    /// ```
    /// use gcp_iam_credentials::Error;
    ///
    /// assert!(!Error::permanent("no such role in the vault").is_transient());
    /// ```
    pub fn permanent(cause: impl Into<BoxError>) -> Self {
        Self::given(cause.into(), false)
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the same call may succeed later without any change.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Returns the gRPC code that describes the failure.
    ///
    /// If the service replied, it is the reply's code. Otherwise it is `InvalidArgument` for
    /// invalid input, `DeadlineExceeded` for a timeout, and `Internal` for a malformed reply. For
    /// credentials and transport it is `Unavailable` if transient; if not, it is `Unauthenticated`
    /// for credentials and `Unknown` for transport.
    pub fn code(&self) -> Code {
        match (self.kind(), self.is_transient()) {
            (ErrorKind::Service, _) => self.service().map_or(Code::Unknown, ServiceError::code),
            (ErrorKind::InvalidInput, _) => Code::InvalidArgument,
            (ErrorKind::Timeout, _) => Code::DeadlineExceeded,
            (ErrorKind::InvalidReply, _) => Code::Internal,
            (ErrorKind::Credentials | ErrorKind::Transport, true) => Code::Unavailable,
            (ErrorKind::Credentials, false) => Code::Unauthenticated,
            (ErrorKind::Transport, false) => Code::Unknown,
        }
    }

    /// Returns the name of the invalid argument, setting or file field: `lifetime` or
    /// `delegates[1]`, for example.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// Returns the service's reply, if it caused this error or the error that caused this one.
    pub fn service(&self) -> Option<&ServiceError> {
        match &self.0.cause {
            Cause::Service(service) => Some(service),
            _ => self.cause()?.service(),
        }
    }

    /// Returns what to do about the failure, if the crate knows: which role to grant on which
    /// account, which API to enable, which scope to request.
    ///
    /// [`Display`](std::fmt::Display) prints it after `fix:`.
    pub fn hint(&self) -> Option<String> {
        match self.fix() {
            Some(fix) => Some(printable(&fix).into_owned()),
            None => self.cause()?.hint(),
        }
    }

    /// Returns how many requests the call sent: one for each attempt that had a source token and a
    /// connection. 0 if nothing was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// Returns the foreign error that this one was made from: the cause that was given to
    /// [`transient`](Self::transient) or [`permanent`](Self::permanent), or a [`tonic::Status`].
    ///
    /// As with [`std::io::Error::get_ref`], this error shows the text of that error as its own.
    /// Therefore it isn't part of the chain of [`source`](StdError::source)s.
    ///
    /// ```
    /// use gcp_iam_credentials::Error;
    ///
    /// let error = Error::transient(std::io::Error::other("disk full"));
    /// assert!(error.get_ref().is_some_and(|cause| cause.is::<std::io::Error>()));
    /// ```
    pub fn get_ref(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        match &self.0.cause {
            Cause::Given(error) => Some(&**error),
            Cause::Service(service) => Some(service.status()),
            Cause::Local(failure) => Some(failure.status()),
            Cause::None | Cause::Error(_) => None,
        }
    }

    /// The error of this crate that caused this one.
    fn cause(&self) -> Option<&Error> {
        match &self.0.cause {
            Cause::Error(error) => Some(error),
            Cause::Given(error) => error.downcast_ref::<Error>(),
            _ => None,
        }
    }

    /// The advice of this level of the chain.
    fn fix(&self) -> Option<Cow<'static, str>> {
        match &self.0.cause {
            Cause::Service(_) => Some(self.refusal()?.advice(&self.path()).into()),
            Cause::Given(cause) => cause.downcast_ref::<Error>()?.fix(),
            _ => self.0.fix.clone(),
        }
    }

    /// Returns the path of the call. Without a caller and delegates if they aren't known.
    fn path(&self) -> Cow<'_, AccessPath> {
        match &self.0.path {
            Some(path) => Cow::Borrowed(path),
            None => {
                let accounts = self.0.account.iter().cloned().collect();
                Cow::Owned(AccessPath { accounts, ..AccessPath::default() })
            }
        }
    }

    /// Returns why the service refused the request, if [`service`](Self::service) says so.
    pub(crate) fn refusal(&self) -> Option<RefusalCause> {
        RefusalCause::of(self.service()?, self.0.operation)
    }

    /// Returns what to do, if the service refused this call, or the call that this one needed: the
    /// remedy, and whether the caller may be another principal than the one that it names.
    pub(crate) fn remedy(&self) -> Option<(Remedy, bool)> {
        match &self.0.cause {
            Cause::Service(_) => {
                let path = self.path();
                Some((self.refusal()?.remedy_on(&path), path.is_caller_likely))
            }
            _ => self.cause()?.remedy(),
        }
    }

    /// Returns OAuth's code, such as `invalid_grant`, if a token endpoint refused a grant.
    #[cfg_attr(not(feature = "credential-files"), allow(dead_code))]
    pub(crate) fn oauth_code(&self) -> Option<&str> {
        match &self.0.oauth_code {
            Some(code) => Some(code),
            None => self.cause()?.oauth_code(),
        }
    }

    /// Returns why the token service refused a federated identity, if it did.
    pub(crate) fn federation(&self) -> Option<&FederationRefusal> {
        match &self.0.federation {
            Some(refusal) => Some(refusal),
            None => self.cause()?.federation(),
        }
    }

    /// Returns whether the innermost call has already used up its retries.
    pub(crate) fn is_retried(&self) -> bool {
        self.0.retried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_small_and_its_clone_is_the_same_one() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let error = Error::transient("metadata server away");
        assert!(Arc::ptr_eq(&error.0, &error.clone().0));
    }

    #[test]
    fn every_kind_has_a_code() {
        for (error, code, transient) in [
            (Error::invalid("lifetime", "must not be zero"), Code::InvalidArgument, false),
            (Error::transient("x"), Code::Unavailable, true),
            (Error::permanent("x"), Code::Unauthenticated, false),
            (Error::timeout("x", None), Code::DeadlineExceeded, true),
            (Error::transport("x", true), Code::Unavailable, true),
            (Error::transport("x", false), Code::Unknown, false),
            (Error::invalid_reply("x"), Code::Internal, false),
        ] {
            assert_eq!((error.code(), error.is_transient()), (code, transient), "{error:?}");
        }
    }

    #[test]
    fn a_source_failure_keeps_its_type_and_its_transience() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::no_source_token(Error::transient(io)).during("sign_blob", "sa@example.com", 3);
        assert!(error.is_transient());
        let cause: &Error = error.source().and_then(|cause| cause.downcast_ref()).unwrap();
        assert!(cause.get_ref().unwrap().is::<std::io::Error>());
    }

    #[test]
    fn the_error_before_a_timeout_is_reachable() {
        let last = Error::transport("connection reset", true);
        let error = Error::timeout("no success within 60 s", Some(last));
        let cause = error.source().and_then(|cause| cause.downcast_ref::<Error>());
        assert_eq!(cause.unwrap().kind(), ErrorKind::Transport);
    }
}
