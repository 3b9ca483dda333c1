//! `generateAccessToken`, one and 64 in flight.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use crate::BoxError;
use crate::memory::median;
use crate::peer::Peer;
use crate::system::cpu_time;

const ROUNDS: usize = 11;
const IN_FLIGHT: usize = 64;

/// What one round took.
struct Round {
    cpu: Duration,
    wall: Duration,
    latencies: Vec<Duration>,
}

/// Returns CPU, latencies and rate, first with one call in flight, then with 64.
pub async fn measure<P: Peer>(bench: &Bench) -> Result<Vec<String>, BoxError> {
    let peer = Arc::new(P::connect(&bench.place).await?);
    let (rounds, alone, together) = if bench.quick { (2, 200, 1_280) } else { (ROUNDS, 2_000, 12_800) };
    let mut cells = Vec::new();
    for (in_flight, calls) in [(1, alone), (IN_FLIGHT, together)] {
        round(&peer, in_flight, calls / 4).await?;
        let mut measured = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            measured.push(round(&peer, in_flight, calls).await?);
        }
        cells.extend(texts(&measured));
    }
    Ok(cells)
}

/// Makes `calls` calls, of which `in_flight` run together.
async fn round<P: Peer>(peer: &Arc<P>, in_flight: usize, calls: usize) -> Result<Round, BoxError> {
    let (cpu, start) = (cpu_time()?, Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let peer = Arc::clone(peer);
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(calls / in_flight);
            for _ in 0..calls / in_flight {
                let start = Instant::now();
                peer.call().await?;
                latencies.push(start.elapsed());
            }
            Ok::<_, BoxError>(latencies)
        });
    }
    let mut latencies = Vec::with_capacity(calls);
    while let Some(outcome) = tasks.join_next().await {
        latencies.append(&mut outcome??);
    }
    let (cpu, wall) = (cpu_time()? - cpu, start.elapsed());
    latencies.sort();
    Ok(Round { cpu, wall, latencies })
}

fn texts(rounds: &[Round]) -> [String; 3] {
    let calls = |round: &Round| round.latencies.len() as f64;
    let cpu = median(rounds.iter().map(|round| round.cpu.as_secs_f64() * 1e6 / calls(round)));
    let rate = median(rounds.iter().map(|round| calls(round) / round.wall.as_secs_f64()));
    let percentile = |percent: usize| {
        median(rounds.iter().map(|round| {
            let index = round.latencies.len() * percent / 100;
            round.latencies.get(index).map_or(f64::NAN, Duration::as_secs_f64) * 1e6
        }))
    };
    let (half, tail) = (percentile(50), percentile(99));
    [format!("{cpu:.0} µs"), format!("{half:.0} µs, {tail:.0} µs"), format!("{rate:.0}")]
}
