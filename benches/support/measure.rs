//! Medians, and the memory of this process.

use std::{fs, io};

/// Returns the median, or NaN without values.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Returns the resident memory of this process in bytes. Linux only.
pub(crate) fn resident() -> io::Result<usize> {
    resident_of("self")
}

/// Returns the resident memory of a process in bytes. Linux only.
pub(crate) fn resident_of(process: &str) -> io::Result<usize> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.map(|size| size * 1024).ok_or_else(|| io::Error::other("no VmRSS in its status"))
}
