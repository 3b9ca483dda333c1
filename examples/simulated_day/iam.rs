//! IAM as a service in memory, which counts the requests.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use gcp_iam_credentials::proto::GenerateAccessTokenResponse;
use gcp_iam_credentials::source::BoxFuture;
use http::{Request, Response};
use prost::Message;
use tokio::time::{Instant, sleep};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::grpc_reply;
use crate::timeline::Timeline;

/// How long a reply takes.
const LATENCY: Duration = Duration::from_millis(50);
const LIFETIME: Duration = Duration::from_secs(3600);

type Reply = Result<Response<Body>, Infallible>;

#[derive(Clone)]
pub(crate) struct Iam {
    outage: Range<Duration>,
    began: Instant,
    requests: Arc<Mutex<Timeline>>,
    /// The wall clock at the first request. Later, it runs with tokio's clock.
    wall: Arc<OnceLock<(SystemTime, Instant)>>,
}

impl Iam {
    pub(crate) fn new(outage: Range<Duration>, began: Instant, requests: Arc<Mutex<Timeline>>) -> Self {
        Self { outage, began, requests, wall: Arc::default() }
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<
        Request<Body>,
        Response = Response<Body>,
        Error = Infallible,
        Future = BoxFuture<'static, Reply>,
    > + Clone
    + Send
    + Sync
    + 'static {
        let iam = self.clone();
        tower::service_fn(move |_| Box::pin(iam.clone().reply()) as BoxFuture<'static, Reply>)
    }

    async fn reply(self) -> Reply {
        let at = self.began.elapsed();
        let refuses = self.outage.contains(&at);
        let number = self.requests.lock().unwrap_or_else(PoisonError::into_inner).record(at, refuses);
        sleep(LATENCY).await;
        if refuses {
            return Ok(Status::unavailable("an outage").into_http());
        }
        let (wall, since) = *self.wall.get_or_init(|| (SystemTime::now(), Instant::now()));
        let message = GenerateAccessTokenResponse {
            access_token: format!("token-{number}"),
            expire_time: Some((wall + since.elapsed() + LIFETIME).into()),
        };
        Ok(grpc_reply::success(&message.encode_to_vec()))
    }
}
