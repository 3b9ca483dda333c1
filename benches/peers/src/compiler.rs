//! Notes the processor time of compilers: this program runs in their place, and starts them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::BoxError;
use crate::system::cpu_time_of_children;

/// Names the file of the notes, and makes this program run a compiler.
const LOG: &str = "PEERS_COMPILER_LOG";

/// What the compilers of one unit took.
#[derive(Debug, Default, Clone, Copy)]
pub struct Compiled {
    pub cpu: Duration,
}

/// Returns the file of the notes.
pub fn log(target: &Path) -> PathBuf {
    target.join("compilers.log")
}

/// Makes a Cargo command note all compilers that it and its build scripts run.
pub fn note_all(cargo: &mut Command, target: &Path) -> Result<(), BoxError> {
    let program = std::env::current_exe()?;
    let c_compiler = target.join("cc");
    let _ = fs::remove_file(&c_compiler);
    std::os::unix::fs::symlink(&program, &c_compiler)?;
    cargo.env(LOG, log(target)).env("RUSTC_WRAPPER", program).env("CC", c_compiler);
    Ok(())
}

/// Runs the compiler that this program stands for and notes its time, or returns `None` if this
/// program stands for none.
pub fn run() -> Option<Result<u8, BoxError>> {
    let log = std::env::var_os(LOG)?;
    Some(run_and_note(&PathBuf::from(log)))
}

fn run_and_note(log: &Path) -> Result<u8, BoxError> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let own = PathBuf::from(arguments.remove(0));
    let is_c = own.file_name().is_some_and(|name| name == "cc");
    let program = if is_c { "/usr/bin/cc".into() } else { arguments.remove(0) };
    let status = Command::new(program).args(&arguments).status()?;
    let micros = cpu_time_of_children()?.as_micros();
    let suffix = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .find_map(|argument| argument.strip_prefix("extra-filename=").map(str::to_owned));
    let variable = |name| std::env::var(name).unwrap_or_default();
    let unit = match suffix {
        Some(suffix) => suffix,
        None => format!("{} {}", variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION")),
    };
    let mut log = OpenOptions::new().create(true).append(true).open(log)?;
    // One write, as compilers run side by side.
    log.write_all(format!("{micros} {unit}\n").as_bytes())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Reads the notes: the time by the suffix of a Rust compiler's output, or by the name and version
/// of the package whose build script has run C compilers.
pub fn read(log: &Path) -> Result<BTreeMap<String, Compiled>, BoxError> {
    let mut compiled: BTreeMap<String, Compiled> = BTreeMap::new();
    for line in fs::read_to_string(log)?.lines() {
        let (micros, unit) = line.split_once(' ').ok_or_else(|| format!("not a note: `{line}`"))?;
        compiled.entry(unit.to_owned()).or_default().cpu += Duration::from_micros(micros.parse()?);
    }
    Ok(compiled)
}

/// Whether Cargo's id of a package, `…#NAME@VERSION` or `…/NAME#VERSION`, names this one.
pub fn is_package(id: &str, name: &str, version: &str) -> bool {
    id.ends_with(&format!("#{name}@{version}")) || id.ends_with(&format!("/{name}#{version}"))
}
