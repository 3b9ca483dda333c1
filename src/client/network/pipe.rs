//! One direction of a connection: bytes arrive in order, after a latency, or not at all.

use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How many bytes the network takes from a writer before somebody reads them.
const BUFFER: usize = 256 * 1024;

/// What the network does with what is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Delivers,
    /// Keeps it, and delivers it later.
    Holds,
    /// Loses it, and everything that is written later.
    Loses,
}

pub(super) struct Pipe(Mutex<State>);

struct State {
    flow: Flow,
    latency: Duration,
    /// With the instant of arrival. `None` is the end of the stream.
    arriving: VecDeque<(Instant, Option<Bytes>)>,
    held: VecDeque<Option<Bytes>>,
    reset: bool,
    wakers: Vec<Waker>,
}

impl Pipe {
    pub(super) fn new(flow: Flow, latency: Duration) -> Arc<Self> {
        let (arriving, held, wakers) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Arc::new(Self(Mutex::new(State { flow, latency, arriving, held, reset: false, wakers })))
    }

    /// Breaks the connection for both of its ends.
    pub(super) fn reset(&self) {
        self.change(|state| state.reset = true);
    }

    /// Changes the flow. What was held arrives after `delay` if the network delivers now.
    pub(super) fn set_flow(&self, flow: Flow, delay: Duration) {
        self.change(|state| {
            if state.flow == Flow::Loses {
                return;
            }
            state.flow = flow;
            if flow == Flow::Delivers {
                for segment in take(&mut state.held) {
                    state.deliver(segment, delay);
                }
            }
        });
    }

    fn write(&self, segment: Option<Bytes>) {
        self.change(|state| match state.flow {
            Flow::Delivers => state.deliver(segment, Duration::ZERO),
            Flow::Holds => state.held.push_back(segment),
            Flow::Loses => {}
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock().unwrap();
        change(&mut state);
        let wakers = take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn deliver(&mut self, segment: Option<Bytes>, delay: Duration) {
        let at = Instant::now() + self.latency + delay;
        let last = self.arriving.back().map_or(at, |(last, _)| *last);
        self.arriving.push_back((at.max(last), segment));
    }

    fn buffered(&self) -> usize {
        let arriving = self.arriving.iter().map(|(_, segment)| segment);
        arriving.chain(&self.held).map(|segment| segment.as_ref().map_or(0, Bytes::len)).sum()
    }

    fn await_change<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.wakers.push(cx.waker().clone());
        Poll::Pending
    }
}

type Tap = Box<dyn Fn(&[u8]) + Send>;

/// One end of a connection.
pub(super) struct Stream {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    arrival: Pin<Box<Sleep>>,
    /// Sees everything that is written.
    tap: Option<Tap>,
}

impl Stream {
    pub(super) fn new(incoming: Arc<Pipe>, outgoing: Arc<Pipe>) -> Self {
        Self { incoming, outgoing, arrival: Box::pin(sleep_until(Instant::now())), tap: None }
    }

    pub(super) fn with_tap(mut self, tap: impl Fn(&[u8]) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.outgoing.write(None);
    }
}

fn reset<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let incoming = Arc::clone(&self.incoming);
            let mut state = incoming.0.lock().unwrap();
            if state.reset {
                return reset();
            }
            let Some((at, segment)) = state.arriving.front_mut() else { return state.await_change(cx) };
            let at = *at;
            if at > Instant::now() {
                self.arrival.as_mut().reset(at);
                if self.arrival.as_mut().poll(cx).is_pending() {
                    return state.await_change(cx);
                }
                continue;
            }
            let Some(bytes) = segment else { return Poll::Ready(Ok(())) };
            buffer.put_slice(&bytes.split_to(bytes.len().min(buffer.remaining())));
            if bytes.is_empty() {
                state.arriving.pop_front();
            }
            drop(state);
            // There may be room for the writer now.
            incoming.change(|_| {});
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.outgoing.0.lock().unwrap();
        if state.reset {
            return reset();
        }
        if state.buffered() >= BUFFER {
            return state.await_change(cx);
        }
        drop(state);
        if let Some(tap) = &self.tap {
            tap(bytes);
        }
        self.outgoing.write(Some(Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.write(None);
        Poll::Ready(Ok(()))
    }
}
