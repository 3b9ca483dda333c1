//! Envoy's external authorization: puts the token of a route's identity on each request.

mod proto;
mod reply;
mod request;

use std::time::Duration;

use http::HeaderMap;
use tonic::{Response, Status};

pub(super) use self::proto::authorization_server::AuthorizationServer;
use self::proto::{CheckRequest, CheckResponse, authorization_server};
use self::reply::{allowed, failed, refused};
use self::request::Asked;
use super::tokens::{Broker, Refusal};
use crate::grpc_timeout;
use crate::headers::GRPC_TIMEOUT;

/// How long a request waits for its token: 10 s, or this share of the time that Envoy gives it if that is less.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_SHARE: f64 = 0.75;

/// The size of a request that Envoy doesn't exceed, unless it sends bodies: 256 KiB.
const MAX_REQUEST: usize = 256 * 1024;

/// Answers `envoy.service.auth.v3.Authorization/Check`, for clients that may say on whose behalf they ask.
pub(super) struct Authorization {
    broker: Broker,
}

impl Authorization {
    pub(super) fn server(broker: Broker) -> AuthorizationServer<Self> {
        AuthorizationServer::new(Self { broker }).max_decoding_message_size(MAX_REQUEST)
    }

    async fn answer(&self, check: CheckRequest, patience: Duration) -> CheckResponse {
        let target_header = self.broker.policy().target_header().cloned();
        let asked = match Asked::read(check, target_header) {
            Ok(asked) => asked,
            Err(problem) => {
                tracing::warn!(problem, "refused a request: its route is configured wrong");
                return refused();
            }
        };
        match self.broker.token(&asked.caller, asked.request(), patience).await {
            Ok(token) => allowed(&asked, &token),
            Err(Refusal::Denied(_)) => refused(),
            Err(Refusal::Failed(error)) => failed(error.is_transient()),
        }
    }
}

#[tonic::async_trait]
impl authorization_server::Authorization for Authorization {
    async fn check(&self, request: tonic::Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let patience = patience(request.metadata().as_ref());
        Ok(Response::new(self.answer(request.into_inner(), patience).await))
    }
}

/// Returns how long a request may wait, so that its reply still comes in time.
fn patience(headers: &HeaderMap) -> Duration {
    let limit = headers.get(GRPC_TIMEOUT).and_then(grpc_timeout::decode);
    limit.map_or(PATIENCE, |limit| PATIENCE.min(limit.mul_f64(PATIENCE_SHARE)))
}
