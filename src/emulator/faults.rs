//! Faults: what goes wrong on request.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tonic::Code;
use tonic_types::ErrorDetails;

use crate::emulator::error::Refusal;
use crate::emulator::method::Method;

/// Something that goes wrong with the requests it matches.
///
/// It strikes at every request until it is [cleared](super::Emulator::clear_faults), unless
/// narrowed by [`method`](Self::method), [`account`](Self::account), [`times`](Self::times) or
/// [`share`](Self::share). Where several match, the one injected first strikes.
///
/// ```
/// # use std::time::Duration;
/// use gcp_iam_credentials::emulator::{Fault, Method};
/// use tonic::Code;
///
/// let twice_unavailable = Fault::status(Code::Unavailable, "try later")
///     .retry_after(Duration::from_millis(50))
///     .method(Method::GenerateAccessToken)
///     .times(2);
/// # let _ = twice_unavailable;
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    effect: Effect,
    delay: Duration,
    method: Option<Method>,
    account: Option<String>,
    times: Option<u64>,
    share: f64,
}

#[derive(Clone, Debug)]
enum Effect {
    /// Answers as ever, once the delay is over.
    None,
    Refuse(Refusal),
    Hang,
    Wire(WireFault),
}

/// What goes wrong below the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireFault {
    /// TCP reset of the whole connection.
    Reset,
    /// HTTP/2 GOAWAY, then the connection ends with the reply pending.
    GoAway,
    /// The head of the reply arrives, its body never does.
    StallBody,
    /// Half of the body arrives, then the stream breaks.
    Truncate,
    /// An HTML page of that status, as proxies send them.
    Html(StatusCode),
    /// Status details that are not base64.
    BadDetails,
}

impl Fault {
    /// Refuses with a status.
    ///
    /// The token endpoint answers with the HTTP status and an OAuth error in its place.
    pub fn status(code: Code, message: impl Into<String>) -> Self {
        Self::with_effect(Effect::Refuse(Refusal::new(code, message)))
    }

    /// Refuses with a status and details: `ErrorInfo`, `RetryInfo`, `Help`, `BadRequest` or `DebugInfo`.
    pub fn status_with_details(code: Code, message: impl Into<String>, details: ErrorDetails) -> Self {
        Self::with_effect(Effect::Refuse(Refusal::with_details(code, message, details)))
    }

    /// Answers rightly, but late.
    pub fn delay(by: Duration) -> Self {
        Self::with_effect(Effect::None).after(by)
    }

    /// Never answers. A request that hangs does so until its caller leaves, even if the fault is cleared.
    pub fn hang() -> Self {
        Self::with_effect(Effect::Hang)
    }

    /// Resets the TCP connection.
    pub fn reset() -> Self {
        Self::with_effect(Effect::Wire(WireFault::Reset))
    }

    /// Sends GOAWAY and closes the connection without an answer. Over HTTP/1 it just closes.
    pub fn go_away() -> Self {
        Self::with_effect(Effect::Wire(WireFault::GoAway))
    }

    /// Sends the head of a good answer, and never its body.
    pub fn stall_body() -> Self {
        Self::with_effect(Effect::Wire(WireFault::StallBody))
    }

    /// Sends half of the body of a good answer, then breaks the stream.
    pub fn truncate() -> Self {
        Self::with_effect(Effect::Wire(WireFault::Truncate))
    }

    /// Answers with a page of HTML, as a proxy does: 502 for instance.
    pub fn html(status: StatusCode) -> Self {
        Self::with_effect(Effect::Wire(WireFault::Html(status)))
    }

    /// Answers gRPC requests with a status whose details are no base64.
    pub fn bad_details() -> Self {
        Self::with_effect(Effect::Wire(WireFault::BadDetails))
    }

    fn with_effect(effect: Effect) -> Self {
        Self { effect, delay: Duration::ZERO, method: None, account: None, times: None, share: 1.0 }
    }

    /// Adds `RetryInfo` to a status; other faults are left as they are.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        if let Effect::Refuse(refusal) = self.effect {
            self.effect = Effect::Refuse(refusal.retry_after(wait));
        }
        self
    }

    /// Waits before it strikes.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Strikes at this method only.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Strikes only at requests for this account, given as in the requests: e-mail address or unique id.
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Strikes this many times, and is gone.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Strikes at a share of the requests it matches, from 0.0 to 1.0, evenly spread: with 0.25 at
    /// every fourth.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        self
    }

    pub(crate) fn effect_name(&self) -> &'static str {
        match &self.effect {
            Effect::None => "delay",
            Effect::Refuse(_) => "status",
            Effect::Hang => "hang",
            Effect::Wire(wire) => match wire {
                WireFault::Reset => "reset",
                WireFault::GoAway => "goAway",
                WireFault::StallBody => "stallBody",
                WireFault::Truncate => "truncate",
                WireFault::Html(_) => "html",
                WireFault::BadDetails => "badDetails",
            },
        }
    }

    pub(crate) fn delay_before(&self) -> Duration {
        self.delay
    }

    pub(crate) fn struck_share(&self) -> f64 {
        self.share
    }

    pub(crate) fn narrowed_to(&self) -> (Option<Method>, Option<&str>, Option<u64>) {
        (self.method, self.account.as_deref(), self.times)
    }

    fn matches(&self, method: Method, account: &str) -> bool {
        self.method.is_none_or(|wanted| wanted == method)
            && self.account.as_deref().is_none_or(|wanted| wanted == account)
    }
}

