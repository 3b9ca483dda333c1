//! The performance of the emulator: its access tokens compared with a server that answers with a
//! constant, its signatures compared with the RSA library alone, its memory, its keys, and its start.
//!
//! ```text
//! cargo bench --bench emulator
//! cargo test --bench emulator     # a short run of a debug build, for the time that keys take in tests
//! ```
//!
//! Rates on a shared machine vary, so both sides of a ratio are measured in turns, and medians are
//! compared.
#![allow(clippy::expect_used, reason = "a benchmark may fail")]

#[path = "support/measure.rs"]
mod measure;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Barrier;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use gcp_iam_credentials::emulator::{Emulator, Policy, Role};
use gcp_iam_credentials::proto::iam_credentials_client::IamCredentialsClient;
use gcp_iam_credentials::proto::{GenerateAccessTokenRequest, GenerateAccessTokenResponse, SignBlobRequest};
use gcp_iam_credentials::{scopes, service_account_path};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use measure::{median, resident};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::server::{Grpc, UnaryService};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const EMAIL: &str = "sa@project.iam.gserviceaccount.com";
const IN_FLIGHT: usize = 64;

type Client = IamCredentialsClient<Channel>;

fn main() {
    // Without --bench (`cargo test --benches`) this is a short run.
    let full = std::env::args().any(|argument| argument == "--bench");
    let (rounds, calls, tokens) = if full { (15, 8_000, 100_000) } else { (1, 64, 100) };
    let runtime = Runtime::new().expect("the machine runs threads");
    runtime.block_on(async {
        // Before anything else has made keys.
        first_signatures("as soon as the first emulator runs").await;
        first_signatures("later").await;
        starts().await;
        let emulator = Emulator::builder().start().await.expect("a port is free");
        memory(&emulator, tokens).await;
        access_tokens(&emulator, rounds, calls).await;
        signatures(&emulator, rounds, calls / 20).await;
        start(rounds).await;
    });
}

/// Measures the first signatures of 50 accounts, each of which needs a key.
async fn first_signatures(when: &str) {
    let start = Instant::now();
    let emulator = Emulator::builder().start().await.expect("a port is free");
    let client = client(emulator.endpoint());
    let mut under_way = JoinSet::new();
    for number in 0..50 {
        let mut client = client.clone();
        under_way.spawn(async move {
            let name = service_account_path("-", &format!("sa-{number}@project.iam.gserviceaccount.com"));
            let request = SignBlobRequest { name, payload: b"payload".to_vec(), ..Default::default() };
            black_box(client.sign_blob(authorized(request)).await.expect("it answers"));
        });
    }
    under_way.join_all().await;
    println!("the first signatures of 50 accounts, {when}: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
}

/// Measures the start of 50 emulators that run at the same time.
async fn starts() {
    let start = Instant::now();
    let mut running = Vec::new();
    for _ in 0..50 {
        running.push(Emulator::builder().start().await.expect("a port is free"));
    }
    println!("50 emulators start: {:.0} ms", start.elapsed().as_secs_f64() * 1000.0);
}

/// Measures the memory of live tokens.
async fn memory(emulator: &Emulator, tokens: usize) {
    let client = client(emulator.endpoint());
    // Fills the journal, which is a ring, so that only tokens are measured.
    rate(&client, 10_000.min(tokens), Call::AccessToken).await;
    let before = resident();
    rate(&client, tokens, Call::AccessToken).await;
    if let (Ok(before), Ok(after)) = (before, resident()) {
        let mib = after.saturating_sub(before) as f64 / 1_048_576.0;
        println!("{tokens} live tokens: {mib:.1} MiB");
    }
}

async fn access_tokens(emulator: &Emulator, rounds: usize, calls: usize) {
    let constant = client(&constant_server());
    let emulated = client(emulator.endpoint());
    let (mut constants, mut emulations) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        constants.push(rate(&constant, calls, Call::AccessToken).await);
        emulations.push(rate(&emulated, calls, Call::AccessToken).await);
    }
    let (constant, emulated) = (median(constants), median(emulations));
    println!(
        "access tokens, {IN_FLIGHT} in flight: {emulated:.0}/s; a constant: {constant:.0}/s; ratio {:.2}",
        emulated / constant
    );
}

