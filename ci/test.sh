#!/usr/bin/env bash
# The tests. Features change which code is compiled, so each set of them is another test: the default
# ones with the documentation's examples, all of them, and none but what the tests themselves need.
source "$(dirname "$0")/common.sh"

# The README's command, as it stands there.
run cargo test
run cargo test --locked --all-features --lib --bins --tests
run cargo test --locked --no-default-features --lib --tests
run cargo test --quiet --locked --manifest-path ci/public-api/Cargo.toml
