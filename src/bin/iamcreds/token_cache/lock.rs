//! The lock between the runs that want the same token.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::private_file;

/// The right to mint the token of an identity. The system ends it when the run ends, however it ends.
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, unless another run has it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        Ok(try_lock(path)?.map(|file| Self { file, path: path.to_owned() }))
    }
}

impl Drop for Lock {
    /// Removes the file while it is locked. Runs that have opened it notice, and make another one.
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // What can't be removed now is removed with the files of old tokens.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;

    let file = private_file::open_or_create(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // The run that had the lock removes the file.
    Ok(is_at(&file, path).then_some(file))
}

/// Whether a path leads to this file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata().map(number), fs::symlink_metadata(path).map(number));
    matches!((open, there), (Ok(open), Ok(there)) if open == there)
}

/// Nobody can replace a file that is open without sharing.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(windows)]
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    const SHARING_VIOLATION: i32 = 32;
    match private_file::open_or_create(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(unix, windows)))]
fn try_lock(_path: &Path) -> io::Result<Option<File>> {
    Err(io::ErrorKind::Unsupported.into())
}
