//! The broker beside a server that answers `Check` with a constant: requests per second and waiting times, by turns in
//! one run, over Unix sockets. Then the memory of many identities, and how many tokens are fetched at a time at a cold
//! start.
//!
//! `cargo bench --bench broker`. Each server is a process of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation ends the benchmark")]

#[path = "broker/client.rs"]
mod client;
#[allow(dead_code, reason = "it measures other processes")]
#[path = "support/measure.rs"]
mod measure;
#[path = "broker/servers.rs"]
mod servers;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use gcp_iam_credentials::emulator::{Emulator, Fault};

use crate::client::{Client, Load};
use crate::measure::median;
use crate::servers::{Kind, ServerProcess, broker};
use crate::support::emulator::client_of;

/// Envoy's messages.
#[allow(
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    clippy::all,
    clippy::pedantic,
    clippy::restriction
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/envoy/envoy.service.auth.v3.rs"));
}

/// How many requests are in flight, and how many are made in a turn.
const IN_FLIGHT: usize = 64;
const REQUESTS: usize = 40_000;
const TURNS: usize = 7;

/// How many identities are warm, and how many targets a cold start has.
const IDENTITIES: usize = 10_000;
const COLD_TARGETS: usize = 1_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match arguments.iter().position(|argument| argument == servers::ARGUMENT) {
        Some(at) => runtime.block_on(servers::serve(&arguments[at + 1..])),
        None => runtime.block_on(run()),
    }
}

async fn run() {
    let emulator = Emulator::builder().start().await.unwrap();
    compare(&emulator).await;
    memory(&emulator).await;
    cold_start(&emulator).await;
}

/// Returns the address of a target.
fn target(number: usize) -> String {
    format!("customer-{number}@project.iam.gserviceaccount.com")
}

async fn compare(emulator: &Emulator) {
    let folder = tempfile::tempdir().unwrap();
    let start = |kind: Kind| ServerProcess::start(kind, folder.path(), emulator.endpoint());
    let (constant, broker) = (start(Kind::Constant), start(Kind::Broker));
    let (constant, broker) = (Client::new(constant.socket()), Client::new(broker.socket()));
    for client in [&constant, &broker] {
        client.load(IN_FLIGHT, REQUESTS / 10, |_| target(0)).await;
    }
    println!(
        "| turn | constant, requests/s | broker, requests/s | ratio | constant, p99 | broker, p99 | ratio |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (mut rates, mut waits) = (Vec::new(), Vec::new());
    for turn in 1..=TURNS {
        let mut loads: Vec<Load> = Vec::new();
        for client in [&constant, &broker] {
            loads.push(client.load(IN_FLIGHT, REQUESTS, |_| target(0)).await);
        }
        let [constant, broker] = loads.as_slice() else { unreachable!("two servers") };
        let rate = broker.rate() / constant.rate();
        let wait = broker.p99().as_secs_f64() / constant.p99().as_secs_f64();
        println!(
            "| {turn} | {:.0} | {:.0} | {rate:.2} | {:.2?} | {:.2?} | {wait:.2} |",
            constant.rate(),
            broker.rate(),
            constant.p99(),
            broker.p99()
        );
        rates.push(rate);
        waits.push(wait);
    }
    println!("medians: {:.2} of the requests, {:.2} of the p99\n", median(rates), median(waits));
}

async fn memory(emulator: &Emulator) {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start(Kind::Broker, folder.path(), emulator.endpoint());
    let client = Client::new(server.socket());
    client.load(1, 1, |_| target(0)).await;
    let before = server.resident_mib();
    let cold = client.load(IN_FLIGHT, IDENTITIES, target).await;
    let warm = server.resident_mib();
    let hits = client.load(IN_FLIGHT, IDENTITIES, target).await;
    println!(
        "{IDENTITIES} identities: {before:.0} MiB before, {warm:.0} MiB warm; first tokens in {:.1?}, again in {:.2?}\n",
        cold.took, hits.took
    );
}

async fn cold_start(emulator: &Emulator) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cold.sock");
    let (pool, server) = broker(client_of(emulator), &socket).await;
    emulator.faults().inject(Fault::delay(Duration::from_millis(50)));
    emulator.journal().clear();
    let client = Client::new(&socket);
    let all = client.load(COLD_TARGETS, COLD_TARGETS, |at| target(IDENTITIES + at));
    let mut most = 0;
    let mut all = std::pin::pin!(all);
    let load = loop {
        tokio::select! {
            load = all.as_mut() => break load,
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                let in_progress = emulator.journal().entries().iter().filter(|call| call.outcome().is_none()).count();
                most = most.max(in_progress).max(pool.stats().in_flight());
            }
        }
    };
    let limit = gcp_iam_credentials::ImpersonationPool::MAX_IN_FLIGHT;
    println!(
        "cold start of {COLD_TARGETS} targets: at most {most} fetches at a time of {limit}; all in {:.1?}",
        load.took
    );
    assert!(most <= limit, "{most}");
    emulator.faults().clear_all();
    server.stop(Duration::from_secs(1)).await;
}
