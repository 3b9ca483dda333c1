//! Compares the crate's public API with the committed listing, refuses foreign crates in it that aren't on the
//! list, and finds public types without an example.
//!
//! `public-api-listing RUSTDOC_JSON LISTING [--update]`
//! `public-api-listing --semver LISTING RELEASED VERSION`: whether the version says enough about what has changed since
//! the newest release.
//! `public-api-listing --release LISTING RELEASED VERSION`: makes the listing that of the newest release.

mod difference;
mod documentation;
mod foreign;
mod semver;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use public_api::{PublicApi, PublicItem};

/// The versions of rustdoc's JSON that `public-api` reads.
const KNOWN_FORMATS: std::ops::RangeInclusive<u64> = 57..=59;

fn main() -> ExitCode {
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (json, listing, update) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [json, listing] => (json, listing, false),
        [json, listing, "--update"] => (json, listing, true),
        ["--semver", listing, released, version] => {
            println!("{}", semver::check(&read(released)?, version, &read(listing)?)?);
            return Ok(());
        }
        ["--release", listing, released, version] => {
            return fs::write(released, semver::released(version, &read(listing)?)?)
                .context("writing the listing");
        }
        _ => bail!(
            "usage: public-api-listing RUSTDOC_JSON LISTING [--update] | --semver|--release LISTING RELEASED VERSION"
        ),
    };
    let document: serde_json::Value = serde_json::from_str(&read(json)?).context(json.to_owned())?;
    let format = document["format_version"].as_u64().context("rustdoc's JSON has no `format_version`")?;
    if !KNOWN_FORMATS.contains(&format) {
        println!("skipped: rustdoc's JSON has format {format}, and only {KNOWN_FORMATS:?} are known");
        return Ok(());
    }
    let api: PublicApi = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let current = listing_of(&api)?;
    check_foreign_crates(&current)?;
    check_documentation(&api, &document)?;
    if update {
        return fs::write(listing, current).context("writing the listing");
    }
    compare(Path::new(listing), &current)
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.to_owned())
}

/// One line for each public item, sorted.
fn listing_of(api: &PublicApi) -> Result<String> {
    let items = api.items().map(ToString::to_string);
    let lines: Vec<String> = items.filter(|item| !is_private(item)).map(|item| item + "\n").collect();
    ensure!(!lines.is_empty(), "rustdoc's JSON has no public item");
    Ok(lines.concat())
}

/// Whether an item only exists for a macro: pin-project-lite implements `Unpin` by such types.
fn is_private(item: &str) -> bool {
    item.contains("::__private::")
}

fn check_foreign_crates(listing: &str) -> Result<()> {
    let unlisted = foreign::unlisted(listing);
    ensure!(
        unlisted.is_empty(),
        "public signatures name crates that ci/public-api/src/foreign.rs doesn't list:\n{}",
        unlisted.join("\n")
    );
    Ok(())
}

fn check_documentation(api: &PublicApi, document: &serde_json::Value) -> Result<()> {
    let entry = |item: &PublicItem| &document["index"][item.id().0.to_string()];
    let is_own = |item: &&PublicItem| entry(item)["crate_id"] == 0 && !is_private(&item.to_string());
    let items: Vec<&PublicItem> = api.items().filter(is_own).collect();
    ensure!(!items.is_empty(), "rustdoc's JSON has no entry for any public item");
    let missing: BTreeSet<String> =
        items.iter().filter_map(|item| documentation::missing(&item.to_string(), entry(item))).collect();
    let missing: Vec<String> = missing.into_iter().collect();
    ensure!(missing.is_empty(), "the documentation is incomplete:\n{}", missing.join("\n"));
    Ok(())
}

fn compare(listing: &Path, current: &str) -> Result<()> {
    let committed = fs::read_to_string(listing).with_context(|| listing.display().to_string())?;
    let difference = difference::between(&committed, current);
    ensure!(
        difference.is_empty(),
        "the public API is not the one in {}; if that is intended, run ci/public-api.sh --update\n{}",
        listing.display(),
        difference.join("\n")
    );
    println!("{} public items, as in {}", current.lines().count(), listing.display());
    Ok(())
}
