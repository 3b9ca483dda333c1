//! The lock between the runs that want the same token.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::private_file;

/// The right to mint the token of an identity. The system ends it when the run ends, however it ends.
pub(crate) struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, unless another run has it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        Ok(try_lock(path)?.map(|file| Self { _file: file, path: path.to_owned() }))
    }

    /// Removes the lock's file. Runs that have opened it notice, and make another one.
    pub(crate) fn remove(self) {
        // What can't be removed now is removed another time.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    use std::os::unix::fs::MetadataExt;

    let file = private_file::open_or_create(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // The run that had the lock may have removed the file.
    let (locked, there) = (file.metadata()?, fs::symlink_metadata(path));
    let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino()));
    Ok(same.then_some(file))
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
