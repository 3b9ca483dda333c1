#!/usr/bin/env bash
# The public API against its listing, ci/public-api.txt. With --update: writes the listing.
source "$(dirname "$0")/common.sh"

target=$(target_folder)
RUSTDOC="$PWD/ci/rustdoc.sh" run cargo rustdoc --quiet --locked --lib --all-features -- \
    -Zunstable-options --output-format json
run cargo run --quiet --locked --manifest-path ci/public-api/Cargo.toml --target-dir "$target" -- \
    "$target/doc/gcp_iam_credentials.json" ci/public-api.txt "$@"
