//! What a pool of very many identities costs: the time to their first tokens, and their memory.
//!
//! `cargo bench --bench pool` takes about a minute, on Linux (it reads `/proc`). The server is
//! another process; all goes over one connection. The source of all of them is a federated identity.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
use gcp_iam_credentials::{Credentials, ImpersonationPool};
use support::measure::resident;
use support::server::{SERVE, Server};
use support::{Arguments, BoxError, builder};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The secret of each identity's token has this length.
const TOKEN_BYTES: usize = 1024;

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read();
    if arguments.has(SERVE) {
        return Server::serve(arguments.token_bytes()?);
    }
    // Under `cargo test` a glance is enough.
    let sizes = if arguments.has("--bench") { vec![1_000, 10_000, 100_000] } else { vec![100] };
    let server = Server::start(TOKEN_BYTES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    println!("{:>12}{:>20}{:>20}{:>24}", "identities", "first tokens", "tokens/s", "bytes an identity");
    for size in sizes {
        runtime.block_on(measure(&server, size))?;
    }
    Ok(())
}

async fn measure(server: &Server, size: usize) -> Result<(), BoxError> {
    let client = builder(TOKEN_BYTES)?.credentials(federated()?).endpoint(server.endpoint()).build()?;
    // The connection is there, and the allocator has warmed up.
    client.impersonate("warm@project.iam.gserviceaccount.com").access_token(["email"])?.token().await?;
    let pool = ImpersonationPool::builder(client).capacity(size).max_fetches_per_minute(0).build();

    let (before, start) = (resident()?, Instant::now());
    // As many tasks as a busy service has requests, not one for each identity.
    let mut tasks = JoinSet::new();
    const WORKERS: usize = 128;
    for worker in 0..WORKERS {
        let pool = pool.clone();
        tasks.spawn(async move {
            for number in (worker..size).step_by(WORKERS) {
                identity(&pool, number)?.token().await?;
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    let took = start.elapsed();
    let bytes = resident()?.saturating_sub(before) / size;
    let rate = size as f64 / took.as_secs_f64();
    println!("{size:>12}{:>18.2} s{rate:>20.0}{bytes:>24}", took.as_secs_f64());

    let stats = pool.stats();
    if (stats.identities(), stats.fetches()) != (size, size as u64) || !identity(&pool, 0)?.is_valid() {
        return Err(format!("not what was to be measured: {stats:?}").into());
    }
    Ok(())
}

fn identity(pool: &ImpersonationPool, number: usize) -> Result<Credentials, BoxError> {
    let target = format!("customer-{number:06}@project-of-ours.iam.gserviceaccount.com");
    Ok(pool.impersonate(target).access_token([CLOUD_PLATFORM])?)
}

/// Returns the credentials of a federated identity. Its token service is a thread of this process.
fn federated() -> Result<Credentials, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let file = format!(
        r#"{{
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/providers/b",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "http://{}/v1/token",
            "credential_source": {{ "file": "/proc/self/comm" }}
        }}"#,
        listener.local_addr()?
    );
    std::thread::spawn(move || listener.incoming().flatten().try_for_each(exchange_tokens));
    Ok(Credentials::from_json(&file)?)
}

/// Answers each request of a connection with a token.
fn exchange_tokens(stream: TcpStream) -> std::io::Result<()> {
    const REPLY: &str = r#"{"access_token":"federated","token_type":"Bearer","expires_in":3600}"#;
    let mut requests = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or_default();
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        requests.read_exact(&mut vec![0; length])?;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", REPLY.len());
        requests.get_mut().write_all(format!("{head}{REPLY}").as_bytes())?;
    }
}
