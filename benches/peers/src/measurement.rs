//! What is measured, and the rows of the table.

use std::str::FromStr;
use std::time::Duration;

/// One measurement of one peer: a process of its own, which fills one or more rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measurement {
    /// A fresh token is put on a request.
    Inject,
    /// `generateAccessToken`, one and 64 in flight.
    Calls,
    /// The first token of a new process.
    FirstToken,
    /// One first token of a process. [`Measurement::FirstToken`] starts it several times.
    FirstTokenOnce,
    /// 10,000 callers of one identity at the same time.
    Callers,
    /// The first tokens of 1,000 identities.
    Thousand,
    /// The first tokens of 10,000 identities.
    TenThousand,
    /// The program starts when the outage does, and calls fail.
    StartFailing,
    /// The program starts when the outage does, and calls hang.
    StartHanging,
    /// The outage begins just before the token is refreshed, and calls fail.
    RefreshFailing,
    /// The outage begins just before the token is refreshed, and calls hang.
    RefreshHanging,
    /// A minimal program is built.
    Builds,
}

impl Measurement {
    /// All that fill rows, in the table's order.
    pub const ALL: [Self; 11] = [
        Self::Inject,
        Self::Calls,
        Self::FirstToken,
        Self::Callers,
        Self::Thousand,
        Self::TenThousand,
        Self::StartFailing,
        Self::StartHanging,
        Self::RefreshFailing,
        Self::RefreshHanging,
        Self::Builds,
    ];

    /// Returns the name for the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inject => "inject",
            Self::Calls => "calls",
            Self::FirstToken => "first-token",
            Self::FirstTokenOnce => "first-token-once",
            Self::Callers => "callers",
            Self::Thousand => "identities-1000",
            Self::TenThousand => "identities-10000",
            Self::StartFailing => "outage-start-fail",
            Self::StartHanging => "outage-start-hang",
            Self::RefreshFailing => "outage-refresh-fail",
            Self::RefreshHanging => "outage-refresh-hang",
            Self::Builds => "builds",
        }
    }

    /// Returns the titles of the rows that the measurement fills.
    pub fn rows(self) -> &'static [&'static str] {
        match self {
            Self::Inject => &[
                "fresh token on a request: one thread",
                "… allocations",
                "… two threads together, per request",
            ],
            Self::Calls => &[
                "`generateAccessToken`, 1 in flight: client CPU per call",
                "… p50, p99",
                "… calls a second",
                "`generateAccessToken`, 64 in flight: client CPU per call",
                "… p50, p99",
                "… calls a second",
            ],
            Self::FirstToken => {
                &["first token: connections, requests, round trips", "… time (median of 5 processes)"]
            }
            Self::FirstTokenOnce => &["one first token"],
            Self::Callers => &["10,000 callers of a new identity at once: mints", "… time to the last"],
            Self::Thousand => &["1,000 identities: time", "… memory added", "… connections"],
            Self::TenThousand => &["10,000 identities: time", "… memory added", "… connections"],
            Self::StartFailing => &["outage of 75 s, program starts in it, calls fail"],
            Self::StartHanging => &["outage of 75 s, program starts in it, calls hang"],
            Self::RefreshFailing => &["outage of 75 s, token is due for refresh, calls fail"],
            Self::RefreshHanging => &["outage of 75 s, token is due for refresh, calls hang"],
            Self::Builds => &["minimal program: size, stripped", "… clean release build, CPU", "… crates"],
        }
    }

    /// Returns the time after which a measurement counts as failed.
    pub fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::RefreshFailing | Self::RefreshHanging => 400,
            Self::StartFailing | Self::StartHanging => 180,
            Self::Builds => 3_600,
            // A peer that makes a TLS client for each token takes minutes.
            Self::TenThousand => 300,
            Self::FirstTokenOnce => 20,
            _ => 120,
        })
    }

    /// Whether the measurement waits most of its time, so that all peers can make it together.
    pub fn is_outage(self) -> bool {
        self.outage().is_some()
    }

    /// Returns the kind of outage, if it is one: when it begins, and how calls end.
    pub fn outage(self) -> Option<(Begin, crate::server::Mode)> {
        use crate::server::Mode::{Fail, Hang};
        match self {
            Self::StartFailing => Some((Begin::WithTheProgram, Fail)),
            Self::StartHanging => Some((Begin::WithTheProgram, Hang)),
            Self::RefreshFailing => Some((Begin::BeforeRefresh, Fail)),
            Self::RefreshHanging => Some((Begin::BeforeRefresh, Hang)),
            _ => None,
        }
    }
}

/// When an outage begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The program starts in the outage: it has no token.
    WithTheProgram,
    /// Just before the peer refreshes the token that it has.
    BeforeRefresh,
}

impl FromStr for Measurement {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let mut all = Self::ALL.into_iter().chain([Self::FirstTokenOnce]);
        all.find(|known| known.name() == name).ok_or_else(|| {
            format!("no measurement is named `{name}`: {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
