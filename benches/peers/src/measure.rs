//! The measurements. Each runs in a process of its own, beside a server of its own.

mod builds;
mod callers;
mod calls;
mod first_token;
mod identities;
mod inject;
mod outage;

use tokio::runtime::{Builder, Runtime};

pub use builds::build;

use crate::BoxError;
use crate::child::Order;
use crate::measurement::Measurement;
use crate::peer::{Peer, Place};
use crate::server::Server;

/// A peer, and the server that it works against.
struct Bench {
    server: Server,
    place: Place,
    quick: bool,
}

/// Makes a measurement of a peer in this process, and returns a text for each of its rows.
pub fn measure<P: Peer>(order: &Order) -> Result<Vec<String>, BoxError> {
    if let Some(reason) = P::missing(order.measurement) {
        return Ok(vec![reason.to_owned(); order.measurement.rows().len()]);
    }
    // These start processes that have servers of their own.
    match order.measurement {
        Measurement::Builds => return build(order),
        Measurement::FirstToken => return first_token::several(order),
        _ => {}
    }
    P::prepare()?;
    let server = Server::start()?;
    let place = Place { url: server.url(), port: server.port() };
    let bench = Bench { server, place, quick: order.quick };
    match order.measurement {
        Measurement::Inject => inject::measure::<P>(&bench),
        Measurement::Calls => runtime()?.block_on(calls::measure::<P>(&bench)),
        Measurement::FirstTokenOnce => runtime()?.block_on(first_token::measure::<P>(&bench)),
        Measurement::Callers => runtime()?.block_on(callers::measure::<P>(&bench)),
        Measurement::Thousand => runtime()?.block_on(identities::measure::<P>(&bench, 1_000)),
        Measurement::TenThousand => runtime()?.block_on(identities::measure::<P>(&bench, 10_000)),
        other => match other.outage() {
            Some((begin, mode)) => runtime()?.block_on(outage::measure::<P>(&bench, begin, mode)),
            None => Err("not a measurement of its own".into()),
        },
    }
}

fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}
