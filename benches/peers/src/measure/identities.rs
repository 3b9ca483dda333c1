//! The first tokens of many identities, 64 at a time, all kept.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use crate::BoxError;
use crate::memory::resident;
use crate::peer::{Identity, Peer};

const IN_FLIGHT: usize = 64;

/// Returns the time, the memory that the identities added, and the connections.
pub async fn measure<P: Peer>(bench: &Bench, size: usize) -> Result<Vec<String>, BoxError> {
    let size = if bench.quick { size / 10 } else { size };
    let peer = Arc::new(P::connect(&bench.place).await?);
    // The connection is there, and the allocator has warmed up.
    let warm = peer.identity(size).await?;
    warm.authorize(&mut http::HeaderMap::new()).await?;

    let (before, start) = (resident()?, Instant::now());
    let mut tasks = JoinSet::new();
    for worker in 0..IN_FLIGHT {
        let peer = Arc::clone(&peer);
        tasks.spawn(async move {
            let mut kept = Vec::with_capacity(size / IN_FLIGHT + 1);
            for number in (worker..size).step_by(IN_FLIGHT) {
                let identity = peer.identity(number).await?;
                identity.authorize(&mut http::HeaderMap::new()).await?;
                kept.push(identity);
            }
            Ok::<_, BoxError>(kept)
        });
    }
    let mut kept = Vec::with_capacity(IN_FLIGHT);
    while let Some(outcome) = tasks.join_next().await {
        kept.push(outcome??);
    }
    let took = start.elapsed();
    let added = resident()?.saturating_sub(before);
    let counts = bench.server.counts()?;
    let source = counts.connections - counts.mint_connections;
    let connections = match counts.mint_connections {
        0 => format!("{source}"),
        mints => format!("{mints} + {source} of sources"),
    };
    Ok(vec![
        format!("{:.2} s", took.as_secs_f64()),
        format!("{:.1} MiB", added as f64 / f64::from(1 << 20)),
        connections,
    ])
}
