#!/usr/bin/env bash
# Licenses, banned crates and sources of all dependencies, as deny.toml has them. cargo-deny reads the same file; CI
# doesn't build it, because that takes two and a half minutes.
source "$(dirname "$0")/common.sh"

# All platforms' crates, with dev-dependencies.
run cargo fetch --quiet --locked
cargo metadata --quiet --locked --offline --all-features --format-version 1 | run python3 ci/licenses.py deny.toml
