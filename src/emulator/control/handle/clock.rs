//! The clock, for tests in Rust.

use std::time::{Duration, SystemTime};

use crate::emulator::clock::Skew;
use crate::emulator::control::commands::Commands;

/// Moves an emulator's clock. [`Emulator::clock`](crate::emulator::Emulator::clock) returns it.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::{Duration, SystemTime};
///
/// use gcp_iam_credentials::emulator::Emulator;
///
/// let emulator = Emulator::builder().start().await?;
/// // All access tokens with the default lifetime expire now.
/// emulator.clock().advance(Duration::from_secs(3600));
///
/// // Clients read a time that is ten minutes behind.
/// emulator.clock().run_behind(Duration::from_secs(600));
/// assert!(emulator.clock().now() < SystemTime::now() + Duration::from_secs(3001));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClockControl<'a>(&'a Commands);

impl<'a> ClockControl<'a> {
    pub(crate) fn new(commands: &'a Commands) -> Self {
        Self(commands)
    }

    /// Moves the emulator's clock forward, so tokens expire and grants come into force.
    pub fn advance(&self, by: Duration) {
        self.0.advance_clock(by);
    }

    /// Tells clients a time that is ahead of the emulator's clock by `by`. Default: zero.
    ///
    /// Expiry times in replies and claims in tokens contain that time, and claims in assertions are
    /// compared with it. It doesn't change when something expires. It replaces the effect of an
    /// earlier [`run_ahead`](Self::run_ahead) or [`run_behind`](Self::run_behind).
    pub fn run_ahead(&self, by: Duration) {
        self.0.set_clock_skew(Skew::Ahead(by));
    }

    /// Tells clients a time that is behind the emulator's clock by `by`: see
    /// [`run_ahead`](Self::run_ahead).
    pub fn run_behind(&self, by: Duration) {
        self.0.set_clock_skew(Skew::Behind(by));
    }

    /// Returns the time that clients are told.
    pub fn now(&self) -> SystemTime {
        self.0.now()
    }
}
