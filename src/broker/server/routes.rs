//! Which protocol a request speaks, and whether its connection may.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;

use super::identity::Identity;
use super::operations::Health;
use super::token_exchange::exchange;
use crate::broker::connections::Responder;
use crate::broker::envoy::{Authorization, AuthorizationServer};
use crate::broker::metadata::{Failure, check_host, marked, respond};
use crate::broker::peer::{Channel, Peer};
use crate::broker::tokens::Broker;
use crate::metadata_protocol::Refusal;
use crate::name::account_in;

/// The path of token exchange.
const TOKEN: &str = "/token";

/// The start of the paths that name an account.
const TARGETS: &str = "/targets/";

/// Replies to the requests of one socket.
pub(super) struct Routes {
    pub(super) broker: Broker,
    pub(super) health: Arc<Health>,
    pub(super) authorization: AuthorizationServer<Authorization>,
    /// The account that all clients of the socket act as.
    pub(super) target: Option<String>,
    /// The project that metadata servers say they are in.
    pub(super) project: Option<String>,
}

impl Responder for Routes {
    const HTTP2: bool = true;

    async fn reply(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        if let Some(reply) = self.health.reply(request.uri().path()) {
            return reply;
        }
        match peer.channel {
            Channel::Open => marked(Err(Refusal::NOT_FOUND.into())),
            _ if is_grpc(request.headers()) => self.check(peer, request).await,
            Channel::Loopback => match check_host(request.headers(), request.uri()) {
                Ok(()) => self.local(peer, request).await,
                Err(failure) => marked(Err(failure)),
            },
            #[cfg(unix)]
            Channel::Unix { .. } => self.local(peer, request).await,
            #[cfg(feature = "_tls")]
            Channel::Tls if request.uri().path() == TOKEN => {
                exchange(&self.broker, &peer.caller, request).await
            }
            // The protocol of the metadata server knows no certificates.
            #[cfg(feature = "_tls")]
            Channel::Tls => marked(Err(Refusal::NOT_FOUND.into())),
        }
    }
}

impl Routes {
    /// Replies to a process of this machine.
    async fn local(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == TOKEN {
            return exchange(&self.broker, &peer.caller, request).await;
        }
        marked(self.metadata(peer, request).await)
    }

    async fn metadata(&self, peer: &Peer, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let (head, _) = request.into_parts();
        let (prefix, named) = match named_target(head.uri.path()) {
            Some((prefix, target)) => (prefix.to_owned(), Some(target)),
            None => (String::new(), None),
        };
        // The account of the socket is the only one there.
        let target = match (&self.target, &named) {
            (Some(own), Some(named)) if own != named => return Err(Refusal::NOT_FOUND.into()),
            (Some(own), _) => Some(own.as_str()),
            (None, named) => named.as_deref(),
        };
        let identity = Identity::of(&self.broker, &peer.caller, target, self.project.as_deref())?;
        respond(&identity, &prefix, &head).await
    }

    /// Replies to an Envoy. It says itself on whose behalf it asks, so nothing is read of a client that isn't trusted.
    async fn check(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        if !peer.may_claim(&self.broker.policy()) {
            tracing::info!(%peer, "refused a check: not a peer");
            return Status::permission_denied("not a peer").into_http();
        }
        let mut server = self.authorization.clone();
        match server.call(request).await {
            Ok(reply) => reply,
            Err(never) => match never {},
        }
    }
}

/// Returns the start of a path that names an account, without a slash at its end, and the account.
fn named_target(path: &str) -> Option<(&str, String)> {
    let rest = path.strip_prefix(TARGETS)?;
    let account = rest.split('/').next().unwrap_or_default();
    let decoded = percent_decode_str(account).decode_utf8().ok()?;
    Some((&path[..TARGETS.len() + account.len()], account_in(&decoded).to_owned()))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// conf: Y7
    #[test]
    fn a_path_may_name_an_account() {
        let target = |path| named_target(path).map(|(prefix, target)| (prefix.to_owned(), target));
        for (path, prefix, account) in [
            ("/targets/a@p.q/computeMetadata/v1/", "/targets/a@p.q", "a@p.q"),
            ("/targets/a%40p.q", "/targets/a%40p.q", "a@p.q"),
            ("/targets//computeMetadata", "/targets/", ""),
        ] {
            assert_eq!(target(path), Some((prefix.to_owned(), account.to_owned())), "{path}");
        }
        for path in ["/", "/target/a@p.q/", "/computeMetadata/v1/targets/a@p.q", "/targets/%ff/"] {
            assert_eq!(target(path), None, "{path}");
        }
    }
}
