//! An outage of 75 s, while a program sends ten requests a second.

use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until, timeout};

use super::Bench;
use crate::BoxError;
use crate::measurement::Begin;
use crate::peer::{Identity, Peer};
use crate::server::Mode;

const OUTAGE: Duration = Duration::from_secs(75);
/// The least time after the outage in which the peer is watched.
const AFTER: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_millis(100);
/// The program gives up a request after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// From this time on, a request has waited.
const WAITED: Duration = Duration::from_secs(1);

/// What became of one of the program's requests.
struct Outcome {
    start: Instant,
    end: Instant,
    ok: bool,
}

/// Returns how many requests failed or waited, and from when on the peer worked again.
pub async fn measure<P: Peer>(bench: &Bench, begin: Begin, mode: Mode) -> Result<Vec<String>, BoxError> {
    if bench.quick && begin == Begin::BeforeRefresh {
        return Ok(vec!["not with `--quick`".to_owned()]);
    }
    let outage = if bench.quick { OUTAGE / 15 } else { OUTAGE };
    let after = match begin {
        Begin::WithTheProgram if bench.quick => AFTER / 4,
        Begin::WithTheProgram => AFTER,
        // Until the token that outlived the outage has expired, too.
        Begin::BeforeRefresh => {
            let (lifetime, pause) = P::BEFORE_REFRESH;
            AFTER.max(Duration::from_secs(lifetime - pause + 30).saturating_sub(outage))
        }
    };
    let peer = P::connect(&bench.place).await?;
    let identity = match begin {
        Begin::WithTheProgram => {
            bench.server.set_mode(mode)?;
            peer.identity(0).await?
        }
        Begin::BeforeRefresh => {
            let (lifetime, pause) = P::BEFORE_REFRESH;
            bench.server.set_lifetime(lifetime)?;
            let identity = peer.identity(0).await?;
            identity.authorize(&mut http::HeaderMap::new()).await?;
            bench.server.set_lifetime(3_600)?;
            sleep_until(Instant::now() + Duration::from_secs(pause)).await;
            bench.server.set_mode(mode)?;
            identity
        }
    };
    let end = Instant::now() + outage;
    let restored = async {
        sleep_until(end).await;
        bench.server.set_mode(Mode::Answer)
    };
    let (outcomes, restored) = tokio::join!(requests(identity, end + after), restored);
    restored?;
    Ok(vec![text(&outcomes, end, after)])
}

/// Sends requests until `last`, and returns what became of all of them.
async fn requests<I: Identity>(identity: I, last: Instant) -> Vec<Outcome> {
    let (sender, mut receiver) = unbounded_channel();
    let mut next = Instant::now();
    while next < last {
        tokio::spawn(request(identity.clone(), sender.clone()));
        next += INTERVAL;
        sleep_until(next).await;
    }
    drop(sender);
    let mut outcomes = Vec::new();
    while let Some(outcome) = receiver.recv().await {
        outcomes.push(outcome);
    }
    outcomes
}

async fn request<I: Identity>(identity: I, sender: UnboundedSender<Outcome>) {
    let start = Instant::now();
    let mut headers = http::HeaderMap::new();
    let ok = matches!(timeout(PATIENCE, identity.authorize(&mut headers)).await, Ok(Ok(())));
    // The measurement may have ended.
    let _ = sender.send(Outcome { start, end: Instant::now(), ok });
}

fn text(outcomes: &[Outcome], end: Instant, after: Duration) -> String {
    let failed = outcomes.iter().filter(|outcome| !outcome.ok).count();
    let waited = |outcome: &&Outcome| outcome.ok && outcome.end - outcome.start >= WAITED;
    let waited = outcomes.iter().filter(waited).count();
    if failed + waited == 0 {
        return "no request failed or waited".to_owned();
    }
    // The time after which every request that is sent gets a token.
    let late = outcomes.iter().filter(|outcome| !outcome.ok && outcome.start > end);
    let back = match late.map(|outcome| outcome.start - end).max() {
        None => "works again at once".to_owned(),
        Some(last) if last + WAITED > after => {
            format!("**never works again** ({} s watched)", after.as_secs())
        }
        Some(last) => format!("works again after {:.1} s", last.as_secs_f64()),
    };
    format!("{failed} failed, {waited} waited; {back}")
}
