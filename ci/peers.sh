#!/usr/bin/env bash
# The benchmark of other crates still fits this crate: its lock file resolves with it, and it is
# formatted. `ci/peers.sh --check` also compiles it, which takes minutes: the peers are large.
source "$(dirname "$0")/common.sh"

manifest=benches/peers/Cargo.toml
run cargo fmt --check --manifest-path "$manifest"
run cargo tree --quiet --locked --depth 1 --manifest-path "$manifest"
if [[ ${1:-} == --check ]]; then
    run cargo clippy --quiet --locked --manifest-path "$manifest" -- -D warnings
fi
