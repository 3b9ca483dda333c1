//! The folder of the cached tokens, and its files.

use std::env;
use std::fs::{self, DirEntry};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use super::entry::Entry;
use super::lock::Lock;
use super::{Identity, private_file};
use crate::folders::{self, named_by};

/// No token lives longer: 12 h. An older file is removed.
const MAX_AGE: Duration = Duration::from_secs(12 * 60 * 60);

/// A temporary file exists for a moment. One that is older than 1 min was left by a run that was killed.
const MAX_TEMPORARY_AGE: Duration = Duration::from_secs(60);

/// How many files are looked at when old ones are removed.
const MAX_NEIGHBORS: usize = 1000;

const TOKEN: &str = "json";
const LOCK: &str = "lock";
const TEMPORARY: &str = "tmp";

/// The cache's folder.
#[derive(Clone)]
pub(crate) struct Folder(PathBuf);

/// The file of one identity.
pub(crate) struct CachedFile {
    folder: Folder,
    name: String,
}

impl Folder {
    /// Returns the folder of this user; `None` if the environment names no home folder.
    ///
    /// It is `iamcreds` in `$XDG_CACHE_HOME`, else in `~/.cache`, in `~/Library/Caches` on macOS, or in
    /// `%LOCALAPPDATA%` on Windows.
    pub(crate) fn of_user() -> Option<Self> {
        let folder = named_by("XDG_CACHE_HOME").or_else(|| match env::consts::OS {
            "windows" => named_by("LOCALAPPDATA"),
            "macos" => named_by("HOME").map(|home| home.join("Library/Caches")),
            _ => named_by("HOME").map(|home| home.join(".cache")),
        });
        folder.map(|folder| Self(folder.join("iamcreds")))
    }

    #[cfg(test)]
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Checks the folder. Makes it if it doesn't exist, and closes it to other users if it was open to them:
    /// then the text says so.
    ///
    /// An error says why the folder can't be used.
    pub(crate) fn prepare(&self) -> Result<Option<String>, String> {
        let about = |problem: &str| format!("{} {problem}", self.0.display());
        let unusable = |problem: &str| about(&format!("{problem}, so no token is cached"));
        let metadata = match fs::symlink_metadata(&self.0) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = folders::private()
                    .recursive(true)
                    .create(&self.0)
                    .and_then(|()| fs::symlink_metadata(&self.0));
                made.map_err(|error| unusable(&format!("can't be made ({error})")))?
            }
            Err(error) => return Err(unusable(&format!("can't be read ({error})"))),
        };
        if !metadata.is_dir() {
            return Err(unusable("is no folder"));
        }
        private_file::check_owner(&metadata).map_err(|problem| unusable(&problem))?;
        let Err(problem) = private_file::check_mode(&metadata) else { return Ok(None) };
        close(&self.0).map_err(|error| unusable(&format!("{problem} and can't be changed ({error})")))?;
        Ok(Some(about(&format!("{problem}: it is closed to them now"))))
    }

    pub(crate) fn file(&self, name: &str) -> CachedFile {
        CachedFile { folder: self.clone(), name: name.to_owned() }
    }
}

impl CachedFile {
    fn path(&self, extension: &str) -> PathBuf {
        self.folder.0.join(format!("{}.{extension}", self.name))
    }

    /// Reads the file; `None` if there is none. An error says why it isn't trusted.
    pub(crate) fn read(&self, identity: &Identity) -> Result<Option<Entry>, String> {
        let path = self.path(TOKEN);
        let entry = private_file::read(&path)
            .and_then(|content| content.map(|content| Entry::parse(&content, identity)).transpose());
        entry.map_err(|problem| format!("{} {problem}: it is ignored and replaced", path.display()))
    }

    /// Replaces the file. Other runs see the old content or the new one.
    pub(crate) fn replace(&self, entry: &Entry) -> Result<(), String> {
        let path = self.path(TOKEN);
        let temporary = self.path(&format!("{}-{}.{TEMPORARY}", process::id(), nanos()));
        let written = self.write(entry, &temporary).and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| {
            // It may not exist.
            let _ = fs::remove_file(&temporary);
            format!("{} can't be written ({error})", path.display())
        })
    }

    fn write(&self, entry: &Entry, path: &Path) -> io::Result<()> {
        let content = entry.to_json()?;
        private_file::options().write(true).create_new(true).open(path)?.write_all(&content)
    }

    /// Removes the file.
    pub(crate) fn remove(&self) {
        // Another run may have removed it.
        let _ = fs::remove_file(self.path(TOKEN));
    }

    /// Takes the lock of this identity, unless another run has it. An error says why it can't be locked.
    pub(crate) fn try_lock(&self) -> Result<Option<Lock>, String> {
        let path = self.path(LOCK);
        Lock::take(&path).map_err(|error| {
            // A link, for example, or a file that root left. The next attempt makes a file.
            let is_lock =
                error.kind() != io::ErrorKind::PermissionDenied && path.is_file() && !path.is_symlink();
            if !is_lock {
                let _ = fs::remove_file(&path);
            }
            format!("{} can't be locked ({error})", path.display())
        })
    }

    /// Removes the files of tokens that have expired for certain, and what killed runs left. Looks at a
    /// limited number of files.
    pub(crate) fn remove_old_neighbors(&self) {
        let Ok(entries) = fs::read_dir(&self.folder.0) else { return };
        for entry in entries.take(MAX_NEIGHBORS).flatten() {
            let path = entry.path();
            match extension(&path) {
                Some(TEMPORARY) if is_older(&entry, MAX_TEMPORARY_AGE) => drop(fs::remove_file(path)),
                Some(TOKEN) if is_older(&entry, MAX_AGE) => drop(fs::remove_file(path)),
                Some(LOCK) if is_older(&entry, MAX_AGE) => {
                    // Dropping the lock removes it.
                    drop(Lock::take(&path));
                }
                _ => {}
            }
        }
    }
}

/// Returns the extension of a file of the cache; `None` for other files.
fn extension(path: &Path) -> Option<&str> {
    let (name, extension) = (path.file_name()?.to_str()?, path.extension()?.to_str()?);
    let hash = name.split('.').next()?;
    let ours = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then_some(extension)
}

fn is_older(entry: &DirEntry, age: Duration) -> bool {
    let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
    written.is_some_and(|written| written.elapsed().is_ok_and(|passed| passed > age))
}

/// Returns a part of a file's name that no other run with the same process id has.
fn nanos() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}

#[cfg(unix)]
fn close(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn close(_folder: &Path) -> io::Result<()> {
    Ok(())
}
