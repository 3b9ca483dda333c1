//! One request and its answer as the wire sees them, and the faults that strike there.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use tokio::sync::Notify;
use tokio::time::Sleep;

use crate::emulator::faults::WireFault;
use crate::headers::{GRPC_CONTENT_TYPE, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS};

/// How long a truncated body waits before it breaks: HTTP/2 drops what it has not sent by then.
const FLUSH: Duration = Duration::from_millis(20);

/// How a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Reset,
    GoAway,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    /// 0: none; else an [`Ending`].
    ending: AtomicU8,
    changed: Notify,
}

impl Connection {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, ending: AtomicU8::new(0), changed: Notify::new() }
    }

    pub(crate) fn end(&self, ending: Ending) {
        let ending = match ending {
            Ending::Reset => 1,
            Ending::GoAway => 2,
        };
        self.ending.store(ending, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        match self.ending.load(Ordering::Acquire) {
            1 => Some(Ending::Reset),
            2 => Some(Ending::GoAway),
            _ => None,
        }
    }

    /// Returns once the connection is to end.
    pub(crate) async fn ended(&self) -> Ending {
        loop {
            if let Some(ending) = self.ending() {
                return ending;
            }
            self.changed.notified().await;
        }
    }
}

/// Travels with a request, in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Exchange(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Arc<Connection>,
    fault: OnceLock<WireFault>,
}

impl Exchange {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self(Arc::new(Inner { connection, fault: OnceLock::new() }))
    }

    pub(crate) fn connection(&self) -> u64 {
        self.0.connection.number
    }

    /// Leaves a fault for [`apply`](Self::apply) to carry out.
    pub(crate) fn suffer(&self, fault: WireFault) {
        // Set once at most: a request is struck by one fault.
        let _ = self.0.fault.set(fault);
    }

    /// Carries the fault out, if there is one.
    pub(crate) async fn apply(&self, response: Response<Body>) -> Response<Body> {
        let Some(fault) = self.0.fault.get() else { return response };
        match *fault {
            WireFault::Reset => self.end(Ending::Reset).await,
            WireFault::GoAway => self.end(Ending::GoAway).await,
            WireFault::StallBody => stall(response),
            WireFault::Truncate => truncate(response).await,
            WireFault::Html(status) => html(status),
            WireFault::BadDetails => bad_details(),
        }
    }

    /// Ends the connection; no answer is ever given.
    async fn end(&self, ending: Ending) -> Response<Body> {
        self.0.connection.end(ending);
        std::future::pending().await
    }
}

fn stall(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::new(Broken { first: None, breaks: None }))
}

async fn truncate(response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let first = (!half.is_empty()).then_some(half);
    let breaks = Some(Box::pin(tokio::time::sleep(FLUSH)));
    Response::from_parts(head, Body::new(Broken { first, breaks }))
}

fn html(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{code} {reason}</title></head>\n\
         <body><h1>{code} {reason}</h1><p>A proxy says so.</p></body></html>\n",
        code = status.as_u16()
    );
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    response
}

fn bad_details() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC_CONTENT_TYPE));
    headers.insert(GRPC_STATUS, HeaderValue::from_static("14"));
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static("the details are no base64"));
    headers.insert(GRPC_STATUS_DETAILS, HeaderValue::from_static("!no base64!"));
    response
}

/// A body that does not end well.
struct Broken {
    first: Option<Bytes>,
    /// When the stream breaks; if never, it stalls.
    breaks: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(breaks) = self.breaks.as_mut() else { return Poll::Pending };
        breaks.as_mut().poll(context).map(|()| Some(Err(std::io::Error::other("truncated by a fault"))))
    }
}
