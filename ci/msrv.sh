#!/usr/bin/env bash
# The crate compiles with the oldest toolchain that it promises (`rust-version`), if that is installed.
source "$(dirname "$0")/common.sh"

version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! cargo "+$version" --version >/dev/null 2>&1; then
    echo "skipped: the toolchain $version is not installed"
    exit
fi
run cargo "+$version" check --quiet --locked --all-features --lib --bins
