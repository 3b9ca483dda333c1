//! What can go wrong, for programs and for people.

mod code;
mod service;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tonic::Code;

#[cfg(feature = "emulator")]
pub(crate) use self::code::code_from_name;
pub(crate) use self::code::code_name;
pub use self::service::ServiceError;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Any failure of this crate.
///
/// Shown to a person it says what failed, on which account, why, and what to do about it. A
/// program asks [`kind`](Self::kind), [`is_transient`](Self::is_transient) and
/// [`service`](Self::service). Cheap to clone, so that all who wait for one token share one error.
/// No secret is ever in it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// The kinds of [`Error`], by what a caller can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument, a setting or a credential file is wrong: mend it. Nothing was sent.
    /// [`Error::field`] names the culprit.
    InvalidInput,
    /// The source credential gave no token: see to the credentials the program runs with.
    Credentials,
    /// The service answered with an error status: [`Error::service`] has it.
    Service,
    /// The time allowed ran out.
    Timeout,
    /// The connection could not be made, or broke.
    Transport,
    /// The service's answer makes no sense, a token without expiry for example.
    InvalidReply,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    transient: bool,
    /// Whether somebody closer to the wire has already tried again.
    retried: bool,
    operation: Option<&'static str>,
    account: Option<Box<str>>,
    attempts: u32,
    field: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    service: Option<ServiceError>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of a [`TokenSource`](crate::TokenSource) that may pass by itself: trying again
    /// later makes sense, and a client with retries left does so.
    ///
    /// `cause` ends up in logs: keep secrets out of it.
    pub fn transient(cause: impl Into<BoxError>) -> Self {
        Self::from_source(cause, true)
    }

    /// A failure of a [`TokenSource`](crate::TokenSource) that stays until somebody mends
    /// something: it is not retried.
    ///
    /// `cause` ends up in logs: keep secrets out of it.
    pub fn permanent(cause: impl Into<BoxError>) -> Self {
        Self::from_source(cause, false)
    }

    fn from_source(cause: impl Into<BoxError>, transient: bool) -> Self {
        let cause: Arc<dyn StdError + Send + Sync> = cause.into().into();
        let mut error = Self::new(ErrorKind::Credentials, cause.to_string());
        error.set(|inner| {
            inner.transient = transient;
            inner.source = Some(cause);
        });
        error
    }

    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            transient: false,
            retried: false,
            operation: None,
            account: None,
            attempts: 0,
            field: None,
            message: message.into(),
            service: None,
            source: None,
        }))
    }

    /// `field` is wrong: `problem` finishes the sentence.
    pub(crate) fn invalid(
        field: impl Into<Cow<'static, str>>,
        problem: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut error = Self::new(ErrorKind::InvalidInput, problem);
        error.set(|inner| inner.field = Some(field.into()));
        error
    }

    /// The problem is with one element of its field, a list.
    pub(crate) fn at_index(mut self, index: usize) -> Self {
        self.set(|inner| inner.field = inner.field.take().map(|field| format!("{field}[{index}]").into()));
        self
    }

    /// The field stands in this file.
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        self.set(|inner| inner.message = format!("in {file} {}", inner.message).into());
        self
    }

    /// The field stands in the object of its file that this prefix leads to.
    pub(crate) fn in_object(mut self, prefix: &str) -> Self {
        if !prefix.is_empty() {
            self.set(|inner| inner.field = inner.field.take().map(|field| format!("{prefix}{field}").into()));
        }
        self
    }

    pub(crate) fn credentials(message: impl Into<Cow<'static, str>>, transient: bool) -> Self {
        let mut error = Self::new(ErrorKind::Credentials, message);
        error.set(|inner| inner.transient = transient);
        error
    }

    pub(crate) fn status(service: ServiceError, transient: bool) -> Self {
        let mut error = Self::new(ErrorKind::Service, "");
        error.set(|inner| {
            inner.transient = transient;
            inner.source = Some(service.shared_status());
            inner.service = Some(service);
        });
        error
    }

    /// Time ran out; `last` is what went wrong before that, if anything did.
    pub(crate) fn timeout(message: impl Into<Cow<'static, str>>, last: Option<Error>) -> Self {
        let mut error = Self::new(ErrorKind::Timeout, message);
        error.set(|inner| {
            inner.transient = true;
            inner.source = last.map(|last| Arc::new(last) as _);
        });
        error
    }

    pub(crate) fn transport(
        message: impl Into<Cow<'static, str>>,
        source: Option<Arc<dyn StdError + Send + Sync>>,
        transient: bool,
    ) -> Self {
        let mut error = Self::new(ErrorKind::Transport, message);
        error.set(|inner| {
            inner.transient = transient;
            inner.source = source;
        });
        error
    }

    pub(crate) fn invalid_reply(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidReply, message)
    }

    /// Says which call failed.
    pub(crate) fn of(mut self, operation: &'static str) -> Self {
        self.set(|inner| inner.operation = Some(operation));
        self
    }

    /// Says which call failed, on which account, after how many attempts.
    pub(crate) fn during(mut self, operation: &'static str, account: &str, attempts: u32) -> Self {
        self.set(|inner| {
            inner.operation = Some(operation);
            inner.account = Some(account.into());
            inner.attempts = attempts;
        });
        self
    }

    /// The source failed while a call needed its token: the source's error stays reachable as
    /// [`source`](StdError::source), and its transience is kept.
    pub(crate) fn no_source_token(cause: Error) -> Self {
        let mut error = Self::new(ErrorKind::Credentials, format!("no source token: {cause}"));
        error.set(|inner| {
            inner.transient = cause.is_transient();
            inner.retried = cause.is_retried();
            inner.source = Some(Arc::new(cause));
        });
        error
    }

    /// Marks that retries are spent, so that nobody further out tries again at once.
    pub(crate) fn retried(mut self) -> Self {
        self.set(|inner| inner.retried = true);
        self
    }

    pub(crate) fn is_retried(&self) -> bool {
        self.0.retried
    }

    fn set(&mut self, change: impl FnOnce(&mut Inner)) {
        change(Arc::make_mut(&mut self.0));
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// The gRPC code that says the same: the service's own where it answered.
    ///
    /// Where it did not: `InvalidArgument` for bad input, `DeadlineExceeded` for a timeout,
    /// `Internal` for a senseless reply, and for the rest `Unavailable` if transient, else
    /// `Unauthenticated` for credentials and `Unknown` for the connection.
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

    /// The argument, setting or file field at fault, as `lifetime` or `delegates[1]`.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The service's answer, where it gave one: of this error, or of the one that caused it.
    pub fn service(&self) -> Option<&ServiceError> {
        self.0.service.as_ref().or_else(|| self.cause()?.service())
    }

    /// What to do about it, where that can be told: which role to grant on which account, which
    /// API to enable, which scope to ask for.
    pub fn hint(&self) -> Option<String> {
        match &self.0.service {
            Some(service) => service.hint(self.0.operation, self.0.account.as_deref()),
            None => self.cause()?.hint(),
        }
    }

    /// How many attempts the call made; 0 where no call was made.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The error of this crate that caused this one.
    fn cause(&self) -> Option<&Error> {
        self.0.source.as_ref()?.downcast_ref::<Error>()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(operation) = inner.operation {
            write!(f, "{operation}")?;
            if let Some(account) = &inner.account {
                write!(f, " for {account}")?;
            }
            f.write_str(": ")?;
        }
        match (&inner.field, &inner.service) {
            (Some(field), _) => write!(f, "{field}: {}", inner.message)?,
            (None, Some(service)) => write!(f, "unable to impersonate: {service}")?,
            (None, None) => f.write_str(&inner.message)?,
        }
        if inner.attempts > 1 {
            write!(f, " (after {} attempts)", inner.attempts)?;
        }
        if let (ErrorKind::Timeout, Some(last)) = (inner.kind, self.cause()) {
            write!(f, "; the attempt before: {last}")?;
        }
        // A cause that is shown has brought its own hint along.
        match &inner.service {
            Some(_) => self.hint().map_or(Ok(()), |hint| write!(f, "; {hint}")),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &inner.kind).field("transient", &inner.transient);
        if let Some(operation) = inner.operation {
            debug.field("operation", &operation);
        }
        if let Some(account) = &inner.account {
            debug.field("account", account).field("attempts", &inner.attempts);
        }
        if let Some(field) = &inner.field {
            debug.field("field", field);
        }
        match (&inner.service, &inner.source) {
            (Some(service), _) => debug.field("service", service),
            (None, Some(source)) => debug.field("message", &inner.message).field("source", source),
            (None, None) => debug.field("message", &inner.message),
        };
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
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
            (Error::invalid("lifetime", "is zero"), Code::InvalidArgument, false),
            (Error::transient("x"), Code::Unavailable, true),
            (Error::permanent("x"), Code::Unauthenticated, false),
            (Error::timeout("x", None), Code::DeadlineExceeded, true),
            (Error::transport("x", None, true), Code::Unavailable, true),
            (Error::transport("x", None, false), Code::Unknown, false),
            (Error::invalid_reply("x"), Code::Internal, false),
        ] {
            assert_eq!((error.code(), error.is_transient()), (code, transient), "{error:?}");
        }
    }

    #[test]
    fn a_source_failure_keeps_its_type_its_transience_and_its_text() {
        let io = std::io::Error::other("disk on fire");
        let error = Error::no_source_token(Error::transient(io)).during("sign_blob", "sa@example.com", 3);
        assert!(error.is_transient());
        let text = error.to_string();
        assert_eq!(text, "sign_blob for sa@example.com: no source token: disk on fire (after 3 attempts)");
        let cause = error.source().and_then(StdError::source).unwrap();
        assert!(cause.is::<std::io::Error>());
    }

    #[test]
    fn the_error_before_a_timeout_is_shown_and_reachable() {
        let last = Error::transport("connection reset", None, true);
        let error =
            Error::timeout("no answer within 60s", Some(last)).during("sign_jwt", "sa@example.com", 2);
        assert!(error.to_string().contains("the attempt before: connection reset"), "{error}");
        assert!(error.source().unwrap().is::<Error>());
    }
}
