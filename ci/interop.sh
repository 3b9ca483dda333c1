#!/usr/bin/env bash
# Clients in other languages, unmodified, against the emulator. A script that lacks something is skipped.
source "$(dirname "$0")/common.sh"

# Two at a time, because most of the time a script waits for its clients. Each prints its output when it has ended.
PARALLEL=2
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

perform() {
    local script=$1 status=0 log
    log=$logs/$(basename "$1")
    run bash "$script" >"$log" 2>&1 || status=$?
    echo "$status" >"$log.status"
    flock "$logs" cat "$log"
}

# What they all run is built before, so that none waits for it while its tokens expire.
[[ -n ${PROGRAMS_ARE_BUILT:-} ]] || ci/programs.sh
export PROGRAMS_ARE_BUILT=1
for script in tests/interop/*.sh; do
    while (($(jobs -pr | wc -l) >= PARALLEL)); do wait -n || true; done
    perform "$script" &
done
wait

failed=0
for script in tests/interop/*.sh; do
    case $(cat "$logs/$(basename "$script").status") in
        0) echo "passed  $script" ;;
        77) echo "skipped $script" ;;
        *)
            echo "failed  $script"
            failed=1
            ;;
    esac
done
exit "$failed"
