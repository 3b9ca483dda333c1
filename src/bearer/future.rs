//! One request in progress: it waits until it can be sent, and then for the reply.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::settings::{Sent, Settings};
use super::waiting::{SentRequest, WaitingRequest};
use super::{BearerError, TokenError};

pin_project! {
    /// The response future of [`BearerService`](crate::bearer::BearerService).
    ///
    /// A middleware around the service can store it without a box:
    ///
    /// ```
    /// use gcp_iam_credentials::bearer::ResponseFuture;
    /// use http::Request;
    /// use tower::Service;
    ///
    /// struct Timed<S: Service<Request<B>>, B> {
    ///     reply: ResponseFuture<S, B>,
    ///     start: std::time::Instant,
    /// }
    /// ```
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B>
    where
        S: Service<Request<B>>,
    {
        Sent { #[pin] reply: S::Future, sent: Sent },
        // Boxed, so that the state of a request with a fresh token stays small.
        Waiting { waiting: Box<WaitingRequest<S, B>> },
        Failed { error: TokenError },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>> + Clone,
{
    #[inline]
    pub(super) fn sent(reply: S::Future, sent: Sent) -> Self {
        Self { state: State::Sent { reply, sent } }
    }

    pub(super) fn waiting(inner: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        let waiting = Box::new(WaitingRequest::new(inner, request, settings));
        Self { state: State::Waiting { waiting } }
    }

    pub(super) fn failed(error: TokenError) -> Self {
        Self { state: State::Failed { error } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Output = Result<Response<R>, BearerError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Sent { reply, sent } => {
                    let outcome = ready!(reply.poll(cx));
                    // Looks at the reply where it is: each move of it costs as much as the look.
                    if let Ok(reply) = &outcome {
                        sent.invalidate_if_rejected(reply);
                    }
                    return Poll::Ready(outcome.map_err(BearerError::Inner));
                }
                StateProjection::Waiting { waiting } => {
                    let SentRequest { reply, sent } = ready!(waiting.poll(cx))?;
                    state.set(State::Sent { reply, sent });
                }
                StateProjection::Failed { error } => {
                    return Poll::Ready(Err(BearerError::Token(error.clone())));
                }
            }
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Sent { .. } => "sent",
            State::Waiting { .. } => "waiting",
            State::Failed { .. } => "failed",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
