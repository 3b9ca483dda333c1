#!/usr/bin/env bash
# Each feature compiles alone.
source "$(dirname "$0")/common.sh"

need cargo-hack 0.6.46
run cargo hack check --quiet --locked --each-feature --lib
