//! The body of a request, which must arrive in time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;

/// How long the body of a request may take after its head: 30 s. It fits the largest body at 200 KB/s.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Whether a body took longer than [`BODY_TIMEOUT`].
#[derive(Clone, Debug, Default)]
pub(super) struct TooSlow(Arc<AtomicBool>);

impl TooSlow {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Returns a body that breaks off after [`BODY_TIMEOUT`], and whether it did so.
pub(super) fn timed(body: Body) -> (Body, TooSlow) {
    let too_slow = TooSlow::default();
    let sleep = tokio::time::sleep(BODY_TIMEOUT);
    (Body::new(TimedBody { body, sleep, too_slow: too_slow.clone() }), too_slow)
}

pin_project! {
    struct TimedBody {
        #[pin]
        body: Body,
        #[pin]
        sleep: Sleep,
        too_slow: TooSlow,
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(context) {
            return Poll::Ready(frame);
        }
        this.sleep.poll(context).map(|()| {
            this.too_slow.0.store(true, Ordering::Relaxed);
            Some(Err(axum::Error::new("the body did not arrive in time")))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
