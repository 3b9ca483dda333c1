//! The server's journal: its lines, and what they add up to.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use tracing::field::{Field, Visit};

/// The length of the window in which requests of an identity are counted, in milliseconds: 10 s.
pub(crate) const WINDOW_MS: u64 = 10_000;

/// One line of the server's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A request for an access token reached IAM and ended.
    Fetch { at: u64, account: String, ok: bool, fault: bool },
    /// The first use of a token, and its end, in milliseconds since 1970.
    TokenEnds { key: u64, end: u64 },
    /// The API got a token this many milliseconds after its end.
    LateToken { late: u64 },
    /// The API handled a token after its end, because the process was frozen.
    LateAfterFreeze,
    /// The API got a request that hasn't exactly one token.
    WithoutToken,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { at, account, ok, fault } => write!(f, "fetch {at} {account} {ok} {fault}"),
            Self::TokenEnds { key, end } => write!(f, "end {key} {end}"),
            Self::LateToken { late } => write!(f, "late {late}"),
            Self::LateAfterFreeze => f.write_str("late-after-freeze"),
            Self::WithoutToken => f.write_str("without"),
        }
    }
}

impl Line {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        Some(match words[..] {
            ["fetch", at, account, ok, fault] => Self::Fetch {
                at: at.parse().ok()?,
                account: account.to_owned(),
                ok: ok.parse().ok()?,
                fault: fault.parse().ok()?,
            },
            ["end", key, end] => Self::TokenEnds { key: key.parse().ok()?, end: end.parse().ok()? },
            ["late", late] => Self::LateToken { late: late.parse().ok()? },
            ["late-after-freeze"] => Self::LateAfterFreeze,
            ["without"] => Self::WithoutToken,
            _ => return None,
        })
    }
}

/// The fields of the emulator's event for a request.
#[derive(Debug, Default)]
pub(crate) struct RequestFields {
    method: String,
    name: String,
    code: String,
    fault: bool,
}

impl RequestFields {
    /// Returns the line for a request for an access token.
    pub(crate) fn into_line(self, at: u64) -> Option<Line> {
        let Self { method, name, code, fault } = self;
        let account = name.rsplit('/').next()?.to_owned();
        (method == "GenerateAccessToken").then(|| Line::Fetch { at, account, ok: code == "Ok", fault })
    }
}

impl Visit for RequestFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "method" => self.method = format!("{value:?}"),
            "code" => self.code = format!("{value:?}"),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            value.clone_into(&mut self.name);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "fault" {
            self.fault = value;
        }
    }
}

/// What the journal adds up to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// The requests for access tokens.
    pub(crate) requests: u64,
    /// Those that succeeded, and whose reply no fault broke.
    pub(crate) replied_well: u64,
    /// The most requests of one identity in [`WINDOW_MS`].
    pub(crate) most_in_a_window: usize,
    pub(crate) tokens_used: u64,
    pub(crate) late_requests: u64,
    /// How late the latest one was, in milliseconds.
    pub(crate) latest: u64,
    pub(crate) late_after_freeze: u64,
    pub(crate) without_token: u64,
    pub(crate) unreadable: u64,
    recent: HashMap<String, VecDeque<u64>>,
}

impl Summary {
    pub(crate) fn of(text: &str) -> Self {
        let mut summary = Self::default();
        for line in text.lines() {
            match Line::parse(line) {
                Some(line) => summary.add(line),
                None => summary.unreadable += 1,
            }
        }
        summary
    }

    fn add(&mut self, line: Line) {
        match line {
            Line::Fetch { at, account, ok, fault } => {
                self.requests += 1;
                self.replied_well += u64::from(ok && !fault);
                let recent = self.recent.entry(account).or_default();
                recent.push_back(at);
                while recent.front().is_some_and(|first| first + WINDOW_MS < at) {
                    recent.pop_front();
                }
                self.most_in_a_window = self.most_in_a_window.max(recent.len());
            }
            Line::TokenEnds { .. } => self.tokens_used += 1,
            Line::LateToken { late } => {
                self.late_requests += 1;
                self.latest = self.latest.max(late);
            }
            Line::LateAfterFreeze => self.late_after_freeze += 1,
            Line::WithoutToken => self.without_token += 1,
        }
    }
}
