//! The promises of the pool, in days that are short enough for a test.

use std::time::Duration;

use crate::chart;
use crate::day::{Day, HOUR, MINUTE, Plan, run};
use crate::report::{grouped, table};

/// As much of the limit for each identity as 100,000 have.
fn plan(length: Duration) -> Plan {
    Plan { identities: 1_000, seed: 7, length, outage: length..length, max_fetches_per_minute: 480 }
}

fn holds_for(plan: &Plan, day: &Day) {
    let (requests, waits) = (&day.requests, &day.waits);
    assert!(requests.most_in_a_window() <= plan.max_fetches_per_minute as usize, "{requests:?}");
    assert_eq!(waits.other_errors, 0, "{waits:?}");
    // Everybody waits in a line of all, at the rate of the limit.
    let line = MINUTE * plan.identities as u32 / plan.max_fetches_per_minute + Duration::from_secs(5);
    assert!(waits.longest_before <= line && waits.longest_after <= line, "{waits:?}");
    assert!(waits.uses > 50 * plan.identities as u64, "{waits:?}");
}

/// conf: N5, N8
#[test]
fn an_hour_keeps_the_limit_refuses_nobody_and_spreads_the_refreshes() {
    let plan = plan(HOUR);
    let day = run(&plan).unwrap();
    holds_for(&plan, &day);
    assert_eq!(day.waits.errors_of_outage, 0);
    let identities = plan.identities as u64;
    assert!((identities + 1..2 * identities + 1).contains(&day.requests.total()), "{:?}", day.requests);
    assert!(day.requests.busiest(Duration::ZERO..10 * MINUTE) > 450);
    // A whole generation in half an hour is 35 a minute.
    let second = day.requests.busiest(10 * MINUTE..HOUR);
    assert!((20..80).contains(&second), "{second}");
}

/// conf: N5
#[test]
fn an_outage_keeps_the_limit_and_everybody_has_a_token_soon_after_it() {
    let outage = 80 * MINUTE..95 * MINUTE;
    let plan = Plan { outage: outage.clone(), ..plan(2 * HOUR) };
    let day = run(&plan).unwrap();
    holds_for(&plan, &day);
    assert!(day.requests.busiest(outage.clone()) > 0 && day.waits.errors_of_outage > 0, "{:?}", day.waits);
    let later = day.requests.busiest(outage.end + 3 * MINUTE..plan.length);
    assert!(later < 80, "{later}");
}

#[test]
fn a_seed_gives_the_same_day_again() {
    let plan = Plan { outage: 40 * MINUTE..45 * MINUTE, ..plan(HOUR) };
    let (one, two) = (run(&plan).unwrap(), run(&plan).unwrap());
    assert_eq!(one, two);
    assert_ne!(one, run(&Plan { seed: 8, ..plan.clone() }).unwrap());
    assert_eq!(chart::svg(&plan, &one), chart::svg(&plan, &two));
    assert!(table(&plan, &one).contains("1,000 identities"));
}

#[test]
fn numbers_are_grouped() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
}
