//! The services of an emulator without sockets.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use http::request::Builder;
use http::{Request, StatusCode};
use serde_json::Value;

use crate::emulator::connection::Connection;
use crate::emulator::faults::Transport;
use crate::emulator::iam::policy::Policy;
use crate::emulator::server::services::Services;
use crate::emulator::state::EmulatorState;
use crate::own_hosts::OwnHosts;

const ENDPOINT: &str = "http://127.0.0.1:1";

/// The services of one emulator, and a runtime for them.
pub(super) struct InMemory {
    pub(super) state: Arc<EmulatorState>,
    services: Services,
    runtime: tokio::runtime::Runtime,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl InMemory {
    pub(super) fn new(policy: Option<Policy>) -> Self {
        let state =
            Arc::new(EmulatorState::new(ENDPOINT.to_owned(), OwnHosts::default(), String::new(), policy));
        let services = Services::new(Arc::clone(&state));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        Self { state, services, runtime: runtime.unwrap_or_else(|error| panic!("no runtime: {error}")) }
    }

    /// Sends a request of this content type with a bearer token, if its method and its path are legal.
    pub(super) fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Option<Reply> {
        let bearer = Request::builder().header("authorization", "Bearer hidden-bearer");
        self.send_with(bearer, method, path, content_type, body)
    }

    /// Posts JSON without a token.
    pub(super) fn post(&self, path: &str, body: &Value) -> Reply {
        let body = body.to_string();
        let reply = self.send_with(Request::builder(), "POST", path, "application/json", body.as_bytes());
        reply.unwrap_or_else(|| panic!("the request is legal"))
    }

    fn send_with(
        &self,
        head: Builder,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Option<Reply> {
        let request = head
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:1")
            .header("content-type", content_type)
            .header("metadata-flavor", "Google")
            .body(Body::from(body.to_vec()))
            .ok()
            .filter(|request| request.uri().path().starts_with('/'))?;
        Some(self.runtime.block_on(async {
            let reply = self.services.handle(request, Transport::new(Connection::new(1))).await;
            let status = reply.status();
            let Ok(body) = to_bytes(reply.into_body(), usize::MAX).await else { panic!("a broken body") };
            Reply { status, text: String::from_utf8_lossy(&body).into_owned() }
        }))
    }
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    /// Checks that a reply is a success or Google's error for a bad request.
    pub(super) fn assert_is_googles(&self) {
        if self.status.is_success() {
            return;
        }
        assert!(self.status.is_client_error() || self.status == StatusCode::NOT_IMPLEMENTED, "{}", self.text);
        let json = self.json();
        if self.status != StatusCode::METHOD_NOT_ALLOWED {
            assert_eq!(json["error"]["code"], self.status.as_u16(), "{json}");
        }
        let message = json["error"]["message"].as_str().unwrap_or_default();
        assert!((1..=6_000).contains(&message.len()), "{json}");
        assert!(json["error"]["status"].is_string(), "{json}");
        assert!(!self.text.contains("hidden-bearer"), "{json}");
    }
}
