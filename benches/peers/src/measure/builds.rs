//! What a minimal program costs: the size of its file, and the processor time of a clean build.
//!
//! All programs are built in one target folder, and every compiler's processor time is noted. So a
//! crate that several programs have in common is compiled once, and counted for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::BoxError;
use crate::child::Order;
use crate::compiler::{self, Compiled};
use crate::peers::{self, NAMES};

/// Builds a program that puts a token on a request, and returns size, CPU and number of crates.
pub fn build(order: &Order) -> Result<Vec<String>, BoxError> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = folder()?;
    let folder = target.join(&order.peer);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), program_manifest(&order.peer, manifest)?)?;
    fs::write(folder.join("src/main.rs"), peers::minimal_program(&order.peer))?;
    fs::copy(manifest.join("Cargo.lock"), folder.join("Cargo.lock"))?;

    let profile: &[&str] = if order.quick { &["check"] } else { &["build", "--release"] };
    let built = cargo(&folder, &target, &[profile, &["--message-format", "json"]].concat())?;
    let cpu = cpu_time(&built, &compiler::read(&compiler::log(&target))?);

    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let crates = cargo(&folder, &target, &tree)?;
    let crates: BTreeSet<_> = crates.lines().filter(|line| !line.is_empty()).collect();
    let size = match fs::metadata(target.join("release/minimal")) {
        Ok(file) if !order.quick => format!("{:.1} MiB", file.len() as f64 / f64::from(1 << 20)),
        _ => "not with `--quick`".to_owned(),
    };
    // The program itself is no dependency.
    Ok(vec![size, format!("{:.0} s", cpu.as_secs_f64()), (crates.len() - 1).to_string()])
}

/// Returns the folder for the programs, in the benchmark's own target folder.
fn folder() -> Result<PathBuf, BoxError> {
    let program = std::env::current_exe()?;
    let target = program.parent().ok_or("the program has no folder")?;
    Ok(target.join("minimal-programs"))
}

/// Returns the manifest of a minimal program, with the dependency as this crate has it.
fn program_manifest(peer: &str, manifest: &Path) -> Result<String, BoxError> {
    let own = fs::read_to_string(manifest.join("Cargo.toml"))?;
    // A client needs credentials.
    let needed = NAMES.iter().filter(|name| peers::needs(peer, name));
    let lines: Vec<_> = needed
        .filter_map(|name| own.lines().find(|line| line.starts_with(&format!("{name} = "))))
        .map(|line| line.replace("\"../..\"", &format!("{:?}", manifest.join("../.."))))
        .collect();
    Ok(format!(
        "[package]\nname = \"minimal\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{}\nhttp = \"1\"\nserde_json = \"1\"\n\
         tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\n\
         [profile.release]\nstrip = true\n",
        lines.join("\n")
    ))
}

/// Runs Cargo in a folder, with the programs' target folder, and returns its output.
fn cargo(folder: &Path, target: &Path, arguments: &[&str]) -> Result<String, BoxError> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0");
    compiler::note_all(&mut command, target)?;
    let output = command.output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let error = errors.lines().find(|line| line.starts_with("error")).unwrap_or("no error");
        return Err(format!("cargo {}: {error}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Returns the time of the compilers of all that Cargo's messages name.
fn cpu_time(messages: &str, compiled: &BTreeMap<String, Compiled>) -> Duration {
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |reason: &'static str| messages.iter().filter(move |message| message["reason"] == reason);
    let files =
        of("compiler-artifact").flat_map(|message| message["filenames"].as_array().into_iter().flatten());
    let files: Vec<&str> = files.filter_map(Value::as_str).collect();
    let scripts: Vec<&str> =
        of("build-script-executed").filter_map(|message| message["package_id"].as_str()).collect();
    let used = |unit: &str| match unit.split_once(' ') {
        // A C compiler that a package's build script has run.
        Some((name, version)) => scripts.iter().any(|id| compiler::is_package(id, name, version)),
        // A Rust compiler's output has a suffix of its own.
        None => files.iter().any(|file| file.contains(unit)),
    };
    compiled.iter().filter(|(unit, _)| used(unit)).map(|(_, compiled)| compiled.cpu).sum()
}
