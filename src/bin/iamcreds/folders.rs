//! Folders that variables name, and folders that only this user can enter.

use std::env;
use std::fs::DirBuilder;
use std::path::PathBuf;

/// Returns the folder that a variable names. A relative path counts as missing, as in the XDG specification.
pub(crate) fn named_by(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Makes folders that only this user can enter: with mode 0700.
pub(crate) fn private() -> DirBuilder {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}
