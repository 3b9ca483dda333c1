//! Accepts connections, within limits, and serves them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::peers::Peers;
use super::service::Service;

/// How many connections are open at the same time: fewer than the files that a process may usually open.
const MAX_CONNECTIONS: usize = 512;

/// How many connections are accepted before their users are looked up together.
const BATCH: usize = 64;

/// How long a client may take for the head of a request, and keep an unused connection open: 30 s.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may be unused before another one may take its place: 1 s.
const IDLE_RIGHT: Duration = Duration::from_secs(1);

/// How long nothing is accepted if no connection can be.
const PAUSE: Duration = Duration::from_millis(50);

/// The size of a request's head that isn't exceeded by any library: 16 KiB.
const MAX_HEAD: usize = 16 * 1024;

/// Serves connections until it is asked to stop, and then until the last reply.
pub(super) async fn serve(
    listener: TcpListener,
    peers: Peers,
    service: Arc<Service>,
    asked_to_stop: oneshot::Receiver<Duration>,
) {
    let (stop, stopping) = watch::channel(false);
    let mut open = OpenConnections::default();
    let patience = tokio::select! {
        () = accept(&listener, peers, &service, &stopping, &mut open) => return,
        patience = asked_to_stop => patience,
    };
    drop(listener);
    let _ = stop.send(true);
    if let Ok(patience) = patience {
        // The connections that are left end with their tasks.
        let _ = timeout(patience, open.all_closed()).await;
    }
}

/// Accepts connections. Never returns.
async fn accept(
    listener: &TcpListener,
    peers: Peers,
    service: &Arc<Service>,
    stopping: &watch::Receiver<bool>,
    open: &mut OpenConnections,
) {
    loop {
        open.have_room().await;
        match accept_some(listener).await {
            Ok(accepted) => {
                for stream in peers.served(accepted).await {
                    let idle = Idle::default();
                    let served = serve_one(stream, Arc::clone(service), idle.clone(), stopping.clone());
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

/// Waits for a connection, and returns it with those that came at the same time.
async fn accept_some(listener: &TcpListener) -> io::Result<Vec<TcpStream>> {
    let mut accepted = vec![listener.accept().await?.0];
    while accepted.len() < BATCH {
        match poll_fn(|context| Poll::Ready(listener.poll_accept(context))).await {
            Poll::Ready(Ok((stream, _))) => accepted.push(stream),
            // An error comes again at the next call.
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
    Ok(accepted)
}

async fn serve_one(
    stream: TcpStream,
    service: Arc<Service>,
    idle: Idle,
    mut stopping: watch::Receiver<bool>,
) {
    let replies = service_fn(move |request| {
        let (service, busy) = (Arc::clone(&service), idle.busy());
        async move {
            let reply = service.reply(request).await;
            drop(busy);
            reply
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), replies));
    tokio::select! {
        // A protocol error ends only this connection.
        _ = served.as_mut() => return,
        _ = stopping.wait_for(|stop| *stop) => {}
    }
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

/// Since when a connection has had no request; `None` while it has one.
#[derive(Clone, Debug)]
struct Idle(Arc<Mutex<Option<Instant>>>);

impl Default for Idle {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }
}

impl Idle {
    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Says that the connection has a request, until the guard is dropped.
    fn busy(&self) -> Busy {
        self.set(None);
        Busy(self.clone())
    }
}

struct Busy(Idle);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(Some(Instant::now()));
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
