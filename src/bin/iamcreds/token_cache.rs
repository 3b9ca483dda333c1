//! The token cache that all runs of one user share.
//!
//! What it promises:
//!
//! * A run gets a token of its own [`Identity`] or none: not that of another login, another credential file
//!   or another target.
//! * No token is used after its expiry, even if the machine's clock jumps, and no file is trusted that anyone
//!   else may have written.
//! * A run never fails because of the cache. What is wrong with a file or the disk is said in one line, and
//!   the run mints its own token.
//! * Simultaneous runs mint one token. They wait at most [`LOCK_PATIENCE`] for a run that hangs. A killed one
//!   doesn't delay them.
//!
//! A token is *fresh* while it has more than
//! [`Credentials::REFRESH_AHEAD`](gcp_iam_credentials::Credentials::REFRESH_AHEAD) (225 s) to live, or more
//! than a quarter of its life if that is less, as in a program that keeps its `Credentials`. A fresh token is
//! used. After that it is minted anew; the old one is used while another run mints already, or if minting
//! fails, until 10 s or a tenth of its life before its expiry.

#[cfg(all(test, unix))]
mod attack;
mod digest;
mod entry;
mod folder;
mod identity;
mod lock;
mod moment;
mod private_file;
#[cfg(all(test, unix))]
mod tests;

use std::thread;
use std::time::Duration;

use gcp_iam_credentials::Token;

pub(crate) use self::digest::Digest;
use self::entry::{Entry, Freshness};
use self::folder::{CachedFile, Folder};
pub(crate) use self::identity::Identity;
use self::lock::Lock;
use self::moment::Moment;
use crate::failure::Failure;

/// How long a run waits for another one that mints the same token: 5 s.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How often a waiting run looks: every 20 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How long minting may take while the old token still lives: 5 s.
const SPARE_PATIENCE: Duration = Duration::from_secs(5);

/// The tokens of this user's runs, in files.
pub(crate) struct TokenCache {
    folder: Option<Folder>,
    clock: Box<dyn Fn() -> Moment>,
    notice: Box<dyn Fn(&str)>,
}

/// A token that was just minted.
pub(crate) enum Minted {
    Keep(Token),
    /// The credentials changed meanwhile, so it isn't certain whose it is.
    UseOnce(Token),
}

/// What a file has for a run.
enum Found {
    Fresh(Token),
    /// It still lives, but it is time to mint another one.
    Spare(Token),
    Nothing,
}

/// What a run does after it waited for the others.
enum Turn {
    Use(Token),
    /// The lock is missing if the run waited in vain, or if files can't be locked.
    Mint(Option<Lock>, Option<Token>),
}

impl TokenCache {
    /// Opens the cache of this user, in the folder that the environment names. Without one, nothing is cached.
    pub(crate) fn of_user() -> Self {
        Self::new(Folder::of_user())
    }

    /// Makes a cache that never has a token.
    pub(crate) fn off() -> Self {
        Self::new(None)
    }

    fn new(folder: Option<Folder>) -> Self {
        let notice = |text: &str| eprintln!("iamcreds: token cache: {text}");
        Self { folder, clock: Box::new(Moment::now), notice: Box::new(notice) }
    }

