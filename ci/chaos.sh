#!/usr/bin/env bash
# A short run of the chaos example: callers of a service that is refused, delayed, reset, killed and so on.
source "$(dirname "$0")/common.sh"

run cargo run --locked --quiet --example chaos -- --seconds 30
