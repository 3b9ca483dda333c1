//! How the server answers.

use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The life of a token in seconds, if nobody asks for another.
pub const HOUR: u64 = 3_600;

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With a token.
    Answer,
    /// With 503 or `UNAVAILABLE`, at once.
    Fail,
    /// Never, not even after the outage.
    Hang,
}

impl Mode {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Answer, "answer"), (Self::Fail, "fail"), (Self::Hang, "hang")];

    /// Returns the mode's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, known)| *known == name);
        known.map(|(mode, _)| *mode).ok_or_else(|| format!("no mode is named `{name}`"))
    }
}

/// A mode that changes while the server runs.
#[derive(Debug, Default)]
pub struct Cell(AtomicU8);

impl Cell {
    pub fn get(&self) -> Mode {
        let index = usize::from(self.0.load(Ordering::Relaxed));
        Mode::ALL.get(index).map_or(Mode::Answer, |(mode, _)| *mode)
    }

    pub fn set(&self, mode: Mode) {
        let index = Mode::ALL.iter().position(|(known, _)| *known == mode).unwrap_or_default();
        self.0.store(u8::try_from(index).unwrap_or_default(), Ordering::Relaxed);
    }
}
