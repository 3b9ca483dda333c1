#!/usr/bin/env bash
# What the interop scripts run: the examples, which the tests have built, and the program as users build it, without what
# only tests need.
source "$(dirname "$0")/common.sh"

run cargo build --quiet --locked --all-features --examples
run cargo build --quiet --locked --all-features --bin iamcreds
