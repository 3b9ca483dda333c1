//! What a source learns about the fetch it is asked for.

use std::time::Duration;

use tokio::time::Instant;

use crate::Token;

/// Why a token is fetched, and how long the fetch may take.
///
/// [`Credentials`](crate::Credentials) makes one for each fetch. Make one yourself to unit-test a
/// [`TokenSource`](crate::TokenSource):
///
/// ```
/// use std::time::Duration;
/// use gcp_iam_credentials::Token;
/// use gcp_iam_credentials::source::{FetchReason, FetchRequest};
///
/// let rejected = Token::new("rejected-by-an-api", None)?;
/// let request = FetchRequest::new(FetchReason::Rejected)
///     .with_rejected(&rejected)
///     .with_time_limit(Duration::from_secs(5));
///
/// assert_eq!(request.reason(), FetchReason::Rejected);
/// assert_eq!(
///     request.rejected().map(Token::secret),
///     Some("rejected-by-an-api"),
/// );
/// assert!(request.time_left() <= Duration::from_secs(5));
/// # Ok::<(), gcp_iam_credentials::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    reason: FetchReason,
    rejected: Option<&'a Token>,
    deadline: Instant,
}

impl<'a> FetchRequest<'a> {
    /// The default time limit of a fetch: 60 s.
    pub const TIME_LIMIT: Duration = Duration::from_secs(60);

    /// Creates a request without a rejected token, whose time limit is
    /// [`TIME_LIMIT`](Self::TIME_LIMIT) (60 s) from now.
    pub fn new(reason: FetchReason) -> Self {
        Self { reason, rejected: None, deadline: Instant::now() + Self::TIME_LIMIT }
    }

    /// Sets the token that an API rejected. Default: none.
    pub fn with_rejected(mut self, token: &'a Token) -> Self {
        self.rejected = Some(token);
        self
    }

    /// Sets how long the fetch may take from now. Default: [`TIME_LIMIT`](Self::TIME_LIMIT).
    pub fn with_time_limit(mut self, limit: Duration) -> Self {
        let now = Instant::now();
        // A limit that no clock can represent is as good as the default.
        self.deadline = now.checked_add(limit).unwrap_or(now + Self::TIME_LIMIT);
        self
    }

    pub(crate) fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = deadline;
        self
    }

    /// Returns why a token is needed.
    pub fn reason(&self) -> FetchReason {
        self.reason
    }

    /// Returns the token that an API rejected, if that is the reason for the fetch. A source that
    /// returns the same token again doesn't help.
    pub fn rejected(&self) -> Option<&'a Token> {
        self.rejected
    }

    /// Returns the time left until the fetch is abandoned.
    pub fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Why a token is fetched.
///
/// ```
/// use gcp_iam_credentials::source::FetchReason;
///
/// fn may_use_own_cache(reason: FetchReason) -> bool {
///     !matches!(reason, FetchReason::Rejected | FetchReason::Requested)
/// }
/// assert!(may_use_own_cache(FetchReason::Expiring));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchReason {
    /// No token is cached.
    Empty,
    /// The cached token expires soon, or has expired.
    Expiring,
    /// An API rejected the cached token.
    Rejected,
    /// The program called [`Credentials::refresh`](crate::Credentials::refresh).
    Requested,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_limit_counts_from_now_and_a_huge_one_is_no_panic() {
        let request = FetchRequest::new(FetchReason::Empty);
        assert_eq!(request.time_left(), FetchRequest::TIME_LIMIT);
        assert!(request.rejected().is_none());
        let short = request.with_time_limit(Duration::from_secs(5));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(short.time_left(), Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(short.time_left(), Duration::ZERO);
        assert!(request.with_time_limit(Duration::MAX).time_left() >= FetchRequest::TIME_LIMIT);
    }
}
