//! Faults: failures that a test injects.

mod active;
mod platform;
mod status;
mod wire;

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use super::error::ApiError;
use super::method::Method;

pub(crate) use self::active::{ActiveFault, ActiveFaults};
pub use self::platform::PlatformFault;
pub use self::status::{DEFAULT_FAULT_MESSAGE, StatusFault};
pub(crate) use self::wire::{Transport, WireFault};

/// A failure of the requests that it matches.
///
/// [`FaultControl::inject`](super::FaultControl::inject) puts it into force. It applies to every
/// request until it is cleared, unless [`method`](Self::method), [`account`](Self::account),
/// [`times`](Self::times) or [`share`](Self::share) limit it. If several faults match a request,
/// only the one that was injected first applies.
///
/// ```
/// use std::time::Duration;
///
/// use gcp_iam_credentials::emulator::{Fault, Method};
/// use gcp_iam_credentials::Code;
///
/// let every_fourth_is_slow = Fault::delay(Duration::from_secs(5))
///     .method(Method::GenerateAccessToken)
///     .share(0.25)?;
/// let one_outage = Fault::status(Code::Unavailable)
///     .message("try later")
///     .times(1);
/// # let _ = (every_fourth_is_slow, one_outage);
/// # Ok::<(), gcp_iam_credentials::emulator::InvalidShare>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    effect: FaultEffect,
    delay: Duration,
    method: Option<Method>,
    account: Option<String>,
    times: Option<u64>,
    share: f64,
}

/// What a fault does after its delay.
#[derive(Clone, Debug)]
pub(crate) enum FaultEffect {
    /// Nothing more: the request is handled as usual.
    Delay,
    Status(ApiError),
    Hang,
    Wire(WireFault),
    Platform(PlatformFault),
}

impl Fault {
    /// Replies with a status. [`StatusFault`] sets its message and details.
    ///
    /// The token endpoint replies with the HTTP status and an OAuth error instead.
    pub fn status(code: Code) -> StatusFault {
        StatusFault::new(code)
    }

    /// Delays the reply by `by`. The request is then handled as usual.
    pub fn delay(by: Duration) -> Self {
        Self::new(FaultEffect::Delay).after(by)
    }

    /// Never replies. A request hangs until its client ends it, even if the fault is cleared.
    pub fn hang() -> Self {
        Self::new(FaultEffect::Hang)
    }

    /// Resets the TCP connection.
    pub fn reset() -> Self {
        Self::new(FaultEffect::Wire(WireFault::Reset))
    }

    /// Sends GOAWAY and then replies as usual, as a server does that wants to close the connection.
    /// Requests on the connection get their replies, and new ones need a new connection. Over HTTP/1,
    /// closes the connection after the reply.
    pub fn drain() -> Self {
        Self::new(FaultEffect::Wire(WireFault::Drain))
    }

    /// Sends GOAWAY and closes the connection without a reply. Over HTTP/1 it only closes.
    pub fn go_away() -> Self {
        Self::new(FaultEffect::Wire(WireFault::GoAway))
    }

    /// Sends the head of a successful reply, but never its body.
    pub fn stall_body() -> Self {
        Self::new(FaultEffect::Wire(WireFault::StallBody))
    }

    /// Sends half of the body of a successful reply, then breaks the stream.
    pub fn truncate() -> Self {
        Self::new(FaultEffect::Wire(WireFault::Truncate))
    }

    /// Replies with an HTML page and this status, as a proxy does.
    pub fn html(status: StatusCode) -> Self {
        Self::new(FaultEffect::Wire(WireFault::Html(status)))
    }

    /// Replies to gRPC requests with a status whose details aren't base64.
    pub fn bad_details() -> Self {
        Self::new(FaultEffect::Wire(WireFault::BadDetails))
    }

    /// Does what a platform outside Google Cloud may do wrong. [`account`](Self::account) limits it to one
    /// external account of the policy.
    pub fn platform(fault: PlatformFault) -> Self {
        Self::new(FaultEffect::Platform(fault))
    }

    fn new(effect: FaultEffect) -> Self {
        Self { effect, delay: Duration::ZERO, method: None, account: None, times: None, share: 1.0 }
    }

    /// Sets how long to wait before the fault takes effect. Default: zero, or the time that was passed
    /// to [`delay`](Self::delay).
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Applies only to requests of this method. Default: all methods.
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Applies only to requests for this account. Default: all accounts.
    ///
    /// Write it as the requests do: the e-mail address or the unique id.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Applies this many times, then ends. Default: no limit.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies to this share of the requests that it matches, evenly spread. Default: 1.0.
    ///
    /// 0.25 applies to every fourth request.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidShare`] if `share` isn't a number from 0.0 to 1.0.
    pub fn share(mut self, share: f64) -> Result<Self, InvalidShare> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidShare(share));
        }
        self.share = share;
        Ok(self)
    }

    /// The name of the effect on the control pages.
    pub(crate) fn effect_name(&self) -> &'static str {
        match &self.effect {
            FaultEffect::Delay => "delay",
            FaultEffect::Status(_) => "status",
            FaultEffect::Hang => "hang",
            FaultEffect::Wire(WireFault::Reset) => "reset",
            FaultEffect::Wire(WireFault::Drain) => "drain",
            FaultEffect::Wire(WireFault::GoAway) => "goAway",
            FaultEffect::Wire(WireFault::StallBody) => "stallBody",
            FaultEffect::Wire(WireFault::Truncate) => "truncate",
            FaultEffect::Wire(WireFault::Html(_)) => "html",
            FaultEffect::Wire(WireFault::BadDetails) => "badDetails",
            FaultEffect::Platform(fault) => fault.as_str(),
        }
    }

    pub(crate) fn into_effect(self) -> FaultEffect {
        self.effect
    }

    pub(crate) fn delay_before(&self) -> Duration {
        self.delay
    }

    pub(crate) fn applied_share(&self) -> f64 {
        self.share
    }

    pub(crate) fn matched_method(&self) -> Option<Method> {
        self.method
    }

    pub(crate) fn matched_account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    pub(crate) fn limit(&self) -> Option<u64> {
        self.times
    }

    /// Returns what is wrong with a platform.
    pub(crate) fn platform_fault(&self) -> Option<PlatformFault> {
        match self.effect {
            FaultEffect::Platform(fault) => Some(fault),
            _ => None,
        }
    }

    fn matches(&self, method: Method, account: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == method)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
    }
}

/// The error if the share of a [`Fault`] isn't a number from 0.0 to 1.0.
///
/// ```
/// use gcp_iam_credentials::emulator::{Fault, InvalidShare};
///
/// let result: Result<Fault, InvalidShare> = Fault::hang().share(25.0);
/// assert!(result.is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("invalid `share`: must be between 0 and 1, got {0}")]
pub struct InvalidShare(f64);

/// Identifies a fault that was injected, so that it can be cleared alone.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use gcp_iam_credentials::emulator::{Emulator, Fault, FaultId};
///
/// let emulator = Emulator::builder().start().await?;
/// let id: FaultId = emulator.faults().inject(Fault::hang());
/// assert!(emulator.faults().clear(id));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

impl FaultId {
    /// Returns the number that the control pages show.
    pub const fn number(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}
