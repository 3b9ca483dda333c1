//! A run: all wanted measurements of all wanted peers, then the table.

use std::thread;

use crate::BoxError;
use crate::arguments::Plan;
use crate::child::Order;
use crate::measurement::Measurement;
use crate::results::Results;
use crate::table;

/// Measures, and prints the table. What happens meanwhile goes to the standard error.
pub fn run(plan: &Plan) -> Result<(), BoxError> {
    let mut results = match &plan.results {
        Some(path) => Results::read(path)?,
        None => Results::default(),
    };
    let orders = |outages: bool| {
        let measurements = plan.measurements.iter().filter(move |each| each.is_outage() == outages);
        measurements.flat_map(|&measurement| {
            plan.peers.iter().map(move |&peer| Order {
                peer: peer.to_owned(),
                measurement,
                quick: plan.quick,
            })
        })
    };
    for order in orders(false) {
        keep(&mut results, &order, order.run());
    }
    // These wait most of their time, so they don't disturb each other.
    let outages: Vec<_> = orders(true).map(|order| thread::spawn(move || (order.run(), order))).collect();
    for outage in outages {
        let (cells, order) = outage.join().map_err(|_| "a measurement's thread panicked")?;
        keep(&mut results, &order, cells);
    }
    if let Some(path) = &plan.results {
        results.write(path)?;
    }
    let shown = |measurement: &Measurement| {
        let made = |peer: &&str| results.get(peer, *measurement, 0).is_some();
        plan.measurements.contains(measurement) || plan.peers.iter().any(made)
    };
    let measurements: Vec<_> = Measurement::ALL.into_iter().filter(shown).collect();
    print!("{}", table::markdown(&results, &plan.peers, &measurements));
    if plan.quick {
        println!(
            "\nA glance (`--quick`): fewer rounds, a tenth of the identities and callers, outages of 5 s."
        );
    }
    Ok(())
}

fn keep(results: &mut Results, order: &Order, cells: Vec<String>) {
    eprintln!("{} {}: {}", order.peer, order.measurement.name(), cells.join(" | "));
    results.set(&order.peer, order.measurement, cells);
}
