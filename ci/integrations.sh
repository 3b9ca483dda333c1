#!/usr/bin/env bash
# The adapters for other crates, with their tests against local servers. Their crate has its own lock
# file. What it builds with the same versions and features as this crate is in the same folder.
source "$(dirname "$0")/common.sh"

manifest=examples/integrations/Cargo.toml
run cargo fmt --check --manifest-path "$manifest"
run cargo test --quiet --locked --manifest-path "$manifest" --target-dir "$(target_folder)"
# The adapter for hyper-util is the layer itself.
run cargo run --quiet --locked --example hyper_client
