//! A request that can't be sent yet: it waits for a token, and for the inner service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;
use tower_service::Service;

use super::BearerError;
use super::settings::{Sent, Settings};
use super::time_limit::TimeLimit;
use crate::credentials::SentToken;
use crate::headers::GRPC_TIMEOUT;
use crate::{Error, Token};

/// How many tokens one request waits for, if each is of no use by the time the service is ready.
const MAX_TOKENS: u32 = 4;

/// The errors include those of the inner service.
type Outcome<T, S, B> = Result<T, BearerError<<S as Service<Request<B>>>::Error>>;
type TokenFuture = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>>;

/// Waits until there is a token and the inner service is ready, both at the same time.
///
/// The inner service is asked only when there is a token. If the token is of no use any more when the
/// service is ready, the service is released. So no slot is occupied while a token is fetched.
pub(super) struct WaitingRequest<S, B> {
    inner: S,
    /// `None` after it was sent or has failed.
    request: Option<Request<B>>,
    settings: Arc<Settings>,
    limit: Option<TimeLimit>,
    phase: Phase,
    /// How many tokens it has waited for, this one included.
    tokens: u32,
}

/// What is left of a request that was sent.
pub(super) struct SentRequest<F> {
    pub(super) reply: F,
    pub(super) sent: Sent,
}

enum Phase {
    Token(TokenFuture),
    /// There is a token.
    Service,
}

impl<S, B> WaitingRequest<S, B>
where
    S: Service<Request<B>> + Clone,
{
    /// `inner` must occupy no slot.
    pub(super) fn new(inner: S, request: Request<B>, settings: Arc<Settings>) -> Self {
        let limit = TimeLimit::of(request.headers());
        let phase = Phase::Token(fetch(&settings, limit.as_ref()));
        Self { inner, request: Some(request), settings, limit, phase, tokens: 1 }
    }

    /// Waits until the request can be sent, and sends it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<SentRequest<S::Future>, S, B>> {
        if self.request.is_none() {
            return Poll::Ready(Err(finished().into()));
        }
        let outcome = match self.poll_both(cx) {
            Poll::Ready(Ok(token)) => self.send(token).map_err(BearerError::from),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ready!(self.poll_limit(cx)).into()),
        };
        self.request = None;
        Poll::Ready(outcome)
    }

    /// Waits for the token and for the inner service.
    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<Token, S, B>> {
        loop {
            let arrived = match &mut self.phase {
                Phase::Token(token) => Some(ready!(token.as_mut().poll(cx))?),
                Phase::Service => None,
            };
            self.phase = Phase::Service;
            ready!(self.inner.poll_ready(cx)).map_err(BearerError::Inner)?;
            // After a wait for the service, the token may have expired, or an API may have rejected it.
            if let Some(token) = arrived.or_else(|| self.settings.credentials.poll_again()) {
                return Poll::Ready(Ok(token));
            }
            self.wait_for_another_token()?;
        }
    }

    fn wait_for_another_token(&mut self) -> Result<(), Error> {
        if self.tokens == MAX_TOKENS {
            return Err(Error::credentials("no token lived until the service was ready", true));
        }
        self.tokens += 1;
        // A clone occupies no slot.
        self.inner = self.inner.clone();
        self.phase = Phase::Token(fetch(&self.settings, self.limit.as_ref()));
        Ok(())
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(limit) = &mut self.limit else { return Poll::Pending };
        ready!(limit.poll_over(cx));
        Poll::Ready(self.too_late())
    }

    fn too_late(&self) -> Error {
        let message = match self.phase {
            Phase::Token(_) => "no token within four fifths of the caller's grpc-timeout",
            Phase::Service => "the service was not ready within four fifths of the caller's grpc-timeout",
        };
        Error::timeout(message, None)
    }

    /// Sends the request with the token and with the time that is left. The inner service must be ready.
    fn send(&mut self, token: Token) -> Result<SentRequest<S::Future>, Error> {
        let mut request = self.request.take().ok_or_else(finished)?;
        if let Some(limit) = &self.limit {
            let left = limit.left().ok_or_else(|| self.too_late())?;
            request.headers_mut().insert(GRPC_TIMEOUT, left);
        }
        self.settings.auth_headers.insert(request.headers_mut(), &token);
        Ok(SentRequest {
            reply: self.inner.call(request),
            sent: self.settings.sent(SentToken::Token(Box::new(token))),
        })
    }
}

/// The error of a future that is polled again after its end.
fn finished() -> Error {
    Error::permanent("the request was sent or failed already")
}

fn fetch(settings: &Settings, limit: Option<&TimeLimit>) -> TokenFuture {
    let credentials = settings.credentials.clone();
    let deadline = limit.map(TimeLimit::token_deadline);
    Box::pin(async move {
        match deadline {
            Some(deadline) => credentials.token_within(deadline).await,
            None => credentials.token().await,
        }
    })
}
