//! A connection that records what becomes of a request.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::transport::channel::ResponseFuture as ChannelReply;
use tower_service::Service;

use super::boxed_service::{BoxError, BoxedService};
use super::exchange::Exchange;
use super::lazy_channel::ActiveChannel;
use crate::source::BoxFuture;

/// A connection that records when a request is sent, and the head of its reply.
pub(crate) struct Observed<'a> {
    service: Either<'a>,
    exchange: &'a Exchange,
}

enum Either<'a> {
    Channel(Channel, &'a ActiveChannel),
    Service(BoxedService),
}

impl<'a> Observed<'a> {
    pub(super) fn over_channel(channel: &'a ActiveChannel, exchange: &'a Exchange) -> Self {
        Self { service: Either::Channel(channel.channel(), channel), exchange }
    }

    pub(super) fn over_service(service: BoxedService, exchange: &'a Exchange) -> Self {
        Self { service: Either::Service(service), exchange }
    }
}

impl<'a> Service<Request<Body>> for Observed<'a> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ObservedReply<'a>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.service {
            Either::Channel(channel, _) => channel.poll_ready(cx).map_err(Into::into),
            Either::Service(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ObservedReply<'a> {
        let reply = match &mut self.service {
            Either::Channel(channel, active) => {
                let sent = Arc::clone(self.exchange.sent_by_channel());
                let request = request.map(|body| Body::new(SentBody { body, sent }));
                Reply::Channel(channel.call(request), active)
            }
            Either::Service(service) => {
                self.exchange.record_sent();
                Reply::Service(service.call(request))
            }
        };
        ObservedReply { reply, exchange: self.exchange }
    }
}

/// A body that tells when a connection sends its request.
///
/// A channel queues requests until it is connected, and drops those whose callers have left. What a
/// connection reads, it sends; only beyond the number of requests that the server allows at once it
/// reads some, up to about 128, that it has to hold until others end.
struct SentBody {
    body: Body,
    sent: Arc<AtomicBool>,
}

impl HttpBody for SentBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.sent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pub(crate) struct ObservedReply<'a> {
    reply: Reply<'a>,
    exchange: &'a Exchange,
}

enum Reply<'a> {
    Channel(ChannelReply, &'a ActiveChannel),
    Service(BoxFuture<'static, Result<Response<Body>, BoxError>>),
}

impl Future for ObservedReply<'_> {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match &mut self.reply {
            Reply::Channel(reply, active) => {
                let polled = Pin::new(reply).poll(cx).map_err(BoxError::from);
                if let Poll::Ready(Ok(_)) = polled {
                    active.count_reply();
                }
                polled
            }
            Reply::Service(reply) => reply.as_mut().poll(cx),
        };
        if let Poll::Ready(Ok(response)) = &polled {
            self.exchange.record_head(response.status(), response.headers());
        }
        polled
    }
}
