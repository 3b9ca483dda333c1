//! What a minimal program costs: the size of its file, and the processor time of a clean build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::BoxError;
use crate::child::Order;
use crate::peers::{self, NAMES};
use crate::system::cpu_time_of_children;

/// Builds a program that puts a token on a request, and returns size, CPU and number of crates.
pub fn build(order: &Order) -> Result<Vec<String>, BoxError> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = folder()?.join(&order.peer);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), program_manifest(&order.peer, manifest)?)?;
    fs::write(folder.join("src/main.rs"), peers::minimal_program(&order.peer))?;
    fs::copy(manifest.join("Cargo.lock"), folder.join("Cargo.lock"))?;

    // The downloads aren't part of the build.
    cargo(&folder, &["fetch"])?;
    let before = cpu_time_of_children()?;
    cargo(&folder, if order.quick { &["check"] } else { &["build", "--release"] })?;
    let cpu = cpu_time_of_children()? - before;

    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--no-dedupe", "--format", "{p}"];
    let mut crates: Vec<_> = cargo(&folder, &tree)?.lines().map(str::to_owned).collect();
    crates.sort();
    crates.dedup();
    let size = match fs::metadata(folder.join("target/release/minimal")) {
        Ok(file) => format!("{:.1} MiB", file.len() as f64 / f64::from(1 << 20)),
        Err(_) => "not with `--quick`".to_owned(),
    };
    let _ = fs::remove_dir_all(folder.join("target"));
    // The program itself is no dependency.
    Ok(vec![size, format!("{:.0} s", cpu.as_secs_f64()), (crates.len() - 1).to_string()])
}

/// Returns the folder for the programs: the benchmark's own target folder, outside any repository's files.
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

/// Runs Cargo in a folder, with a target folder of its own, and returns its output.
fn cargo(folder: &Path, arguments: &[&str]) -> Result<String, BoxError> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        let error = errors.lines().find(|line| line.starts_with("error")).unwrap_or("no error");
        return Err(format!("cargo {}: {error}", arguments.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
