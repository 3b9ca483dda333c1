//! What a call costs its client: a generated stub, the same stub with the facade's metadata and
//! deadline, and the facade, side by side over real HTTP/2.
//!
//! `cargo bench --bench rpc` takes about half a minute, on Linux (it reads `/proc`). The server is
//! another process, so that its work does not count. The three ways take turns in short rounds,
//! since machines speed up and slow down; ratios are taken within a round, and all figures are
//! medians over the rounds. `-- --token-bytes 1024` makes the tokens as long as real ones.

mod support;

use std::time::Duration;
use std::{fs, io};

use support::measure::median;
use support::server::{SERVE, Server};
use support::{Arguments, BoxError, Calls, USER_AGENT, Way, builder};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

const IN_FLIGHT: usize = 64;
const ROUNDS: usize = 31;
const CALLS_PER_ROUND: usize = 64 * 100;

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read();
    let token_bytes = arguments.token_bytes()?;
    if arguments.has(SERVE) {
        return Server::serve(token_bytes);
    }
    // Under `cargo test` a glance is enough.
    let (rounds, calls) = if arguments.has("--bench") { (ROUNDS, CALLS_PER_ROUND) } else { (1, IN_FLIGHT) };
    let server = Server::start(token_bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ways = runtime.block_on(ways(server.endpoint(), token_bytes))?;
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
