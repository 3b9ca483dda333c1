#!/usr/bin/env bash
# Google's own Python packages, unmodified, against `iamcreds emulator`. Needs python3 and PyPI, once.
# PYTHON_VENV names a virtual environment to keep between runs.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

venv=${PYTHON_VENV:-$work/venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
    google-cloud-iam==2.27.0 google-auth==2.62.2 requests==2.34.2

cargo build --quiet --locked --features cli --bin iamcreds
target=$(cargo metadata --locked --no-deps --format-version 1 |
    "$venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# Starts an emulator, and leaves its endpoint in $endpoint.
start() {
    local log=$1
    shift
    "$target/debug/iamcreds" emulator --listen 127.0.0.1:0 --policy tests/interop/policy.json "$@" >"$log" &
    pids+=($!)
    for _ in $(seq 100); do
        endpoint=$(sed -n 's/^listening on //p' "$log")
        [ -n "$endpoint" ] && return
        sleep 0.1
    done
    echo "the emulator did not start" >&2
    exit 1
}

start "$work/plain.log"
plain=$endpoint
start "$work/tls.log" --tls --ca-out "$work/ca.pem"

"$venv/bin/python" tests/interop/python.py "$plain" "$endpoint" "$work/ca.pem"
