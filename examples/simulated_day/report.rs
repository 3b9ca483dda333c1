//! The figures of a day as a table.

use std::fmt::Write;
use std::ops::Range;
use std::time::Duration;

use crate::day::{Day, HOUR, MINUTE, Plan};

/// The figures that the table and the graph show.
pub(crate) struct Figures {
    pub(crate) start: u32,
    pub(crate) second_generation: u32,
    pub(crate) steady: u32,
    pub(crate) in_outage: u32,
    pub(crate) after_outage: u32,
    pub(crate) later: u32,
}

impl Figures {
    pub(crate) fn new(plan: &Plan, day: &Day) -> Self {
        let busiest = |time: Range<Duration>| day.requests.busiest(time);
        let Range { start, end } = plan.outage;
        Self {
            start: busiest(Duration::ZERO..10 * MINUTE),
            second_generation: busiest(10 * MINUTE..2 * HOUR),
            steady: day.requests.mean(start.saturating_sub(8 * HOUR).max(2 * HOUR)..start),
            in_outage: busiest(start..end),
            after_outage: busiest(end..end + 10 * MINUTE),
            later: busiest(end + 10 * MINUTE..plan.length),
        }
    }
}

pub(crate) fn table(plan: &Plan, day: &Day) -> String {
    let figures = Figures::new(plan, day);
    let Day { requests, waits } = day;
    let mut table = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(table, "| {name:<58} | {value:>11} |");
    };
    row(&format!("{} identities, seed {}", grouped(plan.identities as u64), plan.seed), String::new());
    row("requests to IAM", grouped(requests.total()));
    row("the most in any 60 s", grouped(requests.most_in_a_window() as u64));
    row("a minute after the mass start, at most", grouped(figures.start.into()));
    row("… in the second generation, at most", grouped(figures.second_generation.into()));
    row("… on average in the hours before the outage", grouped(figures.steady.into()));
    row("… in the outage, at most (all refused)", grouped(figures.in_outage.into()));
    row("… after the outage, at most", grouped(figures.after_outage.into()));
    row("… in the rest of the day, at most", grouped(figures.later.into()));
    row("the longest wait for a token, at the start", seconds(waits.longest_before));
    row("… from the end of the outage on", seconds(waits.longest_after));
    row("uses of identities", grouped(waits.uses));
    row("… that waited for a token", grouped(waits.waited));
    row("errors that callers got, in the outage", grouped(waits.errors_of_outage));
    row("… at another time", grouped(waits.other_errors));
    table
}

/// Writes a number with a comma in front of each group of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
