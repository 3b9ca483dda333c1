#!/usr/bin/env bash
# The tests. Features change which code is compiled, so each set of them is another test: the default
# ones with the documentation's examples, all of them, and none but what the tests themselves need.
# While the tests of one set run, which wait for clocks most of the time, those of the next one are built.
source "$(dirname "$0")/common.sh"

log=$(mktemp)
next=()
trap 'kill $(jobs -pr) 2>/dev/null || true; rm -f "$log"' EXIT

# Builds $next when the tests that write to $log run: before that, Cargo is building, and its folder is locked.
build_next() {
    until grep -qE '^ +Running ' "$log"; do sleep 1; done
    nice -n 19 "${next[@]}" >/dev/null
}

# Runs tests: tests COMMAND… -- COMMAND TO BUILD WHAT COMES NEXT…
tests() {
    local command=() builder status=0
    while [[ $1 != -- ]]; do
        command+=("$1")
        shift
    done
    shift
    next=("$@")
    : >"$log"
    build_next &
    builder=$!
    run "${command[@]}" 2> >(tee "$log" >&2) || status=$?
    [[ $status == 0 ]] || exit "$status"
    wait "$builder"
}

all=(--locked --all-features --lib --bins --tests)
none=(--locked --no-default-features --lib --tests)
# The README's command, as it stands there.
tests cargo test -- cargo test --quiet --no-run "${all[@]}"
tests cargo test "${all[@]}" -- cargo test --quiet --no-run "${none[@]}"
# The tests of the program have ended, so another one may take its place.
tests cargo test "${none[@]}" -- ci/programs.sh
run cargo test --quiet --locked --manifest-path ci/public-api/Cargo.toml
