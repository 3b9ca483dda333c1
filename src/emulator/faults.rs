//! Faults: what a test makes go wrong.

mod active;
mod status;
mod wire;

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use super::error::ApiError;
use super::method::Method;

pub(crate) use self::active::{ActiveFault, ActiveFaults};
pub use self::status::{DEFAULT_FAULT_MESSAGE, StatusFault};
pub(crate) use self::wire::{Transport, WireFault};

/// Something that goes wrong with the requests that it matches.
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
///     .share(0.25);
/// let one_outage = Fault::status(Code::Unavailable)
///     .message("try later")
///     .times(1);
/// # let _ = (every_fourth_is_slow, one_outage);
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

/// What a fault does, once its delay has passed.
#[derive(Clone, Debug)]
pub(crate) enum FaultEffect {
    /// Nothing more: the request is answered as usual.
    Delay,
    Status(ApiError),
    Hang,
    Wire(WireFault),
}

impl Fault {
    /// Answers with a status. [`StatusFault`] sets its message and details.
    ///
    /// The token endpoint answers with the HTTP status and an OAuth error instead.
    pub fn status(code: Code) -> StatusFault {
        StatusFault::new(code)
    }

    /// Gives the right answer, but late.
    pub fn delay(by: Duration) -> Self {
        Self::new(FaultEffect::Delay).after(by)
    }

    /// Never answers. A request hangs until its client ends it, even if the fault is cleared.
    pub fn hang() -> Self {
        Self::new(FaultEffect::Hang)
    }

    /// Resets the TCP connection.
    pub fn reset() -> Self {
        Self::new(FaultEffect::Wire(WireFault::Reset))
    }

    /// Sends GOAWAY and closes the connection without an answer. Over HTTP/1 it only closes.
    pub fn go_away() -> Self {
        Self::new(FaultEffect::Wire(WireFault::GoAway))
    }

    /// Sends the head of a good answer, and never its body.
    pub fn stall_body() -> Self {
        Self::new(FaultEffect::Wire(WireFault::StallBody))
    }

    /// Sends half of the body of a good answer, then breaks the stream.
    pub fn truncate() -> Self {
        Self::new(FaultEffect::Wire(WireFault::Truncate))
    }

    /// Answers with an HTML page and this status, as a proxy does.
    pub fn html(status: StatusCode) -> Self {
        Self::new(FaultEffect::Wire(WireFault::Html(status)))
    }

    /// Answers gRPC requests with a status whose details aren't base64.
    pub fn bad_details() -> Self {
        Self::new(FaultEffect::Wire(WireFault::BadDetails))
    }

    fn new(effect: FaultEffect) -> Self {
        Self { effect, delay: Duration::ZERO, method: None, account: None, times: None, share: 1.0 }
    }

    /// Sets how long to wait before the fault takes effect. Default: no wait, or the time that was
    /// given to [`delay`](Self::delay).
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Applies to this method only. Default: all methods.
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

    /// Applies this many times, then ends. Default: until it is cleared.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Applies to a share of the requests that it matches, evenly spread: from 0.0 to 1.0.
    ///
    /// 0.25 applies to every fourth request. Values outside the range count as the nearest one
    /// inside, and NaN as 0.0. Default: 1.0.
    pub fn share(mut self, share: f64) -> Self {
        self.share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    /// The name of the effect on the control pages.
    pub(crate) fn effect_name(&self) -> &'static str {
        match &self.effect {
            FaultEffect::Delay => "delay",
            FaultEffect::Status(_) => "status",
            FaultEffect::Hang => "hang",
            FaultEffect::Wire(WireFault::Reset) => "reset",
            FaultEffect::Wire(WireFault::GoAway) => "goAway",
            FaultEffect::Wire(WireFault::StallBody) => "stallBody",
            FaultEffect::Wire(WireFault::Truncate) => "truncate",
            FaultEffect::Wire(WireFault::Html(_)) => "html",
            FaultEffect::Wire(WireFault::BadDetails) => "badDetails",
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

    fn matches(&self, method: Method, account: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == method)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
    }
}

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
