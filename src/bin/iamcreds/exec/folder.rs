//! A folder that only this user can read, and that is removed at the end.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};

use crate::folders;

/// How many names are tried.
const ATTEMPTS: u32 = 16;

/// The start of the name.
const NAME: &str = "iamcreds-exec-";

/// A new folder with mode 0700. Dropping it removes it with what it contains.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
    /// Locked, so that other runs know that the folder is in use.
    _handle: Handle,
}

impl PrivateFolder {
    /// Makes a folder in the one for files of running programs, else in that for temporary files. Removes those of runs
    /// that were killed.
    pub(super) fn create() -> io::Result<Self> {
        let runtime = folders::named_by("XDG_RUNTIME_DIR").filter(|path| path.is_dir());
        let parent = runtime.unwrap_or_else(std::env::temp_dir);
        remove_left_over(&parent);
        Self::create_in(&parent)
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let builder = folders::private();
        let random = RandomState::new();
        for attempt in 0..ATTEMPTS {
            let path = parent.join(format!("{NAME}{:016x}", random.hash_one((std::process::id(), attempt))));
            // Fails if there is anything of that name, a link included.
            match builder.create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", parent.display())));
                }
            }
            // Another run may have taken it for one that is left over, before it was locked.
            if let Some(handle) = lock(&path).filter(|_| path.exists()) {
                return Ok(Self { path, _handle: handle });
            }
        }
        Err(io::Error::other(format!("{}: no folder can be made", parent.display())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of this user's runs that ended without a chance to do so: the lock of a process ends with it.
#[cfg(unix)]
fn remove_left_over(parent: &Path) {
    use std::os::unix::fs::MetadataExt;

    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        let is_ours = entry.file_name().to_string_lossy().starts_with(NAME)
            && entry.metadata().is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user);
        if is_ours && let Some(_handle) = lock(&entry.path()) {
            // The next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(not(unix))]
fn remove_left_over(_parent: &Path) {}

#[cfg(unix)]
type Handle = fs::File;

#[cfg(not(unix))]
type Handle = ();

/// Locks a folder until the handle is dropped, unless another process has.
#[cfg(unix)]
fn lock(path: &Path) -> Option<Handle> {
    let handle = fs::File::open(path).ok()?;
    rustix::fs::flock(&handle, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(handle)
}

#[cfg(not(unix))]
fn lock(_path: &Path) -> Option<Handle> {
    Some(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_folder_is_private_and_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folders = [(); 2].map(|()| PrivateFolder::create_in(parent.path()).unwrap());
        assert_ne!(folders[0].path(), folders[1].path());
        assert_eq!(fs::metadata(folders[0].path()).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(folders[0].path().join("token"), "secret").unwrap();
        drop(folders);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        let missing = PrivateFolder::create_in(&parent.path().join("missing")).unwrap_err();
        assert!(missing.to_string().contains("missing"), "{missing}");
    }

    #[test]
    fn a_folder_that_a_killed_run_left_is_removed_and_others_stay() {
        let parent = tempfile::tempdir().unwrap();
        let used = PrivateFolder::create_in(parent.path()).unwrap();
        let left = parent.path().join(format!("{NAME}0000000000000000"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("access-token"), "secret").unwrap();
        let other = parent.path().join("other");
        fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&other, parent.path().join(format!("{NAME}link"))).unwrap();
        remove_left_over(parent.path());
        assert!(!left.exists() && used.path().exists() && other.exists());
    }
}
