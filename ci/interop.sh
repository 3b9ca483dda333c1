#!/usr/bin/env bash
# Clients in other languages, unmodified, against the emulator.
source "$(dirname "$0")/common.sh"

for script in tests/interop/*.sh; do
    run bash "$script"
done
