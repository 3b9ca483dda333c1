//! The content of a cached token's file.

use std::time::{Duration, SystemTime};

use gcp_iam_credentials::{Credentials, Token};
use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::{Digest, Identity};

/// The format that this program writes. It reads no other one.
const VERSION: u32 = 1;

/// A token, and what is needed to tell whether it may be used. All times are in milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    version: u32,
    /// The name of the file: a file that was moved or copied is noticed.
    identity: String,
    token: String,
    expires_at: u64,
    /// When the token was asked for.
    minted_at: u64,
    minted_at_uptime: u64,
    life: u64,
    /// A hash of the fields above: a file that was damaged is noticed.
    checksum: String,
}

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// If minting fails, or while another run mints.
    Spare,
    Expired,
}

/// The only field that all versions have.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl Entry {
    /// Makes the entry of a token that was asked for at this moment; `None` if it has no expiry, or an expiry
    /// in the past.
    pub(crate) fn new(identity: &Identity, token: &Token, asked: Moment) -> Option<Self> {
        let expires_at = token.expires_at()?;
        // If the machine's clock is slow, the expiry is too far away. The lifetime isn't.
        let life = expires_at.duration_since(asked.time).ok()?.min(identity.lifetime());
        let mut entry = Self {
            version: VERSION,
            identity: identity.name().to_owned(),
            token: token.secret().to_owned(),
            expires_at: since_epoch(expires_at)?,
            minted_at: since_epoch(asked.time)?,
            minted_at_uptime: millis(asked.uptime),
            life: millis(life),
            checksum: String::new(),
        };
        entry.checksum = entry.computed_checksum();
        Some(entry)
    }

    /// Reads a file's content. An error says why it can't be trusted, without showing it.
    pub(crate) fn parse(content: &[u8], identity: &Identity) -> Result<Self, String> {
        let AnyVersion { version } = serde_json::from_slice(content).map_err(|_| "is broken".to_owned())?;
        if version != VERSION {
            return Err(format!("has version {version}, and this program writes version {VERSION}"));
        }
        let entry: Self = serde_json::from_slice(content).map_err(|_| "is broken".to_owned())?;
        if entry.checksum != entry.computed_checksum() || entry.token().is_none() {
            return Err("is damaged".to_owned());
        }
        if entry.identity != identity.name() {
            return Err("has the token of another identity".to_owned());
        }
        Ok(entry)
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Tells what the token is good for now.
    pub(crate) fn freshness(&self, now: Moment) -> Freshness {
        let Some(left) = self.left(now) else { return Freshness::Expired };
        let ahead = millis(Credentials::REFRESH_AHEAD).min(self.life / 4);
        let end = millis(Credentials::USE_UNTIL).min(self.life / 10);
        match left {
            left if left > ahead => Freshness::Fresh,
            left if left > end => Freshness::Spare,
            _ => Freshness::Expired,
        }
    }

    /// Returns how long the token lives, by the clock that is less favorable; `None` if the machine's clock
    /// was set back to before the token existed.
    fn left(&self, now: Moment) -> Option<u64> {
        let time = since_epoch(now.time)?;
        let by_clock = time.checked_sub(self.minted_at)?;
        // After a restart, this is less than the time that has passed, or nothing.
        let by_uptime = millis(now.uptime).saturating_sub(self.minted_at_uptime);
        let left = self.life.checked_sub(by_clock.max(by_uptime))?;
        Some(left.min(self.expires_at.checked_sub(time)?))
    }

    /// Returns the token. [`parse`](Self::parse) has checked that it is one.
    pub(crate) fn token(&self) -> Option<Token> {
        let expires_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.expires_at))?;
        Token::new(&self.token, expires_at).ok()
    }

    fn computed_checksum(&self) -> String {
        let numbers = [self.expires_at, self.minted_at, self.minted_at_uptime, self.life];
        let digest = Digest::new()
            .with("version", self.version.to_string())
            .with("identity", &self.identity)
            .with("token", &self.token);
        numbers.iter().fold(digest, |digest, number| digest.with("number", number.to_be_bytes())).hex()
    }
}

fn since_epoch(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(millis)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
