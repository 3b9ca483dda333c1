//! A folder that only this user can read, and that is removed at the end.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder};
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};

/// How many names are tried.
const ATTEMPTS: u32 = 16;

/// A new folder with mode 0700. Dropping it removes it with what it contains.
#[derive(Debug)]
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes a folder in the one for files of running programs, else in that for temporary files.
    pub(super) fn create() -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let parent = runtime.filter(|path| path.is_absolute() && path.is_dir());
        Self::create_in(&parent.unwrap_or_else(std::env::temp_dir))
    }

    fn create_in(parent: &Path) -> io::Result<Self> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let random = RandomState::new();
        let mut last = io::ErrorKind::AlreadyExists.into();
        for attempt in 0..ATTEMPTS {
            let name = format!("iamcreds-exec-{:016x}", random.hash_one((std::process::id(), attempt)));
            let path = parent.join(name);
            // Fails if there is anything of that name, a link included.
            match builder.create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("{}: {error}", parent.display())));
                }
            }
        }
        Err(last)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // There is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
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
}
