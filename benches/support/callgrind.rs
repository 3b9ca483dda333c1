//! Counts instructions: runs this program again under callgrind.

use std::process::Command;
use std::{env, error::Error};

/// The argument with which a benchmark makes this many operations and says nothing.
pub(crate) const COUNT: &str = "--count";

/// The two numbers of operations whose difference is counted.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// Returns whether valgrind is installed. If it isn't, says so.
pub(crate) fn is_installed() -> bool {
    let installed = valgrind().arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("valgrind is not installed: no instructions counted");
    }
    installed
}

/// Returns the instructions of one operation: what more operations cost more, so that the start does
/// not count. `arguments` say which operation.
pub(crate) fn instructions(arguments: &[&str]) -> Result<u64, Box<dyn Error + Send + Sync>> {
    Ok((collected(MANY, arguments)? - collected(FEW, arguments)?) / (MANY - FEW))
}

/// Returns the instructions of a whole run, as callgrind counts them.
fn collected(count: u64, arguments: &[&str]) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let output = valgrind()
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([COUNT, &count.to_string()])
        .args(arguments)
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("callgrind failed: {text}").into())
}

fn valgrind() -> Command {
    Command::new("valgrind")
}
