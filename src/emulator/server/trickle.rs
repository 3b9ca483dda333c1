//! A request body that never ends, for tests.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Interval, interval};

/// A body that sends its start, then one space a second, and never ends.
pub(super) struct Trickle {
    start: Option<&'static [u8]>,
    ticks: Interval,
}

impl Trickle {
    pub(super) fn new(start: Option<&'static [u8]>) -> Self {
        Self { start, ticks: interval(Duration::from_secs(1)) }
    }
}

impl http_body::Body for Trickle {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(start) = self.start.take() {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(start)))));
        }
        self.ticks.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}
