//! One request in progress: wait for a token, wait for the inner service, wait for the reply.

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

use super::settings::{SentToken, Settings};
use super::{BearerError, TokenError};
use crate::headers::GRPC_TIMEOUT;
use crate::{Error, Token, grpc_timeout};

type TokenFuture = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>>;

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
        Sent { #[pin] reply: S::Future, token: SentToken, settings: Arc<Settings> },
        // Boxed, so that the state of a request with a fresh token stays small.
        Waiting { waiting: Box<WaitingRequest<S, B>> },
        Failed { error: TokenError },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    #[inline]
    pub(super) fn sent(reply: S::Future, token: SentToken, settings: Arc<Settings>) -> Self {
        Self { state: State::Sent { reply, token, settings } }
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
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<R>, BearerError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Sent { reply, token, settings } => {
                    let reply = ready!(reply.poll(cx)).map_err(BearerError::Inner)?;
                    settings.invalidate_if_rejected(&reply, token);
                    return Poll::Ready(Ok(reply));
                }
                StateProjection::Waiting { waiting } => {
                    let next = ready!(waiting.poll(cx)).map_err(BearerError::Inner)?;
                    state.set(next);
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
            State::Waiting { .. } => "waiting for a token",
            State::Failed { .. } => "failed",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}

/// A request that can't be sent yet.
struct WaitingRequest<S, B> {
    /// A clone that reserves no slot while the token is being fetched.
    inner: S,
    /// `None` after it was sent.
    request: Option<Request<B>>,
    settings: Arc<Settings>,
    token: FetchedToken,
    /// The caller's deadline, from its `grpc-timeout`.
    deadline: Option<Pin<Box<Sleep>>>,
}

enum FetchedToken {
    Pending(TokenFuture),
    Ready(Token),
}

impl<S, B> WaitingRequest<S, B>
where
    S: Service<Request<B>>,
{
    fn new(inner: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        // Outside of a runtime there are no timers. The fetch then fails at once.
        let timeout = request.headers().get(GRPC_TIMEOUT).and_then(grpc_timeout::decode);
        let deadline = timeout
            .and_then(|timeout| Instant::now().checked_add(timeout))
            .filter(|_| Handle::try_current().is_ok());
        let credentials = settings.credentials.clone();
        let fetch = async move {
            match deadline {
                Some(deadline) => credentials.token_within(deadline).await,
                None => credentials.token().await,
            }
        };
        Self {
            inner,
            request: Some(request),
            settings,
            token: FetchedToken::Pending(Box::pin(fetch)),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
        }
    }

    /// Waits until the request is sent, has failed, or has reached its deadline. Returns the next
    /// state, or the error of an inner service that never became ready.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<State<S, B>, S::Error>> {
        let ready = match self.poll_token(cx) {
            Poll::Ready(Ok(token)) => self.inner.poll_ready(cx).map_ok(|()| token),
            Poll::Ready(Err(error)) => return Poll::Ready(Ok(failed(error))),
            Poll::Pending => Poll::Pending,
        };
        match ready {
            Poll::Ready(Ok(token)) => Poll::Ready(Ok(self.send(token))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.poll_deadline(cx).map(|error| Ok(failed(error))),
        }
    }

    fn poll_token(&mut self, cx: &mut Context<'_>) -> Poll<Result<Token, Error>> {
        let fetched = match &mut self.token {
            FetchedToken::Ready(token) => return Poll::Ready(Ok(token.clone())),
            FetchedToken::Pending(fetch) => ready!(fetch.as_mut().poll(cx)),
        };
        if let Ok(token) = &fetched {
            self.token = FetchedToken::Ready(token.clone());
        }
        Poll::Ready(fetched)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match &mut self.deadline {
            Some(deadline) => deadline
                .as_mut()
                .poll(cx)
                .map(|()| Error::timeout("no token within the caller's grpc-timeout", None)),
            None => Poll::Pending,
        }
    }

    /// Sends the request. The inner service must be ready.
    fn send(&mut self, fetched: Token) -> State<S, B> {
        let Some(mut request) = self.request.take() else {
            return failed(Error::permanent("the request was sent already"));
        };
        // A newer token may be cached, because the inner service may have taken long to become ready.
        let token = self.settings.credentials.cached().unwrap_or(fetched);
        self.settings.auth_headers.insert(request.headers_mut(), &token);
        if let Some(deadline) = &self.deadline {
            let left = deadline.deadline().saturating_duration_since(Instant::now());
            request.headers_mut().insert(GRPC_TIMEOUT, grpc_timeout::encode(left));
        }
        State::Sent {
            reply: self.inner.call(request),
            token: SentToken::Token(token),
            settings: Arc::clone(&self.settings),
        }
    }
}

fn failed<S, B>(error: Error) -> State<S, B>
where
    S: Service<Request<B>>,
{
    State::Failed { error: TokenError::from(error) }
}
