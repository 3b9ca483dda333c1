//! What operators ask: whether the server lives, whether it is ready, and its metrics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Response, StatusCode};
use tonic::body::Body;

use crate::broker::reply::reply;

const TEXT: &str = "text/plain; charset=utf-8";

/// The content type of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns the metrics in the form that is served.
pub(super) type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Whether the server is ready, and its metrics.
pub(super) struct Health {
    is_ready: AtomicBool,
    metrics: Option<RenderMetrics>,
}

impl Health {
    pub(super) fn new(metrics: Option<RenderMetrics>) -> Self {
        Self { is_ready: AtomicBool::new(true), metrics }
    }

    pub(super) fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }

    /// Returns the reply if `path` is a page for operators.
    pub(super) fn reply(&self, path: &str) -> Option<Response<Body>> {
        match path {
            "/healthz" => Some(reply(StatusCode::OK, TEXT, "ok\n")),
            "/readyz" if self.is_ready.load(Ordering::Relaxed) => {
                Some(reply(StatusCode::OK, TEXT, "ready\n"))
            }
            "/readyz" => Some(reply(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n")),
            "/metrics" => self.metrics.as_ref().map(|render| reply(StatusCode::OK, METRICS, render())),
            _ => None,
        }
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").field("is_ready", &self.is_ready).finish_non_exhaustive()
    }
}
