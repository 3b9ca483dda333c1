//! A channel that is made when it is first needed, and again when it can't serve any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::channel_identity::{ChannelIdentity, is_same};
use crate::source::BoxFuture;
use crate::tls::{ChangingIdentity, PemIdentity};

/// Makes a channel without connecting it.
pub(crate) type Connect = Box<dyn Fn(&Endpoint) -> Channel + Send + Sync>;

/// A runtime that hasn't run a task within this time is at a standstill.
const STANDSTILL: Duration = Duration::from_secs(1);

/// Makes the channel on first use, because making one needs a runtime.
pub(super) struct LazyChannel {
    endpoint: Endpoint,
    connect: Connect,
    identity: Option<ChannelIdentity>,
    active: ArcSwapOption<ActiveChannel>,
    /// Held while a channel is made, so that only one is.
    making: Mutex<()>,
}

/// A channel, and what is known about it.
pub(crate) struct ActiveChannel {
    channel: Channel,
    /// What it shows, if that may change.
    identity: Option<Arc<PemIdentity>>,
    /// Set when the channel's worker has ended: with its runtime, or by a panic.
    ended: Arc<AtomicBool>,
    /// How many reply heads have arrived.
    replies: AtomicU64,
    /// Runs the channel's worker.
    runtime: Handle,
    /// The task that checks whether the runtime still runs, if an attempt has timed out.
    pulse: Mutex<Option<Pulse>>,
}

/// A task that does nothing but run.
struct Pulse {
    spawned_at: Instant,
    has_run: Arc<AtomicBool>,
}

impl LazyChannel {
    pub(super) fn new(endpoint: Endpoint, connect: Connect, identity: Option<ChannelIdentity>) -> Self {
        Self { endpoint, connect, identity, active: ArcSwapOption::empty(), making: Mutex::new(()) }
    }

    pub(super) fn identity(&self) -> Option<&dyn ChangingIdentity> {
        self.identity.as_ref().map(|channel| &*channel.identity)
    }

    pub(super) fn get_or_connect(&self) -> Arc<ActiveChannel> {
        if let Some(channel) = self.usable() {
            return channel;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = self.usable() {
            return channel;
        }
        let channel = Arc::new(self.make());
        self.active.store(Some(Arc::clone(&channel)));
        channel
    }

    fn make(&self) -> ActiveChannel {
        let shown = self.identity().and_then(ChangingIdentity::current);
        match (&self.identity, shown) {
            (Some(channel), Some(shown)) => {
                let endpoint = channel.add_to(&self.endpoint, &shown);
                ActiveChannel::new(&endpoint, &self.connect, Some(shown))
            }
            _ => ActiveChannel::new(&self.endpoint, &self.connect, None),
        }
    }

    fn usable(&self) -> Option<Arc<ActiveChannel>> {
        let is_usable =
            |channel: &ActiveChannel| !channel.ended.load(Ordering::Relaxed) && self.is_current(channel);
        self.active.load_full().filter(|channel| is_usable(channel))
    }

    fn is_current(&self, channel: &ActiveChannel) -> bool {
        let Some(identity) = self.identity() else { return true };
        is_same(identity.current().as_ref(), channel.identity.as_ref())
    }

    /// Drops `channel`, unless another has replaced it already. Calls in progress keep it until
    /// they end.
    pub(super) fn retire(&self, channel: &Arc<ActiveChannel>) {
        let active = self.active.compare_and_swap(channel, None);
        if active.as_ref().is_some_and(|active| Arc::ptr_eq(active, channel)) {
            tracing::debug!("no reply over the connection: the next attempt makes a new one");
        }
    }
}

impl ActiveChannel {
    fn new(endpoint: &Endpoint, connect: &Connect, identity: Option<Arc<PemIdentity>>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let executor = ChannelExecutor { flag: Mutex::new(Some(EndFlag(Arc::clone(&ended)))) };
        let channel = connect(&endpoint.clone().executor(executor));
        let (replies, pulse) = (AtomicU64::new(0), Mutex::new(None));
        Self { channel, identity, ended, replies, runtime: Handle::current(), pulse }
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn replies(&self) -> u64 {
        self.replies.load(Ordering::Relaxed)
    }

    pub(super) fn count_reply(&self) {
        self.replies.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether the runtime of the channel has run nothing for a while, as a runtime does
    /// that nobody is in (`block_on`) any more. Then the channel's worker doesn't run either.
    ///
    /// The first call after the runtime last ran returns `false`: it only begins the check.
    pub(super) fn is_at_standstill(&self) -> bool {
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        match &*pulse {
            Some(pulse) if !pulse.has_run.load(Ordering::Relaxed) => pulse.spawned_at.elapsed() >= STANDSTILL,
            _ => {
                *pulse = Some(Pulse::spawn(&self.runtime));
                false
            }
        }
    }
}

impl Pulse {
    fn spawn(runtime: &Handle) -> Self {
        let has_run = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_run);
        runtime.spawn(async move { flag.store(true, Ordering::Relaxed) });
        Self { spawned_at: Instant::now(), has_run }
    }
}

/// Runs a channel's tasks. The first of them is the channel's worker: without it the channel can't
/// serve, so its end is noticed.
struct ChannelExecutor {
    flag: Mutex<Option<EndFlag>>,
}

/// Sets the flag when it is dropped.
struct EndFlag(Arc<AtomicBool>);

impl Drop for EndFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl hyper::rt::Executor<BoxFuture<'static, ()>> for ChannelExecutor {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        let flag = self.flag.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(async move {
            // Dropped with the task, whether the task completes or not.
            let _flag = flag;
            task.await;
        });
    }
}
