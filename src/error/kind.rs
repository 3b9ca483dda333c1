//! The kinds of errors.

/// The kinds of [`Error`](crate::Error), by what a caller can do about them.
///
/// ```
/// use gcp_iam_credentials::{Error, ErrorKind};
///
/// let error = Error::permanent("no login on this machine");
/// match error.kind() {
///     ErrorKind::InvalidInput => println!("correct {:?}", error.field()),
///     ErrorKind::Credentials => println!("check the source: {error:#}"),
///     kind => println!("{kind:?}: {error:#}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, a setting or a credential file is invalid. Nothing was sent.
    ///
    /// What to do: correct what [`Error::field`](crate::Error::field) names. Never transient.
    InvalidInput,
    /// The source gave no token.
    ///
    /// What to do: check the credentials that the program runs with. Transient if the source can't
    /// be reached at the moment.
    Credentials,
    /// The service replied with an error status: [`Error::service`](crate::Error::service) returns
    /// it.
    ///
    /// What to do: follow [`Error::hint`](crate::Error::hint), or decide by
    /// [`ServiceError::reason`](crate::call::ServiceError::reason). Transient for `UNAVAILABLE`,
    /// `DEADLINE_EXCEEDED`, `INTERNAL`, `RESOURCE_EXHAUSTED`, `ABORTED` and `CANCELLED`.
    Service,
    /// The time allowed is over. Always transient.
    ///
    /// What to do: see the error's source for the failure before that.
    Timeout,
    /// The connection couldn't be made, or was lost. Transient unless TLS refused it.
    Transport,
    /// The reply was malformed: a token without an expiry, for example. Never transient.
    InvalidReply,
}
