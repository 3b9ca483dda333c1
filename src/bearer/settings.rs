//! The settings of a layer, and the invalidation of a token that a reply rejects.

use http::{Response, StatusCode};

use super::auth_headers::AuthHeaders;
use super::destination::Destinations;
use crate::{Credentials, Token, headers};

/// The value of `grpc-status` for `UNAUTHENTICATED`.
const UNAUTHENTICATED: &str = "16";

/// The settings that the services of one layer share.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) credentials: Credentials,
    pub(super) auth_headers: AuthHeaders,
    pub(super) destinations: Destinations,
}

/// The token that a request was sent with.
pub(super) enum SentToken {
    /// The token in the cache, by its generation.
    Generation(u64),
    Token(Token),
}

impl Settings {
    /// Invalidates the token that was sent, if the head of the reply says that it was rejected.
    #[inline]
    pub(super) fn invalidate_if_rejected<R>(&self, reply: &Response<R>, sent: &SentToken) {
        if self.is_rejection(reply) {
            self.log_rejection(reply);
            match sent {
                SentToken::Generation(generation) => self.credentials.invalidate_generation(*generation),
                SentToken::Token(token) => self.credentials.invalidate(token),
            }
        }
    }

    #[inline]
    fn is_rejection<R>(&self, reply: &Response<R>) -> bool {
        match reply.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => self.auth_headers.is_for_proxy(),
            _ => reply.headers().get(headers::GRPC_STATUS).is_some_and(|code| code == UNAUTHENTICATED),
        }
    }

    #[cold]
    fn log_rejection<R>(&self, reply: &Response<R>) {
        let grpc_status = reply.headers().get(headers::GRPC_STATUS).and_then(|code| code.to_str().ok());
        tracing::debug!(status = reply.status().as_u16(), grpc_status, "the called API rejected the token");
    }
}
