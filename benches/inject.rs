//! What a fresh token on a request costs, beside other ways to put it there.
//!
//! All contenders are tower services around the same trivial one. Each gets requests that have six
//! headers already, and puts a token of 1 KiB on them. A round times every contender once, so that
//! a busy machine affects all of them equally; medians over the rounds are compared. Run it by
//! `cargo bench --bench inject`.
//!
//! google-cloud-auth is not among them, to keep its many dependencies out of this crate's.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

#[allow(dead_code, reason = "other benchmarks measure memory too")]
#[path = "support/measure.rs"]
mod measure;
#[path = "support/request.rs"]
mod request;
#[path = "../tests/support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::ready;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gcp_auth::{CustomServiceAccount, TokenProvider};
use gcp_iam_credentials::emulator::Emulator;
use gcp_iam_credentials::{Credentials, Token, scopes::CLOUD_PLATFORM};
use http::{HeaderValue, Request, Response, header};
use measure::median;
use request::request;
use support::services::ReplyAtOnce;
use support::token_server::{Answer, TokenServer};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

const ROUNDS: usize = 4000;
/// Few, so that they stay in the cache.
const REQUESTS: usize = 32;

/// Loads a ready value, clones it, inserts it: the least that a token which may change takes.
fn load_clone_insert(
    value: HeaderValue,
) -> impl Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send> + Clone + Send {
    let value = Arc::new(ArcSwap::from_pointee(value));
    ReplyAtOnce.map_request(move |mut request: Request<()>| {
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::clone(&value.load()));
        request
    })
}

/// Returns a service that uses gcp_auth directly.
fn gcp_auth(
    provider: Arc<dyn TokenProvider>,
) -> impl Service<Request<()>, Response = Response<()>, Error = gcp_auth::Error, Future: Send> + Clone + Send
{
    service_fn(move |mut request: Request<()>| {
        let provider = Arc::clone(&provider);
        async move {
            let token = provider.token(&[CLOUD_PLATFORM]).await?;
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_str())).unwrap();
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
            let Ok(reply) = ReplyAtOnce.call(request).await;
            Ok(reply)
        }
    })
}

fn requests() -> Vec<Request<()>> {
    std::iter::repeat_with(request).take(REQUESTS).collect()
}

/// Nanoseconds that one request takes.
async fn time<S>(service: &mut S) -> f64
where
    S: Service<Request<()>, Response = Response<()>, Error: std::fmt::Debug>,
{
    let requests = requests();
    let start = Instant::now();
    for request in requests {
        black_box(service.ready().await.unwrap().call(request).await.unwrap());
    }
    start.elapsed().as_nanos() as f64 / REQUESTS as f64
}

/// Nanoseconds between two requests of this service, `threads` threads sending together.
fn time_threads<S>(service: &S, threads: usize) -> f64
where
    S: Service<Request<()>, Response = Response<()>, Error: std::fmt::Debug> + Clone + Send,
{
    const BATCHES: usize = 500;
    let barrier = std::sync::Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (mut service, barrier) = (service.clone(), &barrier);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(async {
                        time(&mut service).await;
                        barrier.wait();
                        let mut total = 0.0;
                        for _ in 0..BATCHES {
                            total += time(&mut service).await;
                        }
                        total / BATCHES as f64
                    })
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).fold(0.0, f64::max)
    });
    slowest / threads as f64
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let token = Token::new("x".repeat(1024), SystemTime::now() + Duration::from_secs(3600)).unwrap();
    let value = token.header_value().clone();
    let credentials = Credentials::from_fn(move || ready(Ok(token.clone())));
    credentials.token().await.unwrap();
    let provider = provider().await;
    provider.token(&[CLOUD_PLATFORM]).await.unwrap();

    let mut bare = ReplyAtOnce;
    let mut insert = load_clone_insert(value);
    let mut ours = credentials.layer().layer(ReplyAtOnce);
    let mut theirs = gcp_auth(provider);

    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(time(&mut bare).await);
        times[1].push(time(&mut insert).await);
        times[2].push(time(&mut ours).await);
        times[3].push(time(&mut theirs).await);
    }
    let [bare, inserted, layered, other] = times.map(median);
    println!("one request, one thread: median of {ROUNDS} rounds of {REQUESTS} requests");
    println!("  bare service              {bare:6.0} ns");
    println!("  load, clone, insert       {inserted:6.0} ns");
    println!(
        "  BearerLayer               {layered:6.0} ns  = {:.2} x the one above (goal: at most 1.8)",
        layered / inserted
    );
    println!(
        "  gcp_auth token() + format {other:6.0} ns  = {:.2} x BearerLayer (goal: at least 2.5)",
        other / layered
    );

    let mut pairs = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS / 200 {
        pairs[0].push(time_threads(&insert, 1));
        pairs[1].push(time_threads(&insert, 2));
        pairs[2].push(time_threads(&ours, 1));
        pairs[3].push(time_threads(&ours, 2));
    }
    let [insert_one, insert_two, ours_one, ours_two] = pairs.map(median);
    println!("two threads together, requests a second against one thread's (goal: at least 1):");
    println!("  load, clone, insert       {:.2} x", insert_one / insert_two);
    println!("  BearerLayer               {:.2} x", ours_one / ours_two);
}

/// A provider of gcp_auth's own: a key file, whose token endpoint gives a token of 1 KiB.
async fn provider() -> Arc<dyn TokenProvider> {
    let secret = "x".repeat(1024);
    let reply = format!(r#"{{"access_token":"{secret}","expires_in":3600,"token_type":"Bearer"}}"#);
    let server = TokenServer::start([Answer::body(200, &reply)]).await;
    let emulator = Emulator::builder().start().await.unwrap();
    let key = emulator.service_account_key_json("bench@example.iam.gserviceaccount.com");
    let mut key: serde_json::Value = serde_json::from_str(&key).unwrap();
    key["token_uri"] = server.url().into();
    Arc::new(CustomServiceAccount::from_json(&key.to_string()).unwrap())
}
