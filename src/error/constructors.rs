//! How the crate makes errors, and adds to them what callers further out know.

use std::borrow::Cow;
use std::sync::Arc;
#[cfg(feature = "credential-files")]
use std::time::SystemTime;

use tonic::Status;

#[cfg(feature = "credential-files")]
use super::FederationRefusal;
use super::local::{IsWrapper, LocalFailure};
use super::{AccessPath, BoxError, Cause, Error, ErrorKind, Inner, ServiceError};

impl Error {
    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            transient: false,
            retried: false,
            operation: None,
            account: None,
            path: None,
            attempts: 0,
            field: None,
            file: None,
            message: message.into(),
            oauth_code: None,
            fix: None,
            federation: None,
            cause: Cause::None,
        }))
    }

    pub(super) fn given(cause: BoxError, transient: bool) -> Self {
        Self::new(ErrorKind::Credentials, "").with(|inner| {
            inner.transient = transient;
            inner.cause = Cause::Given(cause.into());
        })
    }

    /// `field` is invalid. `expectation` says what it must be, and what it is.
    pub(crate) fn invalid(
        field: impl Into<Cow<'static, str>>,
        expectation: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(ErrorKind::InvalidInput, expectation).with(|inner| inner.field = Some(field.into()))
    }

    pub(crate) fn credentials(message: impl Into<Cow<'static, str>>, transient: bool) -> Self {
        Self::new(ErrorKind::Credentials, message).with(|inner| inner.transient = transient)
    }

    /// A call's source failed. Whether that is transient and retried is kept.
    pub(crate) fn no_source_token(cause: Error) -> Self {
        Self::new(ErrorKind::Credentials, "no source token").with(|inner| {
            inner.transient = cause.is_transient();
            inner.retried = cause.is_retried();
            inner.cause = Cause::Error(cause);
        })
    }

    /// The service replied with an error status.
    pub(crate) fn status(service: ServiceError, transient: bool) -> Self {
        Self::new(ErrorKind::Service, "").with(|inner| {
            inner.transient = transient;
            inner.cause = Cause::Service(service);
        })
    }

    /// The time is over. `last` is the failure before that, if there was one.
    pub(crate) fn timeout(message: impl Into<Cow<'static, str>>, last: Option<Error>) -> Self {
        Self::new(ErrorKind::Timeout, message).with(|inner| {
            inner.transient = true;
            inner.cause = last.map_or(Cause::None, Cause::Error);
        })
    }

    pub(crate) fn transport(message: impl Into<Cow<'static, str>>, transient: bool) -> Self {
        Self::new(ErrorKind::Transport, message).with(|inner| inner.transient = transient)
    }

    pub(crate) fn invalid_reply(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidReply, message)
    }

    /// Adds advice: an imperative, without `fix:`.
    pub(crate) fn fix_by(self, fix: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.fix = Some(fix.into()))
    }

    /// Says with which code a token endpoint refused a grant.
    pub(crate) fn with_oauth_code(self, code: &str) -> Self {
        self.with(|inner| inner.oauth_code = Some(code.into()))
    }

    /// Says why the token service refused a federated identity, what is known about its subject token,
    /// and what to do.
    #[cfg(feature = "credential-files")]
    pub(crate) fn explained_by(self, refusal: FederationRefusal, now: SystemTime) -> Self {
        self.with(|inner| {
            inner.message =
                format!("{} (subject token {})", inner.message, refusal.subject_token(now)).into();
            inner.fix = Some(refusal.advice(now).into());
            inner.federation = Some(Box::new(refusal));
        })
    }

    /// Adds the status that the gRPC library made of a failure on this machine. Wrappers around its
    /// cause aren't shown.
    pub(crate) fn with_status(self, status: Status, is_wrapper: IsWrapper) -> Self {
        self.with(|inner| inner.cause = Cause::Local(LocalFailure::new(status, is_wrapper)))
    }

    /// The invalid field is this element of a list.
    pub(crate) fn at_index(self, index: usize) -> Self {
        self.map_field(|field| format!("{field}[{index}]"))
    }

    /// The invalid field is in this file.
    pub(crate) fn in_file(self, file: &str) -> Self {
        self.with(|inner| inner.file = Some(file.into()))
    }

    /// The invalid field is in the object of its file that this prefix leads to.
    pub(crate) fn in_object(self, prefix: &str) -> Self {
        match prefix {
            "" => self,
            _ => self.map_field(|field| format!("{prefix}{field}")),
        }
    }

    /// Says which call failed.
    pub(crate) fn of(self, operation: &'static str) -> Self {
        self.with(|inner| inner.operation = Some(operation))
    }

    /// Says which call failed, on which account, after how many attempts.
    pub(crate) fn during(self, operation: &'static str, account: &str, attempts: u32) -> Self {
        self.with(|inner| {
            inner.operation = Some(operation);
            inner.account = Some(account.into());
            inner.attempts = attempts;
        })
    }

    /// Says which path the call took, if the service refused it. Advice names the accounts on it.
    pub(crate) fn on_path(self, path: impl FnOnce() -> AccessPath) -> Self {
        match self.0.cause {
            Cause::Service(_) => self.with(|inner| inner.path = Some(Box::new(path()))),
            _ => self,
        }
    }

    /// Says that the retries are used up, so that no outer call retries at once.
    pub(crate) fn retried(self) -> Self {
        self.with(|inner| inner.retried = true)
    }

    fn map_field(self, map: impl FnOnce(Cow<'static, str>) -> String) -> Self {
        self.with(|inner| inner.field = inner.field.take().map(|field| map(field).into()))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}
