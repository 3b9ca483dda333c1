//! What a command reads: a file, or standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

/// The most that is read: 16 MiB, far more than the API takes.
const MAX_LENGTH: u64 = 16 << 20;

/// Whether standard input was read. A second reader would find it empty.
static STDIN_WAS_READ: AtomicBool = AtomicBool::new(false);

/// Reads a file, or standard input if the path is `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let result = if path == Path::new("-") {
        if STDIN_WAS_READ.swap(true, Ordering::Relaxed) {
            return Err(Failure::usage("two arguments read from standard input (-): name a file for one"));
        }
        if io::stdin().is_terminal() {
            eprintln!("iamcreds: reading from standard input; end with Ctrl-D");
        }
        io::stdin().lock().take(MAX_LENGTH + 1).read_to_end(&mut content)
    } else {
        File::open(path).and_then(|file| file.take(MAX_LENGTH + 1).read_to_end(&mut content))
    };
    result.map_err(|error| Failure::usage(format!("{}: {error}", name(path))))?;
    if content.len() as u64 > MAX_LENGTH {
        return Err(Failure::usage(format!("{}: longer than {} MiB", name(path), MAX_LENGTH >> 20)));
    }
    Ok(content)
}

/// Reads a text.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::usage(format!("{}: not UTF-8", name(path))))
}

/// Returns how messages call a file.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
