#!/usr/bin/env bash
# Format and clippy, with warnings denied, for each set of features that changes the code, and
# for the fuzz targets.
source "$(dirname "$0")/common.sh"

run cargo fmt --check
run cargo clippy --quiet --locked --all-targets --all-features -- -D warnings
run cargo clippy --quiet --locked --all-targets -- -D warnings
run cargo clippy --quiet --locked --lib --no-default-features -- -D warnings
# As cargo-fuzz builds it.
run cargo clippy --quiet --locked --lib --all-features -- --cfg fuzzing -D warnings
