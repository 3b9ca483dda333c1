//! The connection under the calls: one lazy channel, or a service of the caller's.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::util::BoxCloneSyncService;
use tower_service::Service;

use crate::Error;
use crate::headers::{GRPC_CONTENT_TYPE, GRPC_STATUS};
use crate::source::BoxFuture;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type BoxedService = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Where calls go.
pub(crate) struct Transport {
    kind: Kind,
    /// Scheme and authority of every request; a channel puts in its own.
    origin: Uri,
}

enum Kind {
    Channel(Box<LazyChannel>),
    Service(BoxedService),
}

impl Transport {
    pub(crate) fn channel(endpoint: Endpoint, origin: Uri) -> Self {
        Self { kind: Kind::Channel(Box::new(LazyChannel::new(endpoint))), origin }
    }

    pub(crate) fn service(service: BoxedService, origin: Uri) -> Self {
        Self { kind: Kind::Service(service), origin }
    }

    pub(crate) fn origin(&self) -> &Uri {
        &self.origin
    }

    /// The origin that each request must name by itself.
    pub(crate) fn request_origin(&self) -> Uri {
        match self.kind {
            Kind::Channel(_) => Uri::default(),
            Kind::Service(_) => self.origin.clone(),
        }
    }

    /// A connection for one attempt. The caller sees to it that a runtime is there.
    pub(crate) fn connection(&self) -> Connection<'_> {
        match &self.kind {
            Kind::Channel(lazy) => {
                let line = lazy.line();
                let replies = line.replies.load(Ordering::Relaxed);
                Connection::Channel { line, replies }
            }
            Kind::Service(service) => Connection::Service(service),
        }
    }

    /// An attempt over `connection` timed out: if nothing at all has come back over it since the
    /// attempt began, the next attempt gets a new one.
    pub(crate) fn went_silent(&self, connection: &Connection<'_>) {
        let (Kind::Channel(lazy), Connection::Channel { line, replies }) = (&self.kind, connection) else {
            return;
        };
        if line.replies.load(Ordering::Relaxed) == *replies {
            lazy.retire(line);
        }
    }
}

/// A channel that is made when it is first needed, and made anew when it cannot serve any more.
struct LazyChannel {
    endpoint: Endpoint,
    line: ArcSwapOption<Line>,
    /// Held while a line is made, so that only one is.
    making: Mutex<()>,
}

/// One channel and what is known about it.
pub(crate) struct Line {
    channel: Channel,
    /// Set when the channel's worker has ended: with its runtime, or by a panic.
    ended: Arc<AtomicBool>,
    /// How many reply heads have come back.
    replies: AtomicU64,
}

impl LazyChannel {
    fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, line: ArcSwapOption::empty(), making: Mutex::new(()) }
    }

    fn line(&self) -> Arc<Line> {
        if let Some(line) = self.usable() {
            return line;
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = self.usable() {
            return line;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let worker = Worker { ended: Mutex::new(Some(EndFlag(Arc::clone(&ended)))) };
        let channel = self.endpoint.clone().executor(worker).connect_lazy();
        let line = Arc::new(Line { channel, ended, replies: AtomicU64::new(0) });
        self.line.store(Some(Arc::clone(&line)));
        line
    }

    fn usable(&self) -> Option<Arc<Line>> {
        self.line.load_full().filter(|line| !line.ended.load(Ordering::Relaxed))
    }

    /// Drops `line` unless another has taken its place. Calls under way keep it until they end.
    fn retire(&self, line: &Arc<Line>) {
        tracing::debug!("no reply over the connection: the next attempt makes a new one");
        self.line.compare_and_swap(line, None);
    }
}

/// Runs a channel's tasks, and notices the end of the first: the channel's worker, without which
/// the channel serves nobody.
struct Worker {
    ended: Mutex<Option<EndFlag>>,
}

struct EndFlag(Arc<AtomicBool>);

impl Drop for EndFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl hyper::rt::Executor<BoxFuture<'static, ()>> for Worker {
    fn execute(&self, task: BoxFuture<'static, ()>) {
        let flag = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        tokio::spawn(async move {
            // Dropped with the task, run to its end or not.
            let _flag = flag;
            task.await;
        });
    }
}

/// What one attempt sends its request over.
pub(crate) enum Connection<'a> {
    Channel {
        line: Arc<Line>,
        /// How many reply heads had come back when the attempt began.
        replies: u64,
    },
    Service(&'a BoxedService),
}

impl Connection<'_> {
    /// The service for one request; `head` learns about the reply.
    pub(crate) fn observe<'a>(&'a self, head: &'a ReplyHead) -> Observed<'a> {
        let service = match self {
            Self::Channel { line, .. } => Either::Channel(line.channel.clone(), line),
            Self::Service(service) => Either::Service((*service).clone()),
        };
        Observed { service, head }
    }
}

/// What the head of a reply said, as far as it tells gRPC from anything else.
#[derive(Default)]
pub(crate) struct ReplyHead {
    /// 0 until the head is there.
    status: AtomicU16,
    foreign: AtomicBool,
}

impl ReplyHead {
    fn note(&self, status: StatusCode, headers: &HeaderMap) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
        let grpc = match headers.get(header::CONTENT_TYPE) {
            Some(kind) => kind.as_bytes().starts_with(GRPC_CONTENT_TYPE.as_bytes()),
            None => headers.contains_key(GRPC_STATUS),
        };
        self.foreign.store(!grpc, Ordering::Relaxed);
    }

    /// The HTTP status of a reply that is not gRPC.
    pub(crate) fn foreign(&self) -> Option<u16> {
        self.foreign.load(Ordering::Relaxed).then(|| self.status.load(Ordering::Relaxed))
    }
}

/// A connection whose reply head is noted down on its way in.
pub(crate) struct Observed<'a> {
    service: Either<'a>,
    head: &'a ReplyHead,
}

enum Either<'a> {
    Channel(Channel, &'a Line),
    Service(BoxedService),
}

impl<'a> Service<Request<Body>> for Observed<'a> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ObservedFuture<'a>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.service {
            Either::Channel(channel, _) => channel.poll_ready(cx).map_err(Into::into),
            Either::Service(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ObservedFuture<'a> {
        let reply = match &mut self.service {
            Either::Channel(channel, line) => Reply::Channel(channel.call(request), line),
            Either::Service(service) => Reply::Service(service.call(request)),
        };
        ObservedFuture { reply, head: self.head }
    }
}

pub(crate) struct ObservedFuture<'a> {
    reply: Reply<'a>,
    head: &'a ReplyHead,
}

enum Reply<'a> {
    Channel(tonic::transport::channel::ResponseFuture, &'a Line),
    Service(BoxFuture<'static, Result<Response<Body>, BoxError>>),
}

impl Future for ObservedFuture<'_> {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = match &mut self.reply {
            Reply::Channel(reply, line) => {
                let polled = Pin::new(reply).poll(cx).map_err(BoxError::from);
                if let Poll::Ready(Ok(_)) = polled {
                    line.replies.fetch_add(1, Ordering::Relaxed);
                }
                polled
            }
            Reply::Service(reply) => reply.as_mut().poll(cx),
        };
        if let Poll::Ready(Ok(response)) = &polled {
            self.head.note(response.status(), response.headers());
        }
        polled
    }
}

/// Calls need tokio's timers and tasks.
pub(crate) fn need_runtime() -> Result<(), Error> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid("runtime", "is missing: calls must be awaited inside a tokio runtime")),
    }
}
