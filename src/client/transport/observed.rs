//! A connection that records the head of its reply.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response, StatusCode, header};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::transport::channel::ResponseFuture as ChannelReply;
use tower_service::Service;

use super::boxed_service::{BoxError, BoxedService};
use super::lazy_channel::ActiveChannel;
use crate::headers::{GRPC_CONTENT_TYPE, GRPC_STATUS};
use crate::source::BoxFuture;

/// What the head of a reply says about whether it is gRPC.
#[derive(Default)]
pub(crate) struct ReplyHead {
    /// 0 until the head has arrived.
    status: AtomicU16,
    is_not_grpc: AtomicBool,
}

impl ReplyHead {
    pub(crate) fn record(&self, status: StatusCode, headers: &HeaderMap) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
        let is_grpc = match headers.get(header::CONTENT_TYPE) {
            Some(kind) => kind.as_bytes().starts_with(GRPC_CONTENT_TYPE.as_bytes()),
            None => headers.contains_key(GRPC_STATUS),
        };
        self.is_not_grpc.store(!is_grpc, Ordering::Relaxed);
    }

    /// Returns the HTTP status of a reply that isn't gRPC.
    pub(crate) fn non_grpc_status(&self) -> Option<u16> {
        self.is_not_grpc.load(Ordering::Relaxed).then(|| self.status.load(Ordering::Relaxed))
    }
}

/// A connection that records the head of its reply.
pub(crate) struct Observed<'a> {
    service: Either<'a>,
    head: &'a ReplyHead,
}

enum Either<'a> {
    Channel(Channel, &'a ActiveChannel),
    Service(BoxedService),
}

impl<'a> Observed<'a> {
    pub(super) fn over_channel(channel: &'a ActiveChannel, head: &'a ReplyHead) -> Self {
        Self { service: Either::Channel(channel.channel(), channel), head }
    }

    pub(super) fn over_service(service: BoxedService, head: &'a ReplyHead) -> Self {
        Self { service: Either::Service(service), head }
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
            Either::Channel(channel, active) => Reply::Channel(channel.call(request), active),
            Either::Service(service) => Reply::Service(service.call(request)),
        };
        ObservedReply { reply, head: self.head }
    }
}

pub(crate) struct ObservedReply<'a> {
    reply: Reply<'a>,
    head: &'a ReplyHead,
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
            self.head.record(response.status(), response.headers());
        }
        polled
    }
}
