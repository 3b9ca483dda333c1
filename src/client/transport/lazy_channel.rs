//! A channel that is made when it is first needed, and again when it can't serve any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tonic::transport::{Channel, Endpoint};

use crate::source::BoxFuture;

/// Makes the channel on first use, because making one needs a runtime.
pub(super) struct LazyChannel {
    endpoint: Endpoint,
    active: ArcSwapOption<ActiveChannel>,
    /// Held while a channel is made, so that only one is.
    making: Mutex<()>,
}

/// A channel, and what is known about it.
pub(crate) struct ActiveChannel {
    channel: Channel,
    /// Set when the channel's worker has ended: with its runtime, or by a panic.
    ended: Arc<AtomicBool>,
    /// How many reply heads have arrived.
    replies: AtomicU64,
}

impl LazyChannel {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, active: ArcSwapOption::empty(), making: Mutex::new(()) }
    }

    pub(super) fn get_or_connect(&self) -> Arc<ActiveChannel> {
        if let Some(channel) = self.usable() {
            return channel;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = self.usable() {
            return channel;
        }
        let channel = Arc::new(ActiveChannel::connect(&self.endpoint));
        self.active.store(Some(Arc::clone(&channel)));
        channel
    }

    fn usable(&self) -> Option<Arc<ActiveChannel>> {
        self.active.load_full().filter(|channel| !channel.ended.load(Ordering::Relaxed))
    }

    /// Drops `channel`, unless another has replaced it already. Calls in progress keep it until
    /// they end.
    pub(super) fn retire(&self, channel: &Arc<ActiveChannel>) {
        tracing::debug!("no reply over the connection: the next attempt makes a new one");
        self.active.compare_and_swap(channel, None);
    }
}

impl ActiveChannel {
    fn connect(endpoint: &Endpoint) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let executor = ChannelExecutor { flag: Mutex::new(Some(EndFlag(Arc::clone(&ended)))) };
        let channel = endpoint.clone().executor(executor).connect_lazy();
        Self { channel, ended, replies: AtomicU64::new(0) }
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
