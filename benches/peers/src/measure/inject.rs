//! A fresh token is put on a request that has six headers and room for more.

use std::hint::black_box;
use std::sync::Barrier;

use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;
use tower::ServiceExt;

use super::Bench;
use crate::BoxError;
use crate::memory::median;
use crate::peer::{Identity, Inject, Peer};
use crate::request::request;

const ROUNDS: usize = 4_000;
/// Few, so that they stay in the processor's cache.
const REQUESTS: usize = 32;
const PAIRS: usize = 15;
const BATCHES: usize = 500;

/// Returns the time and the allocations of a request on one thread, and the time on two.
pub fn measure<P: Peer>(bench: &Bench) -> Result<Vec<String>, BoxError> {
    let rounds = if bench.quick { 200 } else { ROUNDS };
    let pairs = if bench.quick { 2 } else { PAIRS };
    let runtime = runtime()?;
    let identity = runtime.block_on(async {
        let identity = P::connect(&bench.place).await?.identity(0).await?;
        identity.authorize(&mut http::HeaderMap::new()).await?;
        Ok::<_, BoxError>(identity)
    })?;
    let mut service = P::service(identity);
    let times: Result<Vec<f64>, BoxError> = runtime.block_on(async { collect(&mut service, rounds).await });
    let one = median(times?);

    let requests = || (0..REQUESTS).map(|_| request()).collect::<Vec<_>>();
    let batch = requests();
    let counted = allocation_counter::measure(|| {
        runtime.block_on(async {
            for request in batch {
                let _ = black_box(send(&mut service, request).await);
            }
        });
    });
    let allocations = counted.count_total as f64 / REQUESTS as f64;
    let two = median((0..pairs).map(|_| together(&service, 2)));
    Ok(vec![format!("{one:.0} ns"), format!("{allocations:.0}"), format!("{two:.0} ns")])
}

fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

async fn collect(service: &mut impl Inject, rounds: usize) -> Result<Vec<f64>, BoxError> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        times.push(time(service).await?);
    }
    Ok(times)
}

async fn send(service: &mut impl Inject, request: http::Request<()>) -> Result<(), BoxError> {
    let service = service.ready().await.map_err(|error| format!("{error:?}"))?;
    black_box(service.call(request).await.map_err(|error| format!("{error:?}"))?);
    Ok(())
}

/// Returns the nanoseconds that one request takes.
async fn time(service: &mut impl Inject) -> Result<f64, BoxError> {
    let requests: Vec<_> = (0..REQUESTS).map(|_| request()).collect();
    let start = Instant::now();
    for request in requests {
        send(service, request).await?;
    }
    Ok(start.elapsed().as_nanos() as f64 / REQUESTS as f64)
}

/// Returns the nanoseconds from one request to the next, `threads` threads sending together.
fn together(service: &impl Inject, threads: usize) -> f64 {
    let barrier = Barrier::new(threads);
    let slowest = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (mut service, barrier) = (service.clone(), &barrier);
                scope.spawn(move || {
                    let runtime = runtime()?;
                    runtime.block_on(async {
                        time(&mut service).await?;
                        barrier.wait();
                        let times = collect(&mut service, BATCHES).await?;
                        Ok::<_, BoxError>(times.iter().sum::<f64>() / times.len() as f64)
                    })
                })
            })
            .collect();
        let times = workers.into_iter().map(|worker| worker.join().ok().and_then(Result::ok));
        times.map(|time| time.unwrap_or(f64::NAN)).fold(0.0, f64::max)
    });
    slowest / threads as f64
}
