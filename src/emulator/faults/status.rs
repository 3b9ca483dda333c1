//! The fault that replies with a status, and its options.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;
use tonic_types::ErrorDetails;

use super::{Fault, FaultEffect, InvalidShare};
use crate::emulator::error::{ApiError, GOOGLE_DOMAIN};
use crate::emulator::method::Method;

/// The default message of a [`StatusFault`]: `a fault of the emulator`.
pub const DEFAULT_FAULT_MESSAGE: &str = "a fault of the emulator";

/// A [`Fault`] that replies with a status: its code, message and details.
///
/// [`Fault::status`] returns it. Set the message and the details first: the options of every fault
/// ([`method`](Self::method), [`account`](Self::account), [`times`](Self::times),
/// [`share`](Self::share), [`after`](Self::after)) turn it into a [`Fault`].
///
/// ```
/// use std::time::Duration;
///
/// use gcp_iam_credentials::emulator::{Fault, Method};
/// use gcp_iam_credentials::Code;
///
/// let quota = Fault::status(Code::ResourceExhausted)
///     .message("slow down")
///     .reason("RATE_LIMIT_EXCEEDED")
///     .retry_info(Duration::from_secs(2))
///     .method(Method::SignBlob)
///     .times(1);
/// # let _: Fault = quota;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StatusFault {
    code: Code,
    message: String,
    details: ErrorDetails,
}

impl StatusFault {
    pub(super) fn new(code: Code) -> Self {
        Self { code, message: DEFAULT_FAULT_MESSAGE.to_owned(), details: ErrorDetails::new() }
    }

    /// Sets the message. Default: [`DEFAULT_FAULT_MESSAGE`].
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds an `ErrorInfo` with this reason, the domain `googleapis.com` and no metadata.
    pub fn reason(self, reason: impl Into<String>) -> Self {
        self.error_info(reason, GOOGLE_DOMAIN, HashMap::<String, String>::new())
    }

    /// Adds an `ErrorInfo` with this reason, domain and metadata.
    pub fn error_info<K: Into<String>, V: Into<String>>(
        mut self,
        reason: impl Into<String>,
        domain: impl Into<String>,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.details.set_error_info(reason, domain, metadata);
        self
    }

    /// Adds a `RetryInfo`: the least time that a client must wait before it tries again.
    pub fn retry_info(mut self, wait: Duration) -> Self {
        self.details.set_retry_info(Some(wait));
        self
    }

    /// Replaces all details: `ErrorInfo`, `RetryInfo`, `Help`, `BadRequest` or `DebugInfo`. Call it
    /// before the methods that add one.
    pub fn details(mut self, details: ErrorDetails) -> Self {
        self.details = details;
        self
    }

    /// Waits before the reply: see [`Fault::after`].
    pub fn after(self, delay: Duration) -> Fault {
        Fault::from(self).after(delay)
    }

    /// Applies only to requests of this method: see [`Fault::method`].
    pub fn method(self, method: Method) -> Fault {
        Fault::from(self).method(method)
    }

    /// Applies only to requests for this account: see [`Fault::account`].
    pub fn account(self, account: impl Into<String>) -> Fault {
        Fault::from(self).account(account)
    }

    /// Applies this many times: see [`Fault::times`].
    pub fn times(self, times: u64) -> Fault {
        Fault::from(self).times(times)
    }

    /// Applies to a share of the requests: see [`Fault::share`].
    ///
    /// # Errors
    ///
    /// Returns [`InvalidShare`] if `share` isn't a number from 0.0 to 1.0.
    pub fn share(self, share: f64) -> Result<Fault, InvalidShare> {
        Fault::from(self).share(share)
    }
}

impl From<StatusFault> for Fault {
    fn from(status: StatusFault) -> Self {
        let StatusFault { code, message, details } = status;
        Self::new(FaultEffect::Status(ApiError::with_details(code, message, details)))
    }
}
