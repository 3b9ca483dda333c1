//! The body of a request, which has limits: its size, and the time in which it must arrive.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Code;

use super::content_encoding::ContentEncoding;
use crate::emulator::error::ApiError;
use crate::emulator::protocol::grpc::MAX_MESSAGE;

/// How long the body of a request may take after its head: 30 s. It fits the largest body at 200 KB/s.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest body over REST, compressed or not: the largest message in base64, plus 64 KiB for the other
/// fields.
pub(super) const MAX_BODY: usize = MAX_MESSAGE / 3 * 4 + 64 * 1024;

/// How much of a body that is too large is read and dropped: 64 MiB. Many clients read no reply before they
/// have sent their request, so a reply without this would be a lost connection to them.
const MAX_DROPPED: usize = 64 * 1024 * 1024;

/// Returns the whole body of a request over REST, decompressed.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let received = tokio::time::timeout(BODY_TIMEOUT, receive(headers, body));
    let received = received.await.map_err(|_| too_slow())??;
    let plain = ContentEncoding::of(headers)?.decode(received, MAX_BODY)?;
    if plain.len() > MAX_BODY { Err(too_large()) } else { Ok(plain) }
}

async fn receive(headers: &HeaderMap, mut body: Body) -> Result<Bytes, ApiError> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    // A client that expects to be told to continue hasn't sent its body yet.
    if declared > MAX_DROPPED || declared > MAX_BODY && headers.contains_key(header::EXPECT) {
        return Err(too_large());
    }
    let (mut received, mut length) = (BytesMut::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(|_| cut_off())?.into_data() else { continue };
        length += data.len();
        if length <= MAX_BODY {
            received.extend_from_slice(&data);
        } else if length > MAX_DROPPED {
            break;
        }
    }
    if length > MAX_BODY { Err(too_large()) } else { Ok(received.freeze()) }
}

fn too_large() -> ApiError {
    let message = format!("Request payload size exceeds the limit: {MAX_BODY} bytes.");
    ApiError::new(Code::InvalidArgument, message).with_http_status(StatusCode::PAYLOAD_TOO_LARGE)
}

fn cut_off() -> ApiError {
    ApiError::new(Code::InvalidArgument, "The request's body ended early.")
}

/// The error of a body that didn't arrive within [`BODY_TIMEOUT`].
pub(super) fn too_slow() -> ApiError {
    let message = format!("The request's body did not arrive within {} s.", BODY_TIMEOUT.as_secs());
    ApiError::new(Code::DeadlineExceeded, message).with_http_status(StatusCode::REQUEST_TIMEOUT)
}

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
    let deadline = Instant::now() + BODY_TIMEOUT;
    (Body::new(TimedBody { body, deadline, sleep: None, too_slow: too_slow.clone() }), too_slow)
}

/// A body with a deadline. Most bodies arrive together with the head, and need no timer.
struct TimedBody {
    body: Body,
    deadline: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    too_slow: TooSlow,
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame);
        }
        let deadline = self.deadline;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(context).map(|()| {
            self.too_slow.0.store(true, Ordering::Relaxed);
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
