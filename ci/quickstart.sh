#!/usr/bin/env bash
# The README's first command.
source "$(dirname "$0")/common.sh"

run cargo run --locked --quiet --example quickstart
