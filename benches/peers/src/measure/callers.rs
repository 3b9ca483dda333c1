//! Ten thousand callers want the token of one new identity at the same time.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Bench;
use crate::BoxError;
use crate::peer::{Identity, Peer};

const CALLERS: usize = 10_000;

/// Returns the mints that the server saw, and the time to the last caller's token.
pub async fn measure<P: Peer>(bench: &Bench) -> Result<Vec<String>, BoxError> {
    let callers = if bench.quick { CALLERS / 10 } else { CALLERS };
    let identity = P::connect(&bench.place).await?.identity(0).await?;
    let barrier = Arc::new(Barrier::new(callers + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (identity, barrier) = (identity.clone(), Arc::clone(&barrier));
        tasks.spawn(async move {
            barrier.wait().await;
            identity.authorize(&mut http::HeaderMap::new()).await.map_err(|error| error.to_string())
        });
    }
    barrier.wait().await;
    let start = Instant::now();
    let (mut failed, mut error) = (0_usize, String::new());
    while let Some(outcome) = tasks.join_next().await {
        if let Err(cause) = outcome? {
            failed += 1;
            error = cause;
        }
    }
    let took = start.elapsed();
    if failed > 0 {
        return Err(format!("{failed} of {callers} callers got no token: {error}").into());
    }
    let counts = bench.server.counts()?;
    // A peer that doesn't impersonate fetches at the token endpoint alone.
    let mints = if counts.mints > 0 { counts.mints } else { counts.source_tokens };
    Ok(vec![format!("{mints}"), format!("{:.0} ms", took.as_secs_f64() * 1e3)])
}
