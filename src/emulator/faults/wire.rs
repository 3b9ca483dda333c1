//! Faults below the protocol: of the connection, of the body, and of the bytes of a status.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use tokio::time::Sleep;

use crate::emulator::connection::{Connection, ConnectionEnd};
use crate::headers::{GRPC_CONTENT_TYPE, GRPC_MESSAGE, GRPC_STATUS, GRPC_STATUS_DETAILS};

/// How long a truncated body waits before its stream breaks: 20 ms. A break drops data that HTTP/2
/// hasn't sent yet.
const FLUSH: Duration = Duration::from_millis(20);

/// A fault below the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireFault {
    /// A TCP reset of the whole connection.
    Reset,
    /// An HTTP/2 GOAWAY, then the reply. The connection ends after its last reply.
    Drain,
    /// An HTTP/2 GOAWAY, then the connection ends without the reply.
    GoAway,
    /// The head of the reply arrives, its body never does.
    StallBody,
    /// Half of the body arrives, then the stream breaks.
    Truncate,
    /// An HTML page with that status, as a proxy sends.
    Html(StatusCode),
    /// Status details that aren't base64.
    BadDetails,
}

/// The connection that a request arrived on, and the wire fault to apply to its reply.
///
/// The server puts it into the request's extensions and keeps a clone for the reply.
#[derive(Clone, Debug)]
pub(crate) struct Transport(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Arc<Connection>,
    fault: OnceLock<WireFault>,
}

impl Transport {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self(Arc::new(Inner { connection, fault: OnceLock::new() }))
    }

    /// Returns the number of the connection. The first one is 1.
    pub(crate) fn connection(&self) -> u64 {
        self.0.connection.number()
    }

    /// Stores a fault for [`apply_fault`](Self::apply_fault).
    pub(crate) fn set_fault(&self, fault: WireFault) {
        // It is set at most once, because one fault applies to a request.
        let _ = self.0.fault.set(fault);
    }

    /// Applies the stored fault to the reply, if there is one.
    pub(crate) async fn apply_fault(&self, response: Response<Body>) -> Response<Body> {
        let Some(fault) = self.0.fault.get() else { return response };
        match *fault {
            WireFault::Reset => self.end_connection(ConnectionEnd::Reset).await,
            WireFault::Drain => {
                self.0.connection.end(ConnectionEnd::Drain);
                // The connection's task sends GOAWAY before this task sends the reply.
                tokio::task::yield_now().await;
                response
            }
            WireFault::GoAway => self.end_connection(ConnectionEnd::GoAway).await,
            WireFault::StallBody => stall(response),
            WireFault::Truncate => truncate(response).await,
            WireFault::Html(status) => html(status),
            WireFault::BadDetails => bad_details(),
        }
    }

    /// Ends the connection and never returns a reply.
    async fn end_connection(&self, end: ConnectionEnd) -> Response<Body> {
        self.0.connection.end(end);
        std::future::pending().await
    }
}

fn stall(response: Response<Body>) -> Response<Body> {
    response.map(|_| Body::new(BrokenBody { first: None, breaks: None }))
}

async fn truncate(response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let first = (!half.is_empty()).then_some(half);
    let breaks = Some(Box::pin(tokio::time::sleep(FLUSH)));
    Response::from_parts(head, Body::new(BrokenBody { first, breaks }))
}

fn html(status: StatusCode) -> Response<Body> {
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>{code} {reason}</title></head>\n\
         <body><h1>{code} {reason}</h1><p>This page comes from a fault of the emulator.</p></body></html>\n",
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
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static("the details are not base64"));
    let mut details = HeaderValue::from_static("!not base64!");
    // Never indexed by HTTP/2. Otherwise clients built on gRPC's C library can't read the details of later
    // refusals on the same connection, because their header's name refers to this one.
    details.set_sensitive(true);
    headers.insert(GRPC_STATUS_DETAILS, details);
    response
}

/// A body that stalls or breaks.
struct BrokenBody {
    first: Option<Bytes>,
    /// When the stream breaks; `None` if it stalls.
    breaks: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for BrokenBody {
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