    /// Returns the cached token of an identity, or mints one.
    ///
    /// `mint` gets the time that it may take, if that is limited: then an older token can be used if it fails.
    pub(crate) fn token(
        &self,
        identity: &Identity,
        mint: impl FnOnce(Option<Duration>) -> Result<Minted, Failure>,
    ) -> Result<Token, Failure> {
        let Some(file) = self.file(identity) else { return mint(None).map(Minted::into_token) };
        match self.look(&file, identity) {
            Ok(Found::Fresh(token)) => return Ok(token),
            Ok(_) => {}
            Err(problem) => (self.notice)(&problem),
        }
        let (lock, spare) = match self.wait(&file, identity) {
            Turn::Use(token) => return Ok(token),
            Turn::Mint(lock, spare) => (lock, spare),
        };
        let before = (self.clock)();
        let minted = match (mint(spare.as_ref().map(|_| SPARE_PATIENCE)), spare) {
            (Ok(minted), _) => minted,
            (Err(failure), Some(spare)) if !failure.is_by_signal() => return Ok(spare),
            (Err(failure), _) => return Err(failure),
        };
        if let Minted::Keep(token) = &minted {
            let stored = store(&file, Entry::new(identity, token, before));
            // If there is no lock, the reason was said: one line is enough for a disk that can't be written to.
            if let (Err(problem), Some(_)) = (stored, &lock) {
                (self.notice)(&problem);
            }
        }
        drop(lock);
        Ok(minted.into_token())
    }

    /// Removes the token of an identity, if it is this one: whoever got it was refused.
    pub(crate) fn forget(&self, identity: &Identity, secret: &str) {
        let Some(file) = self.file(identity) else { return };
        let entry = file.read(identity).ok().flatten();
        if entry.and_then(|entry| entry.token()).is_some_and(|token| token.secret() == secret) {
            file.remove();
        }
    }

    /// Returns the identity's file, in a folder that can be trusted.
    fn file(&self, identity: &Identity) -> Option<CachedFile> {
        let folder = self.folder.as_ref()?;
        match folder.prepare() {
            Ok(None) => {}
            Ok(Some(repaired)) => (self.notice)(&repaired),
            Err(problem) => {
                (self.notice)(&problem);
                return None;
            }
        }
        Some(folder.file(identity.name()))
    }

    /// Looks into the file. An error says in one line why the file isn't trusted.
    fn look(&self, file: &CachedFile, identity: &Identity) -> Result<Found, String> {
        let Some(entry) = file.read(identity)? else { return Ok(Found::Nothing) };
        Ok(match (entry.freshness((self.clock)()), entry.token()) {
            (Freshness::Fresh, Some(token)) => Found::Fresh(token),
            (Freshness::Spare, Some(token)) => Found::Spare(token),
            (Freshness::Expired, _) | (_, None) => Found::Nothing,
        })
    }

    /// Waits until this run may mint, or has a token that another run minted.
    fn wait(&self, file: &CachedFile, identity: &Identity) -> Turn {
        let look = || self.look(file, identity).unwrap_or(Found::Nothing);
        let polls = LOCK_PATIENCE.as_millis() / POLL_INTERVAL.as_millis();
        let mut is_repaired = false;
        for _ in 0..polls {
            match (file.try_lock(), look()) {
                (_, Found::Fresh(token)) | (Ok(None), Found::Spare(token)) => return Turn::Use(token),
                (Ok(Some(lock)), Found::Spare(token)) => return Turn::Mint(Some(lock), Some(token)),
                (Ok(Some(lock)), Found::Nothing) => return Turn::Mint(Some(lock), None),
                (Ok(None), Found::Nothing) => thread::sleep(POLL_INTERVAL),
                (Err(_), found) if is_repaired => return Turn::Mint(None, found.token()),
                (Err(problem), _) => {
                    (self.notice)(&problem);
                    is_repaired = true;
                }
            }
        }
        Turn::Mint(None, None)
    }
}

/// Stores a token that was just minted. A token without an expiry isn't stored.
fn store(file: &CachedFile, entry: Option<Entry>) -> Result<(), String> {
    let Some(entry) = entry else { return Ok(()) };
    file.replace(&entry)?;
    file.remove_old_neighbors();
    Ok(())
}

impl Minted {
    fn into_token(self) -> Token {
        match self {
            Self::Keep(token) | Self::UseOnce(token) => token,
        }
    }
}

impl Found {
    fn token(self) -> Option<Token> {
        match self {
            Self::Fresh(token) | Self::Spare(token) => Some(token),
            Self::Nothing => None,
        }
    }
}
