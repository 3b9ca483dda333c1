//! How many instructions it takes to put a fresh token on a request: the bare service, a service that
//! inserts a ready header, and the layer.
//!
//! `cargo bench --bench inject_instructions` runs itself under callgrind, if valgrind is installed, and
//! prints instructions per request. They hardly vary from run to run, so they show small changes that
//! the times of `inject` hide. To see where they go, take the program's path from
//! `cargo bench --no-run` and run
//!
//! ```sh
//! valgrind --tool=callgrind PROGRAM --count 1000 --way layer
//! callgrind_annotate callgrind.out.*
//! ```

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

#[path = "support/callgrind.rs"]
mod callgrind;
#[path = "support/request.rs"]
mod request;

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use gcp_iam_credentials::{Credentials, Token};
use http::{HeaderValue, Request, Response, header};
use request::request;
use tower::{Layer, Service, ServiceExt};

const WAY: &str = "--way";
const WAYS: [&str; 3] = ["bare", "insert", "layer"];

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let value = |name: &str| Some(arguments.iter().skip_while(|argument| *argument != name).nth(1)?.as_str());
    if let Some(count) = value(callgrind::COUNT) {
        send(count.parse()?, value(WAY).ok_or("--way bare, insert or layer?")?);
        return Ok(());
    }
    // Under `cargo test` a glance is enough.
    if !arguments.iter().any(|argument| argument == "--bench") {
        WAYS.into_iter().for_each(|way| send(10, way));
        return Ok(());
    }
    if !callgrind::is_installed() {
        return Ok(());
    }
    let bare = callgrind::instructions(&[WAY, WAYS[0]])?;
    println!("{:<12}{:>22}{:>14}", "", "instructions/request", "above bare");
    for way in WAYS {
        let count = callgrind::instructions(&[WAY, way])?;
        println!("{way:<12}{count:>22}{:>+14}", count as i64 - bare as i64);
    }
    Ok(())
}

/// Sends requests one after the other, in memory.
fn send(count: u64, way: &str) {
    let token = Token::new("x".repeat(1024), SystemTime::now() + Duration::from_secs(3600)).unwrap();
    let value = token.header_value().clone();
    let credentials = Credentials::from_fn(move || ready(Ok(token.clone())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        credentials.token().await.unwrap();
        match way {
            "bare" => send_all(Return, count).await,
            "insert" => send_all(load_clone_insert(value), count).await,
            "layer" => send_all(credentials.layer().layer(Return), count).await,
            other => panic!("{other} is none of {WAYS:?}"),
        }
    });
}

/// Sends the same request again and again, so that what it takes to make one isn't counted.
async fn send_all<S>(mut service: S, count: u64)
where
    S: Service<Request<()>, Response = Response<Request<()>>, Error: std::fmt::Debug>,
{
    let mut request = request();
    for _ in 0..count {
        request = black_box(service.ready().await.unwrap().call(request).await.unwrap()).into_body();
        request.headers_mut().remove(header::AUTHORIZATION);
    }
}

/// Replies at once, with the request.
#[derive(Clone)]
struct Return;

impl Service<Request<()>> for Return {
    type Response = Response<Request<()>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        ready(Ok(Response::new(request)))
    }
}

/// Loads a ready value, clones it, inserts it: the least that a token which may change takes.
fn load_clone_insert(
    value: HeaderValue,
) -> impl Service<Request<()>, Response = Response<Request<()>>, Error = Infallible> {
    let value = Arc::new(ArcSwap::from_pointee(value));
    Return.map_request(move |mut request: Request<()>| {
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::clone(&value.load()));
        request
    })
}
