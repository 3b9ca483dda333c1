//! What a call costs its client: a generated stub, the same stub with the facade's metadata and
//! deadline, and the facade, side by side over real HTTP/2.
//!
//! `cargo bench --bench rpc` takes about half a minute, on Linux (it reads `/proc`). The server is
//! another process, so that its work does not count. The three ways take turns in short rounds,
//! since machines speed up and slow down; ratios are taken within a round, and all figures are
//! medians over the rounds. `-- --token-bytes 1024` makes the tokens as long as real ones.

mod support;

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{
    Arguments, BoxError, Calls, TOKEN_BYTES_ARGUMENT, USER_AGENT, Way, builder, constant_reply, response,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 31;
const CALLS_PER_ROUND: usize = 64 * 100;
/// The argument with which the benchmark starts its server.
const SERVE: &str = "--serve";

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read();
    let token_bytes = arguments.token_bytes()?;
    if arguments.has(SERVE) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(serve(token_bytes));
    }
    // Under `cargo test` a glance is enough.
    let (rounds, calls) = if arguments.has("--bench") { (ROUNDS, CALLS_PER_ROUND) } else { (1, IN_FLIGHT) };
    let server = Server::start(token_bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ways = runtime.block_on(ways(&server.endpoint, token_bytes))?;
    report(&runtime.block_on(measure(&ways, rounds, calls))?);
    Ok(())
}

async fn ways(endpoint: &str, token_bytes: usize) -> Result<Calls<Channel>, BoxError> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?.user_agent(USER_AGENT)?.connect().await?;
    let facade = builder(token_bytes)?.endpoint(endpoint).build()?;
    Calls::new(channel, facade, None, token_bytes)
}

/// What one way took in one round, per call.
#[derive(Clone, Copy)]
struct Cost {
    cpu: Duration,
    wall: Duration,
}

/// Rounds of the three ways, in the order of [`Way::ALL`].
async fn measure(ways: &Calls<Channel>, rounds: usize, calls: usize) -> Result<Vec<[Cost; 3]>, BoxError> {
    for way in Way::ALL {
        round(ways, way, calls).await?;
    }
    let mut measured = Vec::with_capacity(rounds);
    for number in 0..rounds {
        let mut costs = [Cost { cpu: Duration::ZERO, wall: Duration::ZERO }; 3];
        for turn in 0..Way::ALL.len() {
            let index = (number + turn) % Way::ALL.len();
            costs[index] = round(ways, Way::ALL[index], calls).await?;
        }
        measured.push(costs);
    }
    Ok(measured)
}

async fn round(ways: &Calls<Channel>, way: Way, calls: usize) -> Result<Cost, BoxError> {
    let (cpu, start) = (cpu_time()?, Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let ways = ways.clone();
        tasks.spawn(async move {
            for _ in 0..calls / IN_FLIGHT {
                ways.call(way).await?;
            }
            Ok::<_, BoxError>(())
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    let per_call = |whole: Duration| whole / u32::try_from(calls).unwrap_or(u32::MAX);
    Ok(Cost { cpu: per_call(cpu_time()? - cpu), wall: per_call(start.elapsed()) })
}

/// The time that all threads of this process have spent on a CPU.
fn cpu_time() -> io::Result<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        nanos += first.ok_or_else(|| io::Error::other("schedstat holds no number"))?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn report(measured: &[[Cost; 3]]) {
    let cpu = |index: usize| median(measured.iter().map(|costs| costs[index].cpu.as_secs_f64() * 1e6));
    let rate = |index: usize| median(measured.iter().map(|costs| 1.0 / costs[index].wall.as_secs_f64()));
    let ratio = |index: usize, base: usize| {
        median(measured.iter().map(|costs| costs[index].cpu.as_secs_f64() / costs[base].cpu.as_secs_f64()))
    };
    println!("{IN_FLIGHT} calls in flight, medians of {} rounds\n", measured.len());
    println!("{:<12}{:>16}{:>12}{:>14}{:>16}", "", "CPU µs/call", "calls/s", "CPU ÷ raw", "CPU ÷ eq.-wire");
    for (index, way) in Way::ALL.iter().enumerate() {
        let (raw, wire) = (ratio(index, 0), ratio(index, 1));
        println!("{way:<12}{:>16.2}{:>12.0}{raw:>14.3}{wire:>16.3}", cpu(index), rate(index));
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// This program again, in another process, as the server.
struct Server {
    process: Child,
    endpoint: String,
}

impl Server {
    fn start(token_bytes: usize) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .args([SERVE, TOKEN_BYTES_ARGUMENT, &token_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut address)?;
        }
        Ok(Self { process, endpoint: format!("http://{}", address.trim()) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its standard input ends the server; it has nothing to lose anyway.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Answers every request with the constant reply, until standard input ends.
async fn serve(token_bytes: usize) -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    io::stdout().flush()?;
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let reply = constant_reply(token_bytes);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let reply = reply.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let reply = reply.clone();
                async move {
                    // The reply follows the whole request; a broken one has nobody to answer.
                    let _ = request.into_body().collect().await;
                    Ok::<_, Infallible>(response(reply))
                }
            });
            // A connection that breaks is the client's to notice.
            let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}
