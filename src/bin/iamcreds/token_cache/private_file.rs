//! Files that only this user can read and write.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

/// A cached token's file is smaller: 64 KiB.
const MAX_SIZE: u64 = 64 * 1024;

/// Returns the options to open or make a private file. A symbolic link isn't followed, and a pipe doesn't block.
#[cfg(unix)]
pub(crate) fn options() -> OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;

    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

#[cfg(not(unix))]
pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

/// Reads a private file; `None` if there is none. An error says why it isn't trusted.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let file = match options().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) if path.is_symlink() => return Err("is a symbolic link".to_owned()),
        Err(error) => return Err(format!("can't be read ({error})")),
    };
    let metadata = file.metadata().map_err(|error| format!("can't be read ({error})"))?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    check_owner(&metadata)?;
    check_mode(&metadata)?;
    let mut content = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_SIZE)).unwrap_or_default());
    match file.take(MAX_SIZE + 1).read_to_end(&mut content) {
        Ok(size) if size as u64 > MAX_SIZE => Err("is too large".to_owned()),
        Ok(_) => Ok(Some(content)),
        Err(error) => Err(format!("can't be read ({error})")),
    }
}

/// Opens a private file, or makes it, and doesn't change its content.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = options();
    options.read(true).write(true).create(true).truncate(false);
    // Another program's open of the file fails until this one closes it, or is killed.
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    options.open(path)
}

/// Returns an error if the file belongs to another user.
#[cfg(unix)]
pub(crate) fn check_owner(metadata: &Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    if metadata.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(format!("belongs to another user (uid {})", metadata.uid()))
}

/// Returns an error if others may read or write the file.
#[cfg(unix)]
pub(crate) fn check_mode(metadata: &Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;

    match metadata.mode() & 0o777 {
        mode if mode & 0o077 == 0 => Ok(()),
        mode => Err(format!("is open to other users (mode {mode:04o})")),
    }
}

/// On Windows, the folder's access list decides: that of `%LOCALAPPDATA%` admits nobody else.
#[cfg(not(unix))]
pub(crate) fn check_owner(_metadata: &Metadata) -> Result<(), String> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check_mode(_metadata: &Metadata) -> Result<(), String> {
    Ok(())
}
