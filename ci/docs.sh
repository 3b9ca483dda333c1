#!/usr/bin/env bash
# The documentation, with warnings denied: default features, and all of them as docs.rs builds them.
source "$(dirname "$0")/common.sh"

RUSTDOCFLAGS="-D warnings" run cargo doc --quiet --locked --no-deps
RUSTDOCFLAGS="-D warnings" run cargo doc --quiet --locked --no-deps --all-features
RUSTDOC="$PWD/ci/rustdoc.sh" RUSTDOCFLAGS="--cfg docsrs -D warnings" \
    run cargo doc --quiet --locked --no-deps --all-features
