//! Accepts connections, within limits, and serves them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tonic::body::Body;

use super::listener::{Accepted, BATCH, Listener};
use super::peer::Peer;

/// How many connections are open at the same time: fewer than the files that a process may usually open.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take for the head of a request, and keep an unused connection open: 30 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may be unused before another one may take its place: 1 s.
const IDLE_RIGHT: Duration = Duration::from_secs(1);

/// How long nothing is accepted if no connection can be.
const PAUSE: Duration = Duration::from_millis(50);

/// The size of a request's head that isn't exceeded by any library: 16 KiB.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEAD_SIZE: u32 = 16 * 1024;

/// How many requests one HTTP/2 connection may have in progress: those of an Envoy at full load.
const MAX_STREAMS: u32 = 1_000;

/// How often an HTTP/2 connection is asked whether it is still there, and how long it may take for its answer.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Replies to requests.
pub(super) trait Responder: Send + Sync + 'static {
    /// Whether clients may speak HTTP/2.
    const HTTP2: bool;

    fn reply(&self, peer: &Peer, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves connections until it is asked to stop within a time, and then until the last reply.
pub(super) async fn serve<R: Responder>(
    listener: Listener,
    responder: Arc<R>,
    mut asked_to_stop: watch::Receiver<Option<Duration>>,
) {
    let (stop, stopping) = watch::channel(false);
    let mut open = OpenConnections::default();
    let patience = tokio::select! {
        () = accept(&listener, &responder, &stopping, &mut open) => return,
        patience = asked_to_stop.wait_for(Option::is_some) => patience.ok().and_then(|patience| *patience),
    };
    drop(listener);
    let _ = stop.send(true);
    if let Some(patience) = patience {
        // The connections that are left end with their tasks.
        let _ = timeout(patience, open.all_closed()).await;
    }
}

/// Accepts connections. Never returns.
async fn accept<R: Responder>(
    listener: &Listener,
    responder: &Arc<R>,
    stopping: &watch::Receiver<bool>,
    open: &mut OpenConnections,
) {
    loop {
        open.have_room().await;
        match listener.accept().await {
            Ok(accepted) => {
                for connection in accepted {
                    let idle = Idle::default();
                    let served = serve_one(connection, Arc::clone(responder), idle.clone(), stopping.clone());
                    open.add(idle, served);
                }
            }
            // Probably out of file descriptors.
            Err(_) => {
                open.close_idle();
                sleep(PAUSE).await;
            }
        }
    }
}

async fn serve_one<R: Responder>(
    accepted: Accepted,
    responder: Arc<R>,
    idle: Idle,
    mut stopping: watch::Receiver<bool>,
) {
    let Some((stream, peer)) = accepted.establish().await else { return };
    let peer = Arc::new(peer);
    let replies = service_fn(move |request| {
        let (responder, peer, busy) = (Arc::clone(&responder), Arc::clone(&peer), idle.busy());
        async move {
            let reply = responder.reply(&peer, request).await;
            drop(busy);
            Ok::<_, Infallible>(reply)
        }
    });
    let builder = protocols::<R>();
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), replies));
    tokio::select! {
        // A protocol error ends only this connection.
        _ = served.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

fn protocols<R: Responder>() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    if !R::HTTP2 {
        return builder.http1_only();
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_SIZE)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Since when a connection has had no request, and how many it has.
#[derive(Clone, Debug)]
struct Idle(Arc<Mutex<Requests>>);

#[derive(Debug)]
struct Requests {
    in_progress: usize,
    /// When the number changed last.
    changed: Instant,
}

impl Default for Idle {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Requests { in_progress: 0, changed: Instant::now() })))
    }
}

impl Idle {
    /// Returns since when there is no request; `None` while there is one.
    fn since(&self) -> Option<Instant> {
        let requests = self.requests();
        (requests.in_progress == 0).then_some(requests.changed)
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the connection has a request more, until the guard is dropped.
    fn busy(&self) -> Busy {
        self.requests().in_progress += 1;
        Busy(self.clone())
    }
}

struct Busy(Idle);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut requests = self.0.requests();
        requests.in_progress -= 1;
        requests.changed = Instant::now();
    }
}

/// The connections that are open.
#[derive(Debug, Default)]
struct OpenConnections {
    tasks: JoinSet<()>,
    /// The oldest first.
    open: VecDeque<(AbortHandle, Idle)>,
}

impl OpenConnections {
    fn add(&mut self, idle: Idle, served: impl Future<Output = ()> + Send + 'static) {
        self.open.push_back((self.tasks.spawn(served), idle));
    }

    /// Waits until another batch of connections may be open. If there are too many, closes those that
    /// have had no request for the longest time.
    async fn have_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.open.retain(|(task, _)| !task.is_finished());
            if self.open.len() <= MAX_CONNECTIONS - BATCH {
                return;
            }
            if !self.close_idle() {
                let _ = timeout(PAUSE, self.tasks.join_next()).await;
            }
        }
    }

    /// Closes the connection that has been unused for the longest time. Returns whether there is one.
    fn close_idle(&mut self) -> bool {
        let unused =
            |(_, idle): &(AbortHandle, Idle)| idle.since().filter(|since| since.elapsed() >= IDLE_RIGHT);
        let oldest = self.open.iter().enumerate().filter_map(|(at, entry)| Some((unused(entry)?, at))).min();
        let closed = oldest.and_then(|(_, at)| self.open.remove(at));
        if let Some((task, _)) = &closed {
            task.abort();
        }
        closed.is_some()
    }

    async fn all_closed(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(count: usize, idle: &Idle) -> OpenConnections {
        let mut open = OpenConnections::default();
        for _ in 0..count {
            open.add(idle.clone(), std::future::pending());
        }
        open
    }

    /// conf: I16
    #[tokio::test(start_paused = true)]
    async fn unused_connections_make_room_for_new_ones_and_used_ones_do_not() {
        let idle = Idle::default();
        let mut all = open(MAX_CONNECTIONS, &idle);
        let start = Instant::now();
        all.have_room().await;
        assert_eq!((all.open.len(), start.elapsed() >= IDLE_RIGHT), (MAX_CONNECTIONS - BATCH, true));

        let mut all = open(MAX_CONNECTIONS, &idle);
        let busy = idle.busy();
        assert!(timeout(10 * IDLE_RIGHT, all.have_room()).await.is_err(), "all have a request");
        drop(busy);
        all.have_room().await;
        assert_eq!(all.open.len(), MAX_CONNECTIONS - BATCH);
    }

    /// conf: I16
    #[tokio::test(start_paused = true)]
    async fn the_connection_that_was_unused_longest_is_closed_first() {
        let mut all = OpenConnections::default();
        let [first, second] = [Idle::default(), Idle::default()];
        all.add(first.clone(), std::future::pending());
        all.add(second, std::future::pending());
        assert!(!all.close_idle(), "both have just been opened");
        sleep(IDLE_RIGHT).await;
        drop(first.busy());
        assert!(all.close_idle());
        assert!(!all.close_idle(), "the first has just been used");
        tokio::task::yield_now().await;
        assert_eq!(all.tasks.try_join_next().map(|ended| ended.is_err()), Some(true));
    }
}