async fn signatures(emulator: &Emulator, rounds: usize, calls: usize) {
    emulator.keys().prepare(EMAIL).await.expect("the machine makes keys");
    let client = client(emulator.endpoint());
    let (mut bare, mut emulations) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(bare_signatures(calls));
        emulations.push(rate(&client, calls, Call::SignBlob).await);
    }
    let (bare, emulated) = (median(bare), median(emulations));
    println!(
        "sign_blob: {emulated:.0}/s; the library on all cores: {bare:.0}/s; ratio {:.2}",
        emulated / bare
    );
}

async fn start(rounds: usize) {
    let policy = (0..100).fold(Policy::new(), |policy, number| {
        policy.grant("allUsers", Role::TOKEN_CREATOR, &format!("sa-{number}@project.iam.gserviceaccount.com"))
    });
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let emulator = Emulator::builder().policy(policy.clone()).start().await.expect("a port is free");
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        drop(emulator);
    }
    println!("start with 100 accounts: {:.2} ms", median(times));
}

/// The call to repeat.
#[derive(Clone, Copy)]
enum Call {
    AccessToken,
    SignBlob,
}

impl Call {
    async fn make(self, client: &mut Client) {
        let name = service_account_path("-", EMAIL);
        match self {
            Self::AccessToken => {
                let scope = vec![scopes::CLOUD_PLATFORM.to_owned()];
                let request = GenerateAccessTokenRequest { name, scope, ..Default::default() };
                black_box(client.generate_access_token(authorized(request)).await.expect("it answers"));
            }
            Self::SignBlob => {
                let request = SignBlobRequest { name, payload: b"payload".to_vec(), ..Default::default() };
                black_box(client.sign_blob(authorized(request)).await.expect("it answers"));
            }
        }
    }
}

fn authorized<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer any".parse().expect("it is ASCII"));
    request
}

/// Returns calls per second.
async fn rate(client: &Client, calls: usize, call: Call) -> f64 {
    let each = calls.div_ceil(IN_FLIGHT);
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let mut client = client.clone();
        under_way.spawn(async move {
            for _ in 0..each {
                call.make(&mut client).await;
            }
        });
    }
    under_way.join_all().await;
    (each * IN_FLIGHT) as f64 / start.elapsed().as_secs_f64()
}

/// Returns signatures per second of the RSA library alone.
fn bare_signatures(calls: usize) -> f64 {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("the machine makes keys");
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let (each, ready) = (calls.div_ceil(threads), Barrier::new(threads + 1));
    let sign = || {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"payload", &mut signature).expect("the key signs");
    };
    let start = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // A thread seeds its random numbers at its first signature, which takes a while.
                sign();
                ready.wait();
                (0..each).for_each(|_| sign());
            });
        }
        ready.wait();
        Instant::now()
    });
    (each * threads) as f64 / start.elapsed().as_secs_f64()
}

fn client(endpoint: &str) -> Client {
    let endpoint = Channel::from_shared(endpoint.to_owned()).expect("it is a URL");
    IamCredentialsClient::new(endpoint.connect_lazy())
}

/// Serves one reply to all requests, on its own thread like the emulator. Returns its endpoint.
fn constant_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    listener.set_nonblocking(true).expect("sockets can be so");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it runs");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it is non-blocking");
            loop {
                let (stream, _) = listener.accept().await.expect("it accepts");
                stream.set_nodelay(true).expect("TCP can be so");
                tokio::spawn(async move {
                    let service = service_fn(|request| async {
                        let codec = ProstCodec::default();
                        Ok::<_, Infallible>(Grpc::new(codec).unary(Constant, request).await)
                    });
                    // Runs until the benchmark ends.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
    });
    endpoint
}

struct Constant;

impl UnaryService<GenerateAccessTokenRequest> for Constant {
    type Response = GenerateAccessTokenResponse;
    type Future = Ready<Result<Response<GenerateAccessTokenResponse>, Status>>;

    fn call(&mut self, _: Request<GenerateAccessTokenRequest>) -> Self::Future {
        ready(Ok(Response::new(GenerateAccessTokenResponse {
            access_token: "ya29.c.0123456789012345678901234567890123".to_owned(),
            expire_time: Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 }),
        })))
    }
}
