//! What happens to the cache's files.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::random::Random;

/// Damages one file, or the folder. The runs may replace it at the same time, so each step may fail.
pub(super) fn damage(folder: &Path, random: &mut Random) {
    let mut files = files(folder);
    // Whoever reads a pipe waits for a writer.
    files.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()));
    if random.percent(70) {
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    }
    if files.is_empty() {
        return;
    }
    let (file, other) = (random.choose(&files).clone(), random.choose(&files).clone());
    drop(match random.within(0..12) {
        0 => cut(&file, random),
        1 => flip(&file, random),
        2 => fs::set_permissions(&file, Permissions::from_mode(0o644)),
        3 => fs::remove_file(&file),
        4 => fs::copy(&other, &file).map(drop),
        5 => fs::rename(&other, &file),
        6 => link(&file),
        7 => pipe(&file),
        8 => fs::remove_file(&file).and_then(|()| fs::create_dir(&file)),
        9 => fs::set_permissions(folder, Permissions::from_mode(0o777)),
        10 => fs::remove_dir_all(folder),
        _ => fs::write(&file, b"{\"version\": 1}"),
    });
}

/// Removes the folders that `damage` put in the place of files: no run can replace them.
pub(super) fn clear_the_way(folder: &Path) {
    let is_folder = |path: &PathBuf| path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    for path in files(folder).into_iter().filter(is_folder) {
        fs::remove_dir(path).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn cut(file: &Path, random: &mut Random) -> io::Result<()> {
    let content = fs::read(file)?;
    let length = random.within(0..content.len() as u64 + 1);
    fs::OpenOptions::new().write(true).open(file)?.set_len(length)
}

fn flip(file: &Path, random: &mut Random) -> io::Result<()> {
    let mut content = fs::read(file)?;
    if let Some(length @ 1..) = Some(content.len() as u64) {
        content[random.within(0..length) as usize] ^= 1 << random.within(0..8);
    }
    fs::write(file, content)
}

fn link(file: &Path) -> io::Result<()> {
    let moved = file.with_extension("moved");
    fs::rename(file, &moved)?;
    symlink(moved, file)
}

fn pipe(file: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    Command::new("mkfifo").args(["-m", "600"]).arg(file).status().map(drop)
}
