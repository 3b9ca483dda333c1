//! Files that others replace.

use std::path::PathBuf;
use std::{fs, io};

/// Some files that belong together, with what they contained when they were last read.
#[derive(Debug)]
pub(super) struct WatchedFiles {
    paths: Vec<PathBuf>,
    contents: Vec<Vec<u8>>,
}

impl WatchedFiles {
    /// Reads the files. The error is that of the file at this path.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self, (PathBuf, io::Error)> {
        let contents = read(&paths)?;
        Ok(Self { paths, contents })
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    pub(super) fn contents(&self) -> &[Vec<u8>] {
        &self.contents
    }

    /// Reads the files again. Returns whether one has changed.
    pub(super) fn changed(&mut self) -> Result<bool, (PathBuf, io::Error)> {
        let contents = read(&self.paths)?;
        let changed = contents != self.contents;
        self.contents = contents;
        Ok(changed)
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, (PathBuf, io::Error)> {
    paths.iter().map(|path| fs::read(path).map_err(|error| (path.clone(), error))).collect()
}
