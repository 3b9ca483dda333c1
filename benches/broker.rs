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
#[path = "../tests/support/envoy_messages.rs"]
mod proto;
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

/// What a server did in one turn.
struct Turn {
    load: Load,
    /// The server's processor time for a request.
    cost: Duration,
}

impl Turn {
    async fn of(server: &ServerProcess, client: &Client) -> Self {
        let before = server.processor_time();
        let load = client.load(IN_FLIGHT, REQUESTS, |_| target(0)).await;
        let cost = (server.processor_time() - before) / u32::try_from(REQUESTS).unwrap();
        Self { load, cost }
    }
}

/// Load generator and servers share the machine, so the rates are those of all together. A server that has the machine
/// for itself is as fast as its processor time says.
async fn compare(emulator: &Emulator) {
    let folder = tempfile::tempdir().unwrap();
    let start = |kind: Kind| ServerProcess::start(kind, folder.path(), emulator.endpoint());
    let servers = [start(Kind::Constant), start(Kind::Broker)];
    let clients = servers.each_ref().map(|server| Client::new(server.socket()));
    for client in &clients {
        client.load(IN_FLIGHT, REQUESTS / 10, |_| target(0)).await;
    }
    println!(
        "| turn | requests/s: constant | broker | ratio | p99: constant | broker | ratio | processor time: constant | broker | ratio |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut ratios = [const { Vec::new() }; 3];
    for number in 1..=TURNS {
        let constant = Turn::of(&servers[0], &clients[0]).await;
        let broker = Turn::of(&servers[1], &clients[1]).await;
        let values = [
            (constant.load.rate(), broker.load.rate()),
            (constant.load.p99().as_secs_f64() * 1e3, broker.load.p99().as_secs_f64() * 1e3),
            (constant.cost.as_secs_f64() * 1e6, broker.cost.as_secs_f64() * 1e6),
        ];
        print!("| {number} |");
        for ((constant, broker), (ratios, unit)) in
            values.iter().zip(ratios.iter_mut().zip(["", " ms", " µs"]))
        {
            ratios.push(broker / constant);
            print!(" {constant:.1}{unit} | {broker:.1}{unit} | {:.2} |", broker / constant);
        }
        println!();
    }
    let [rates, waits, costs] = ratios.map(median);
    println!(
        "medians: {rates:.2} of the requests, {waits:.2} of the p99, {costs:.2} of the processor time\n"
    );
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
