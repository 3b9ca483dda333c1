#!/usr/bin/env bash
# Licenses, banned crates and sources of all dependencies.
source "$(dirname "$0")/common.sh"

need cargo-deny 0.20.2
# All platforms' crates: cargo-deny reads them offline.
run cargo fetch --quiet --locked
run cargo deny --offline check bans licenses sources
