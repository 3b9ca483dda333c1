//! The way of one request: wait for a token, wait for the service, wait for the reply.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};
use tower_service::Service;

use super::layer::{SentToken, Settings};
use super::{BearerError, NoToken};
use crate::headers::GRPC_TIMEOUT;
use crate::{BoxFuture, Error, Token, grpc_timeout};

pin_project! {
    /// The reply to a request of [`BearerService`](crate::BearerService).
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
        Sent { #[pin] reply: S::Future, token: SentToken, settings: Arc<Settings> },
        // Boxed, so that the state of a request with a fresh token stays small.
        Waiting { waiting: Box<Waiting<S, B>> },
        Failed { error: NoToken },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn sent(reply: S::Future, token: SentToken, settings: Arc<Settings>) -> Self {
        Self { state: State::Sent { reply, token, settings } }
    }

    pub(super) fn failed(error: NoToken) -> Self {
        Self { state: State::Failed { error } }
    }

    pub(super) fn waiting(inner: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        Self { state: State::Waiting { waiting: Box::new(Waiting::new(inner, request, settings)) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<R>, BearerError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Sent { reply, token, settings } => {
                    let reply = ready!(reply.poll(cx)).map_err(BearerError::Inner)?;
                    settings.watch(&reply, token);
                    return Poll::Ready(Ok(reply));
                }
                StateProjection::Waiting { waiting } => {
                    let next = ready!(waiting.poll(cx)).map_err(BearerError::Inner)?;
                    state.set(next);
                }
                StateProjection::Failed { error } => {
                    return Poll::Ready(Err(BearerError::NoToken(error.clone())));
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
            State::Waiting { .. } => "waiting for a token",
            State::Failed { .. } => "failed",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

/// A request that has no token yet.
struct Waiting<S, B> {
    /// Holds no slot until there is a token.
    inner: S,
    /// Taken when it is sent.
    request: Option<Request<B>>,
    settings: Arc<Settings>,
    token: TokenState,
    /// The caller's: from its `grpc-timeout`.
    deadline: Option<Pin<Box<Sleep>>>,
}

enum TokenState {
    Fetching(BoxFuture<'static, Result<Token, Error>>),
    Fetched(Token),
}

impl<S, B> Waiting<S, B>
where
    S: Service<Request<B>>,
{
    fn new(inner: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        // Without a runtime there are no timers, and the fetch fails by itself.
        let timeout = request.headers().get(GRPC_TIMEOUT).and_then(grpc_timeout::decode);
        let deadline = timeout
            .and_then(|time| Instant::now().checked_add(time))
            .filter(|_| Handle::try_current().is_ok());
        let credentials = settings.credentials.clone();
        let fetch = async move {
            match deadline {
                Some(deadline) => credentials.token_within(deadline).await,
                None => credentials.token().await,
            }
        };
        let token = TokenState::Fetching(Box::pin(fetch));
        let deadline = deadline.map(|deadline| Box::pin(sleep_until(deadline)));
        Self { inner, request: Some(request), settings, token, deadline }
    }

    /// Waits until the request is on its way, or there is no token in the caller's time.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<State<S, B>, S::Error>> {
        if let next @ Poll::Ready(_) = self.poll_in_time(cx) {
            return next;
        }
        match &mut self.deadline {
            Some(deadline) => {
                ready!(deadline.as_mut().poll(cx));
                let error = Error::timeout("no token within the caller's grpc-timeout", None);
                Poll::Ready(Ok(State::Failed { error: NoToken::new(error) }))
            }
            None => Poll::Pending,
        }
    }

    fn poll_in_time(&mut self, cx: &mut Context<'_>) -> Poll<Result<State<S, B>, S::Error>> {
        let token = match &mut self.token {
            TokenState::Fetching(fetch) => {
                let token = match ready!(fetch.as_mut().poll(cx)) {
                    Ok(token) => token,
                    Err(error) => return Poll::Ready(Ok(State::Failed { error: NoToken::new(error) })),
                };
                self.token = TokenState::Fetched(token.clone());
                token
            }
            TokenState::Fetched(token) => token.clone(),
        };
        ready!(self.inner.poll_ready(cx))?;
        // The service may have kept the request waiting for long.
        let token = self.settings.credentials.cached().unwrap_or(token);
        let Some(mut request) = self.request.take() else { return Poll::Pending };
        self.settings.stamp.put(request.headers_mut(), &token);
        if let Some(deadline) = &self.deadline {
            let left = deadline.deadline().saturating_duration_since(Instant::now());
            request.headers_mut().insert(GRPC_TIMEOUT, grpc_timeout::encode(left));
        }
        let settings = Arc::clone(&self.settings);
        let token = SentToken::Token(token);
        Poll::Ready(Ok(State::Sent { reply: self.inner.call(request), token, settings }))
    }
}
