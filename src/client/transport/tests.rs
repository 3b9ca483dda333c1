//! Connections in memory, with a paused clock: slow ones, silent ones, and how many there are.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use crate::proto::SignBlobResponse;
#[cfg(feature = "_tls")]
use crate::tls::{ChangingIdentity, PemIdentity};
use crate::{Credentials, ErrorKind, IamCredentialsClient, Token};

const TARGET: &str = "target@project.iam.gserviceaccount.com";

/// How a server treats its connections.
#[derive(Clone, Copy)]
struct Server {
    /// How long making a connection takes.
    setup: Duration,
    /// How long each reply takes.
    reply: Duration,
    /// This many connections never carry a byte to the client.
    black_holes: usize,
}

const FAST: Server = Server { setup: Duration::ZERO, reply: Duration::ZERO, black_holes: 0 };

impl Server {
    /// Returns a client of this server, and the number of connections that were made so far.
    fn client(self) -> (IamCredentialsClient, Arc<AtomicUsize>) {
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let connector = tower::service_fn(move |_: http::Uri| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(self.setup).await;
                Ok::<_, io::Error>(TokioIo::new(self.accept(number)))
            }
        });
        let client = IamCredentialsClient::builder()
            .credentials(Credentials::fixed(Token::new("source", None).unwrap()))
            .endpoint("http://127.0.0.1:1")
            .build_over(
                Some(Box::new(move |endpoint| endpoint.connect_with_connector_lazy(connector.clone()))),
                Box::new(|| 0.5),
            );
        (client.unwrap(), connections)
    }

    fn accept(self, number: usize) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            if number < self.black_holes {
                let _open = far;
                return std::future::pending().await;
            }
            let service = hyper::service::service_fn(move |request| self.answer(request));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(far), service).await;
        });
        near
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<impl http_body::Body<Data = Bytes, Error = Infallible>>, Infallible> {
        let _ = request.into_body().collect().await;
        sleep(self.reply).await;
        let reply = SignBlobResponse { key_id: "key".to_owned(), signed_blob: b"signature".to_vec() };
        let message = reply.encode_to_vec();
        let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let body = Full::from(frame).with_trailers(std::future::ready(Some(Ok(trailers))));
        Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// conf: M35, A9
#[tokio::test(start_paused = true)]
async fn the_attempt_after_a_black_hole_uses_a_new_connection() {
    let (client, connections) = Server { black_holes: 1, ..FAST }.client();
    let start = Instant::now();
    client.sign_blob(TARGET, "").await.unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!((20.0..20.2).contains(&took), "{took}");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// conf: M35, A9
#[tokio::test(start_paused = true)]
async fn a_black_hole_is_left_if_all_attempts_are_short_because_pings_get_no_answer() {
    let (client, connections) = Server { black_holes: 1, ..FAST }.client();
    let start = Instant::now();
    client.sign_blob(TARGET, "").attempt_timeout(ms(400)).await.unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!((20.0..45.0).contains(&took), "{took}");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// conf: A9
#[tokio::test(start_paused = true)]
async fn attempts_that_are_shorter_than_connecting_get_a_connection_in_the_end() {
    let (client, connections) = Server { setup: ms(700), ..FAST }.client();
    for _ in 0..3 {
        client.sign_blob(TARGET, "").attempt_timeout(ms(100)).await.unwrap();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// conf: A9
#[tokio::test(start_paused = true)]
async fn short_timeouts_do_not_drop_the_connection_of_a_slow_server() {
    let (client, connections) = Server { reply: ms(500), ..FAST }.client();
    for _ in 0..100 {
        let error = client.sign_blob(TARGET, "").timeout(ms(200)).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 1), "{error:#}");
    }
    client.sign_blob(TARGET, "").await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// conf: A10
#[tokio::test(start_paused = true)]
async fn a_request_is_counted_when_a_connection_sends_it() {
    let (client, _) = Server { setup: ms(250), reply: ms(500), ..FAST }.client();
    let call = client.sign_blob(TARGET, "").attempt_timeout(ms(100)).timeout(ms(600));
    let error = call.await.unwrap_err();
    // Two attempts or three ended before there was a connection.
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:#}");
    assert!((2..=4).contains(&error.attempts()), "{}", error.attempts());
    let error = client.sign_blob(TARGET, "").timeout(ms(100)).await.unwrap_err();
    assert_eq!(error.attempts(), 1);
}

/// An identity that changes at the second look.
#[cfg(feature = "_tls")]
#[derive(Default)]
struct Rotating {
    looks: AtomicUsize,
    current: arc_swap::ArcSwapOption<PemIdentity>,
}

#[cfg(feature = "_tls")]
impl ChangingIdentity for Rotating {
    fn refresh(&self) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if self.looks.fetch_add(1, Ordering::SeqCst) < 2 {
                let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
                let (certificates, key) = (made.cert.pem().into(), made.signing_key.serialize_pem().into());
                self.current.store(Some(Arc::new(PemIdentity { certificates, key })));
            }
        })
    }

    fn current(&self) -> Option<Arc<PemIdentity>> {
        self.current.load_full()
    }
}

/// conf: F15
#[cfg(feature = "_tls")]
#[tokio::test]
async fn each_attempt_looks_for_another_certificate_which_gets_a_channel_of_its_own() {
    let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (identity, channels) = (Arc::new(Rotating::default()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&channels);
    let client = IamCredentialsClient::builder()
        .credentials(Credentials::fixed(Token::new("source", None).unwrap()))
        .endpoint("https://localhost:1")
        .root_certificates(root.cert.pem())
        .changing_identity(Some(Arc::clone(&identity) as _))
        .retry(crate::RetryPolicy::none())
        .build_over(
            Some(Box::new(move |endpoint| {
                count.fetch_add(1, Ordering::SeqCst);
                endpoint.connect_with_connector_lazy(tower::service_fn(|_: http::Uri| async {
                    Err::<TokioIo<DuplexStream>, _>(io::Error::other("no network here"))
                }))
            })),
            Box::new(|| 0.5),
        )
        .unwrap();
    for (attempt, expected) in [1, 2, 2, 2].into_iter().enumerate() {
        client.sign_blob(TARGET, "bytes").await.unwrap_err();
        assert_eq!(identity.looks.load(Ordering::SeqCst), attempt + 1);
        assert_eq!(channels.load(Ordering::SeqCst), expected, "after attempt {attempt}");
    }
}