/// Names a fault that was injected, so that it can be cleared alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u64);

impl FaultId {
    /// The number that the control pages show.
    pub const fn number(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// What a request has to suffer.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) delay: Duration,
    pub(crate) blow: Blow,
}

#[derive(Clone, Debug)]
pub(crate) enum Blow {
    None,
    Refuse(Refusal),
    Hang,
    Wire(WireFault),
}

/// The faults in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Vec<Armed>>,
    /// Saves the lock where there are none.
    any: AtomicBool,
    next: AtomicU64,
}

#[derive(Debug)]
struct Armed {
    id: u64,
    fault: Fault,
    /// How far along the next strike is; it falls at 1.0.
    progress: f64,
    struck: u64,
}

impl Faults {
    pub(crate) fn inject(&self, fault: Fault) -> FaultId {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut armed = self.lock();
        armed.push(Armed { id, fault, progress: 0.0, struck: 0 });
        self.any.store(true, Ordering::Release);
        FaultId(id)
    }

    /// Whether there was such a fault.
    pub(crate) fn clear_one(&self, id: FaultId) -> bool {
        let mut armed = self.lock();
        let before = armed.len();
        armed.retain(|fault| fault.id != id.0);
        self.any.store(!armed.is_empty(), Ordering::Release);
        armed.len() < before
    }

    pub(crate) fn clear(&self) {
        let mut armed = self.lock();
        armed.clear();
        self.any.store(false, Ordering::Release);
    }

    /// Number, description and strikes so far of each fault in force.
    pub(crate) fn list(&self) -> Vec<(u64, Fault, u64)> {
        self.lock().iter().map(|armed| (armed.id, armed.fault.clone(), armed.struck)).collect()
    }

    /// What strikes a request, if anything.
    pub(crate) fn strike(&self, method: Method, account: &str) -> Option<Strike> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let mut list = self.lock();
        let index = list.iter_mut().position(|armed| armed.falls_on(method, account))?;
        let armed = &mut list[index];
        armed.struck += 1;
        let fault = armed.fault.clone();
        if fault.times.is_some_and(|times| armed.struck >= times) {
            list.remove(index);
            self.any.store(!list.is_empty(), Ordering::Release);
        }
        let blow = match fault.effect {
            Effect::None => Blow::None,
            Effect::Refuse(refusal) => Blow::Refuse(refusal),
            Effect::Hang => Blow::Hang,
            Effect::Wire(wire) => Blow::Wire(wire),
        };
        Some(Strike { delay: fault.delay, blow })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn falls_on(&mut self, method: Method, account: &str) -> bool {
        if self.fault.times == Some(0) || !self.fault.matches(method, account) {
            return false;
        }
        self.progress += self.fault.share;
        // A hair below 1, since ten tenths do not add up to it.
        let falls = self.progress >= 1.0 - 1e-9;
        if falls {
            self.progress -= 1.0;
        }
        falls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(faults: &Faults, calls: usize) -> usize {
        (0..calls).filter(|_| faults.strike(Method::SignBlob, "a@b.c").is_some()).count()
    }

    #[test]
    fn a_fault_is_gone_after_its_strikes() {
        let faults = Faults::default();
        faults.inject(Fault::hang().times(2));
        assert_eq!(strikes(&faults, 10), 2);
        assert!(faults.list().is_empty());
        faults.inject(Fault::hang().times(0));
        assert_eq!(strikes(&faults, 10), 0);
    }

    #[test]
    fn a_share_is_kept_exactly() {
        for (share, expected) in [(0.0, 0), (0.1, 100), (0.25, 250), (1.0, 1000), (f64::NAN, 0), (7.0, 1000)]
        {
            let faults = Faults::default();
            faults.inject(Fault::hang().share(share));
            assert_eq!(strikes(&faults, 1000), expected, "{share}");
        }
    }

    #[test]
    fn a_fault_strikes_only_what_it_is_for() {
        let faults = Faults::default();
        let id = faults.inject(Fault::hang().method(Method::SignBlob).account("a@b.c"));
        assert!(faults.strike(Method::SignJwt, "a@b.c").is_none());
        assert!(faults.strike(Method::SignBlob, "other@b.c").is_none());
        assert!(faults.strike(Method::SignBlob, "a@b.c").is_some());
        assert!(faults.clear_one(id));
        assert!(!faults.clear_one(id));
        assert!(faults.strike(Method::SignBlob, "a@b.c").is_none());
    }
}
