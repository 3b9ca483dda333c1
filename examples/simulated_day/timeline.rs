//! When requests arrived.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::day::MINUTE;

/// The requests of a day, by minutes.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Timeline {
    answered: Vec<u32>,
    refused: Vec<u32>,
    total: u64,
    /// Those of the last 60 s.
    recent: VecDeque<Duration>,
    most_in_a_window: usize,
}

impl Timeline {
    pub(crate) fn new(length: Duration) -> Self {
        let minutes = vec![0; minute_of(length) + 1];
        Self { answered: minutes.clone(), refused: minutes, ..Self::default() }
    }

    /// Takes in a request. Returns its number.
    pub(crate) fn record(&mut self, at: Duration, is_refused: bool) -> u64 {
        let minutes = if is_refused { &mut self.refused } else { &mut self.answered };
        if let Some(count) = minutes.get_mut(minute_of(at)) {
            *count += 1;
        }
        self.recent.push_back(at);
        while self.recent.front().is_some_and(|first| at - *first > MINUTE) {
            self.recent.pop_front();
        }
        self.most_in_a_window = self.most_in_a_window.max(self.recent.len());
        self.total += 1;
        self.total
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The most requests in any window of 60 s, wherever it begins.
    pub(crate) fn most_in_a_window(&self) -> usize {
        self.most_in_a_window
    }

    /// The requests of each minute.
    pub(crate) fn minutes(&self) -> impl Iterator<Item = u32> {
        self.answered.iter().zip(&self.refused).map(|(answered, refused)| answered + refused)
    }

    /// The requests of the busiest minute of a time.
    pub(crate) fn busiest(&self, time: Range<Duration>) -> u32 {
        self.of(time).max().unwrap_or_default()
    }

    /// The requests of an average minute of a time.
    pub(crate) fn mean(&self, time: Range<Duration>) -> u32 {
        let minutes = self.of(time.clone()).count().max(1);
        (self.of(time).map(u64::from).sum::<u64>() / minutes as u64) as u32
    }

    fn of(&self, time: Range<Duration>) -> impl Iterator<Item = u32> {
        let (first, end) = (minute_of(time.start), minute_of(time.end));
        self.minutes().skip(first).take(end.saturating_sub(first))
    }
}

fn minute_of(at: Duration) -> usize {
    (at.as_secs() / 60) as usize
}
