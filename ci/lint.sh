#!/usr/bin/env bash
# Format and clippy, with warnings denied, for each set of features that changes the code.
source "$(dirname "$0")/common.sh"

run cargo fmt --check
run cargo clippy --quiet --locked --all-targets --all-features -- -D warnings
run cargo clippy --quiet --locked --all-targets -- -D warnings
run cargo clippy --quiet --locked --lib --no-default-features -- -D warnings
