#!/usr/bin/env bash
# Clients in other languages, unmodified, against the emulator. A script that lacks something is skipped.
source "$(dirname "$0")/common.sh"

results=()
for script in tests/interop/*.sh; do
    status=0
    run bash "$script" || status=$?
    case $status in
        0) results+=("passed  $script") ;;
        77) results+=("skipped $script") ;;
        *) exit "$status" ;;
    esac
done
printf '%s\n' "${results[@]}"
