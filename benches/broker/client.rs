//! Makes requests like Envoy's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::proto::attribute_context::{HttpRequest, Peer, Request};
use crate::proto::authorization_client::AuthorizationClient;
use crate::proto::{AttributeContext, CheckRequest};

/// How many connections Envoy has open: one for each of its threads.
const CONNECTIONS: usize = 4;

/// The headers that a request of a browser has.
const HEADERS: [(&str, &str); 8] = [
    (":authority", "shop.example"),
    (":method", "GET"),
    (":path", "/storage/v1/b/bucket/o/object?alt=media"),
    (":scheme", "https"),
    ("accept", "application/json"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "0d6f6a1e-7f8b-4b0a-9d0b-1f6a2a3c4d5e"),
];

pub(crate) struct Client {
    channels: Vec<AuthorizationClient<Channel>>,
}

/// What a load took.
pub(crate) struct Load {
    pub(crate) took: Duration,
    /// How long each request took, the shortest first.
    waits: Vec<Duration>,
}

impl Load {
    pub(crate) fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn p99(&self) -> Duration {
        self.waits[self.waits.len() * 99 / 100]
    }
}

impl Client {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            channels: (0..CONNECTIONS)
                .map(|_| AuthorizationClient::new(channel(socket.to_owned())))
                .collect(),
        }
    }

    /// Makes requests for the targets of their numbers. All must be allowed.
    pub(crate) async fn load(
        &self,
        in_flight: usize,
        requests: usize,
        target: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Load {
        let (next, target) = (Arc::new(AtomicUsize::new(0)), Arc::new(target));
        let start = Instant::now();
        let mut callers = JoinSet::new();
        for at in 0..in_flight {
            let (next, target) = (Arc::clone(&next), Arc::clone(&target));
            let mut channel = self.channels[at % self.channels.len()].clone();
            callers.spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return waits;
                    }
                    let asked = Instant::now();
                    let reply = channel.check(check(&target(number))).await.unwrap().into_inner();
                    waits.push(asked.elapsed());
                    assert_eq!(reply.status.unwrap().code, 0);
                }
            });
        }
        let mut waits = callers.join_all().await.concat();
        let took = start.elapsed();
        waits.sort();
        Load { took, waits }
    }
}

fn check(target: &str) -> CheckRequest {
    let headers = HEADERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(Peer { address: None, principal: "spiffe://example.org/ns/shop/sa/web".to_owned() }),
            request: Some(Request { http: Some(HttpRequest { headers, header_map: None }) }),
            context_extensions: [("target".to_owned(), target.to_owned())].into(),
        }),
    }
}

fn channel(socket: PathBuf) -> Channel {
    let connect = service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connect)
}
