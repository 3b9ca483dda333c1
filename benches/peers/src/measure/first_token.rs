//! The first token of a new process.

use tokio::time::Instant;

use super::Bench;
use crate::BoxError;
use crate::child::Order;
use crate::measurement::Measurement;
use crate::memory::median;
use crate::peer::{Identity, Peer};

const PROCESSES: usize = 5;

/// Starts processes that fetch one token each, and returns what the server counted and the time.
pub fn several(order: &Order) -> Result<Vec<String>, BoxError> {
    let once = Order { measurement: Measurement::FirstTokenOnce, ..order.clone() };
    let processes = if order.quick { 1 } else { PROCESSES };
    let (mut counted, mut times) = (String::new(), Vec::with_capacity(processes));
    for _ in 0..processes {
        let text = once.attempt()?.concat();
        let (count, time) = text.rsplit_once('|').ok_or_else(|| format!("not a result: {text}"))?;
        times.push(time.parse::<f64>()?);
        count.clone_into(&mut counted);
    }
    Ok(vec![counted, format!("{:.1} ms", median(times))])
}

/// Returns what the server counted and the milliseconds of one first token, with a bar between.
pub async fn measure<P: Peer>(bench: &Bench) -> Result<Vec<String>, BoxError> {
    let start = Instant::now();
    let identity = P::connect(&bench.place).await?.identity(0).await?;
    identity.authorize(&mut http::HeaderMap::new()).await?;
    let time = start.elapsed().as_secs_f64() * 1e3;
    let counts = bench.server.counts()?;
    let requests = counts.mints + counts.source_tokens;
    // A connection's first packet goes there and back before a request can be sent.
    let trips = counts.connections + requests;
    Ok(vec![format!("{}, {requests}, {trips}|{time}", counts.connections)])
}
