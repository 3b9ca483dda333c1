//! The source of credentials that were read from a file: it follows the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::credential_file::{CredentialFile, read_content};
use super::identity::identity_change;
use super::reader::{Purpose, Read, Reader};
use crate::host::DEFAULT_UNIVERSE;
use crate::source::{BoxFuture, CacheHints, FetchRequest, SourceInfo};
use crate::{Credentials, Error, Token, TokenSource};

/// How often a file that has changed is read at most, until two reads in a row find the same content.
const MAX_READS: usize = 4;

/// Fetches with the credentials in a file, and follows the file.
///
/// The content decides whether the file has changed: size and time can be the same for another
/// content. It is read before each fetch, after each failure, and by callers that would get an earlier
/// failure. A credential file is small and on a local disk, so that is done without another thread.
///
/// The new content is used as a whole, or not at all: while it can't be used, or the file is missing,
/// the credentials from before stay.
pub(super) struct FileSource {
    reader: Reader,
    read: Read,
    /// Stays the same when the program changes its folder.
    path: PathBuf,
    current: ArcSwap<Current>,
    /// Why the file can't be used at present, to report it once.
    problem: Mutex<Option<String>>,
}

/// A content of the file, and the credentials in it.
struct Current {
    content: Box<[u8]>,
    /// Only their source is used: the cache is that of the credentials around this source.
    credentials: Credentials,
    /// How often another content was used before.
    replacements: u32,
    identity_change: Option<String>,
}

impl FileSource {
    /// Returns the credentials in the file at `path`, which follow the file.
    pub(super) fn credentials(
        reader: Reader,
        read: Read,
        path: &Path,
        content: Vec<u8>,
    ) -> Result<Credentials, Error> {
        let credentials = credentials_in(&content, &reader, read, path)?;
        // What isn't a file, such as a pipe, can be read only once.
        if !path.is_file() {
            return Ok(credentials);
        }
        let current =
            Current { content: content.into(), credentials, replacements: 0, identity_change: None };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let current = ArcSwap::from_pointee(current);
        Ok(Credentials::from_source(Self { reader, read, path, current, problem: Mutex::default() }))
    }

    async fn token(&self, request: FetchRequest<'_>) -> Result<Token, Error> {
        let mut used = self.latest();
        loop {
            let error = match used.credentials.source().fetch(request).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let latest = self.latest();
            if Arc::ptr_eq(&latest, &used) {
                return Err(error);
            }
            used = latest;
        }
    }

    /// Returns the credentials in the file. While it can't be used, returns those from before.
    fn latest(&self) -> Arc<Current> {
        loop {
            let current = self.current.load_full();
            match self.replacement(&current) {
                Ok(None) => {
                    self.set_problem(None);
                    return current;
                }
                Ok(Some(replacement)) => {
                    let replacement = Arc::new(replacement);
                    // If others were faster, the file may have changed again.
                    let before = self.current.compare_and_swap(&current, Arc::clone(&replacement));
                    if Arc::ptr_eq(&before, &current) {
                        self.set_problem(None);
                        self.report(&replacement);
                        return replacement;
                    }
                }
                Err(error) => {
                    self.report_problem(&error);
                    return current;
                }
            }
        }
    }

    /// Returns what replaces `current`; `None` if the file hasn't changed.
    fn replacement(&self, current: &Current) -> Result<Option<Current>, Error> {
        let Some(content) = self.changed_content(&current.content)? else { return Ok(None) };
        let credentials = credentials_in(&content, &self.reader, self.read, &self.path)?;
        let (before, now) = (current.credentials.info(), credentials.info());
        self.check_universe(&before, &now)?;
        Ok(Some(Current {
            content: content.into(),
            credentials,
            replacements: current.replacements.wrapping_add(1),
            identity_change: identity_change(&before, &now).or_else(|| current.identity_change.clone()),
        }))
    }

    /// Returns the content that two reads found, if it isn't `known`. A single read may see a part of
    /// the old content and a part of the new one.
    fn changed_content(&self, known: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut last = read_content(&self.path)?;
        for _ in 1..MAX_READS {
            if last == known {
                return Ok(None);
            }
            let content = read_content(&self.path)?;
            if content == last {
                return Ok(Some(content));
            }
            last = content;
        }
        Err(Error::invalid("credential file", format!("{} is being written", self.path.display())))
    }

    /// Clients were made for the universe that the file named first.
    fn check_universe(&self, before: &SourceInfo, now: &SourceInfo) -> Result<(), Error> {
        let [before, now] = [before, now].map(|info| info.universe_domain().unwrap_or(DEFAULT_UNIVERSE));
        if before == now {
            return Ok(());
        }
        let expectation = format!("must stay {before:?} until the program is restarted, got {now:?}");
        Err(Error::invalid("universe_domain", expectation).in_file(&self.path.display().to_string()))
    }

    fn report(&self, replacement: &Current) {
        let file = self.path.display();
        let info = replacement.credentials.info();
        let principal = info.principal();
        match &replacement.identity_change {
            Some(change) => {
                tracing::warn!(%file, principal, change, "the credential file has another identity now");
            }
            None => tracing::debug!(%file, principal, "the credential file has changed, and is used"),
        }
    }

    fn report_problem(&self, error: &Error) {
        let text = error.in_one_line().to_string();
        if self.set_problem(Some(text.clone())) {
            let file = self.path.display();
            tracing::warn!(%file, error = text, "the credential file can't be used: what it contained before is");
        }
    }

    /// Returns whether the problem is another one than before.
    fn set_problem(&self, problem: Option<String>) -> bool {
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *known != problem;
        *known = problem;
        is_new
    }
}

fn credentials_in(content: &[u8], reader: &Reader, read: Read, path: &Path) -> Result<Credentials, Error> {
    let file = CredentialFile::parse(content, &path.display().to_string())?;
    read(reader, file.fields(), Purpose::Program)
}

impl TokenSource for FileSource {
    fn fetch<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Token, Error>> {
        Box::pin(self.token(request))
    }

    fn info(&self) -> SourceInfo {
        let current = self.current.load();
        let info = current.credentials.info();
        match &current.identity_change {
            Some(change) => info.with_identity_change(change),
            None => info,
        }
    }

    fn cache_hints(&self) -> CacheHints {
        self.current.load().credentials.source().cache_hints()
    }

    fn revision(&self) -> u64 {
        let current = self.latest();
        // What is in the file may follow files of its own.
        let inner = current.credentials.source().revision();
        u64::from(current.replacements).rotate_left(32).wrapping_add(inner)
    }
}
