#!/usr/bin/env bash
# The programs that the interop scripts run. The tests with all features have built most of what they consist of.
source "$(dirname "$0")/common.sh"

run cargo build --quiet --locked --all-features --bin iamcreds --examples
