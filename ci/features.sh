#!/usr/bin/env bash
# Each feature compiles alone, without warnings. The internal `_tls` has no cryptography of its own.
source "$(dirname "$0")/common.sh"

need cargo-hack 0.6.46
run cargo hack clippy --quiet --locked --each-feature --exclude-features _tls --lib -- -D warnings

# The program needs nothing but its own feature.
run cargo clippy --quiet --locked --no-default-features --features cli --bin iamcreds -- -D warnings
