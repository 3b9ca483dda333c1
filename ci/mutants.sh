#!/usr/bin/env bash
# Mutation tests: which small changes of the code does no test notice? Not part of .ci/run, because each change is
# compiled and tested anew: the whole list takes more than a day. Each part runs the tests that matter for it:
#
#   ci/mutants.sh cache           the cache's decisions and what carries them out, whole
#   ci/mutants.sh calls           retries and attempts, whole
#   ci/mutants.sh sample 3/10     every tenth change of the rest, from the third on
#
# What was found is written to target/mutants/PART.
source "$(dirname "$0")/common.sh"
need cargo-mutants 27.1.0

cache=(src/credentials/{state,cache,cached_token}.rs 'src/credentials/state/**')
calls=(src/retry.rs src/client/call.rs 'src/client/call/**')
rest=('src/credentials*/**' 'src/client*/**' 'src/bearer*/**' 'src/adc*/**' 'src/source*/**' src/{credentials,client,bearer,adc,source}.rs)

# Mutates the files of one part: mutate PART OPTION... -- ARGUMENT..., the arguments of cargo test
mutate() {
    local part=$1
    shift
    mkdir -p "target/mutants/$part"
    # Exit codes 2 and 3 say that changes were missed, or never ended: both are results.
    run cargo mutants --no-shuffle --colors never --output "target/mutants/$part" "$@" || [ $? -le 3 ]
}

# Two passes, because most changes are caught by the tests that are built in seconds: first a small build of the
# library's own tests, then, for what they missed, the test programs: twice PART "TEST PROGRAMS" OPTION...
twice() {
    local part=$1 programs=()
    for program in $2; do programs+=("--cargo-arg=--test=$program"); done
    shift 2
    mutate "$part" --iterate --cargo-arg=--no-default-features --cargo-arg=--lib "$@" -- -- --skip simulation
    mutate "$part" --iterate --cargo-arg=--lib "${programs[@]}" "$@"
}

case ${1:-} in
cache)
    twice cache "bearer credentials" "${cache[@]/#/--file=}"
    ;;
calls)
    twice calls "client credentials" "${calls[@]/#/--file=}"
    ;;
sample)
    # In one pass: a second one would take its share of what the first one missed.
    mutate sample --cargo-arg=--{lib,test=client,test=bearer,test=credentials} "${rest[@]/#/--file=}" \
        "${cache[@]/#/--exclude=}" "${calls[@]/#/--exclude=}" --shard "${2:?such as 3/10}" -- -- --skip simulation
    ;;
*)
    echo "usage: $0 cache|calls|sample K/N" >&2
    exit 1
    ;;
esac
