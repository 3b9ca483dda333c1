#!/usr/bin/env bash
# Each feature compiles alone, without warnings. The internal `_tls` has no cryptography of its own.
source "$(dirname "$0")/common.sh"

features=$(cargo metadata --quiet --locked --no-deps --format-version 1 | python3 -c '
import json, sys
features = json.load(sys.stdin)["packages"][0]["features"]
print(*(set(features) - {"_tls"}), sep="\n")' | sort)
for feature in "" $features; do
    run cargo clippy --quiet --locked --lib --no-default-features --features "$feature" -- -D warnings
done

# The program needs nothing but its own feature.
run cargo clippy --quiet --locked --no-default-features --features cli --bin iamcreds -- -D warnings
