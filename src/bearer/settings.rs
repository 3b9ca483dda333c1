//! The settings of a layer, and the invalidation of a token that a reply rejects.

use http::{HeaderMap, HeaderName, Request, Response, StatusCode};

use super::TokenError;
use super::auth_headers::AuthHeaders;
use super::destination::Destinations;
use crate::credentials::{SentToken, invalidate_sent};
use crate::{Credentials, headers};

/// The value of `grpc-status` for `UNAUTHENTICATED`.
const UNAUTHENTICATED: &str = "16";
static GRPC_STATUS: HeaderName = headers::GRPC_STATUS;

/// The settings that the services of one layer share.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) credentials: Credentials,
    pub(super) auth_headers: AuthHeaders,
    pub(super) destinations: Destinations,
    /// The number of the credentials.
    number: u64,
}

/// What a request in flight was sent with. It counts no reference to the settings, because all threads
/// would write to the same counter.
pub(super) struct Sent {
    credentials: u64,
    is_for_proxy: bool,
    token: SentToken,
}

impl Settings {
    pub(super) fn new(credentials: Credentials) -> Self {
        let auth_headers = AuthHeaders::new(&credentials);
        let number = credentials.number();
        Self { credentials, auth_headers, destinations: Destinations::default(), number }
    }

    /// Sets the headers if a token can be had without waiting, and returns that.
    #[inline]
    pub(super) fn authenticate<B>(&self, request: &mut Request<B>) -> Result<Option<SentToken>, TokenError> {
        self.destinations.check(request.uri())?;
        let headers = request.headers_mut();
        match self.credentials.show_fresh(|token| self.auth_headers.insert(headers, token)) {
            Some(generation) => Ok(Some(SentToken::Generation(generation))),
            None => Ok(self.authenticate_otherwise(request.headers_mut())),
        }
    }

    #[cold]
    fn authenticate_otherwise(&self, headers: &mut HeaderMap) -> Option<SentToken> {
        let token = self.credentials.poll_fast()?;
        self.auth_headers.insert(headers, &token);
        Some(SentToken::Token(Box::new(token)))
    }

    #[inline]
    pub(super) fn sent(&self, token: SentToken) -> Sent {
        Sent { credentials: self.number, is_for_proxy: self.auth_headers.is_for_proxy(), token }
    }
}

impl Sent {
    /// Invalidates the token that was sent, if the head of the reply says that it was rejected.
    #[inline]
    pub(super) fn invalidate_if_rejected<R>(&self, reply: &Response<R>) {
        if self.is_rejection(reply) {
            self.invalidate(reply);
        }
    }

    #[inline]
    fn is_rejection<R>(&self, reply: &Response<R>) -> bool {
        match reply.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => self.is_for_proxy,
            _ => reply.headers().get(&GRPC_STATUS).is_some_and(|code| code == UNAUTHENTICATED),
        }
    }

    #[cold]
    fn invalidate<R>(&self, reply: &Response<R>) {
        let grpc_status = reply.headers().get(headers::GRPC_STATUS).and_then(|code| code.to_str().ok());
        tracing::debug!(status = reply.status().as_u16(), grpc_status, "the called API rejected the token");
        invalidate_sent(self.credentials, &self.token);
    }
}
