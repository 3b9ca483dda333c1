//! Whether the version says enough about what has changed in the public API since the newest release.
//!
//! The rules are Cargo's: <https://doc.rust-lang.org/cargo/reference/semver.html>. A listing shows no default methods
//! and no private fields, so some breaking changes aren't noticed, such as a new required method of a trait.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};

/// What starts the first line of the listing of a release: the version follows.
const HEADER: &str = "# ";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u64; 3]);

impl Version {
    fn parse(text: &str) -> Result<Self> {
        let parts = text.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>();
        let parts = parts.ok().and_then(|parts| parts.try_into().ok());
        parts.map(Self).with_context(|| format!("{text:?} isn't a version such as 0.1.0"))
    }

    /// Whether a program that needs `self` takes `other` by itself: the first number that isn't 0 is the same.
    fn is_compatible_with(self, other: Self) -> bool {
        let leading = self.0.iter().position(|number| *number != 0).map_or(3, |place| place + 1);
        self.0[..leading] == other.0[..leading]
    }
}

/// Returns the listing of a release, with its version.
pub(crate) fn released(version: &str, listing: &str) -> Result<String> {
    Version::parse(version)?;
    Ok(format!("{HEADER}{version}\n{listing}"))
}

/// Checks the version of the API in `current` against the listing of the newest release. Returns what to print.
///
/// # Errors
///
/// Returns the changes that need another version, and which one that is at least.
pub(crate) fn check(released: &str, version: &str, current: &str) -> Result<String> {
    let (header, released) = released.split_once('\n').context("the listing of the release is empty")?;
    let last =
        header.strip_prefix(HEADER).context("the first line must be the version, such as `# 0.1.0`")?;
    let (from, to) = (Version::parse(last)?, Version::parse(version)?);
    ensure!(to >= from, "the version {version} is older than the newest release, {last}");

    let [before, after] = [released, current].map(|text| text.lines().collect::<HashSet<_>>());
    let gone: Vec<String> =
        released.lines().filter(|line| !after.contains(line)).map(|line| format!("- {line}")).collect();
    let new: Vec<String> =
        current.lines().filter(|line| !before.contains(line)).map(|line| format!("+ {line}")).collect();
    ensure!(
        gone.is_empty() || !from.is_compatible_with(to),
        "{version} breaks programs that use {last}: the version must be at least {}\n{}",
        breaking_after(from),
        gone.join("\n")
    );
    ensure!(
        new.is_empty() || to > from,
        "{last} is released without these: raise the version\n{}",
        new.join("\n")
    );
    Ok(format!("{version} after {last}: {} items are gone, {} are new", gone.len(), new.len()))
}

/// Returns the next version that may break programs.
fn breaking_after(Version([major, minor, patch]): Version) -> String {
    match (major, minor) {
        (0, 0) => format!("0.0.{}", patch + 1),
        (0, minor) => format!("0.{}.0", minor + 1),
        (major, _) => format!("{}.0.0", major + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_needs_the_version_that_cargo_expects() {
        let old = "pub fn a()\npub fn b()\n";
        let (same, more, changed) =
            (old, "pub fn a()\npub fn b()\npub fn c()\n", "pub fn a(u8)\npub fn b()\n");
        for (released_version, version, current, expected) in [
            ("0.1.0", "0.1.0", same, Ok("0.1.0 after 0.1.0: 0 items are gone, 0 are new")),
            ("0.1.0", "0.1.1", same, Ok("0.1.1 after 0.1.0: 0 items are gone, 0 are new")),
            ("0.1.0", "0.1.0", more, Err("raise the version\n+ pub fn c()")),
            ("0.1.0", "0.1.1", more, Ok("0.1.1 after 0.1.0: 0 items are gone, 1 are new")),
            ("0.1.0", "0.1.9", changed, Err("must be at least 0.2.0\n- pub fn a()")),
            ("0.1.9", "0.2.0", changed, Ok("0.2.0 after 0.1.9: 1 items are gone, 1 are new")),
            ("1.2.3", "1.3.0", changed, Err("must be at least 2.0.0\n- pub fn a()")),
            ("1.2.3", "2.0.0", changed, Ok("2.0.0 after 1.2.3: 1 items are gone, 1 are new")),
            ("0.0.1", "0.0.2", changed, Ok("0.0.2 after 0.0.1: 1 items are gone, 1 are new")),
            ("0.2.0", "0.1.9", same, Err("older than the newest release")),
            ("0.1.0", "0.2", same, Err("isn't a version")),
        ] {
            let listing = released(released_version, old).unwrap();
            match (check(&listing, version, current), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(text, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (result, expected) => panic!("{result:?}, expected {expected:?}"),
            }
        }
        assert!(check(old, "0.1.0", old).is_err(), "a listing without a version");
    }
}
