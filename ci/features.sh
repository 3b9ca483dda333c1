#!/usr/bin/env bash
# Each feature compiles alone, without warnings.
source "$(dirname "$0")/common.sh"

need cargo-hack 0.6.46
run cargo hack clippy --quiet --locked --each-feature --lib -- -D warnings
