# Sourced by the scripts of this folder: one emulator for unmodified clients.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The settings of a developer's machine must not reach the clients.
unset GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT GCE_METADATA_HOST GCE_METADATA_IP NO_GCE_CHECK

work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

# Ends a script that lacks something: skip REASON. Its status tells ci/interop.sh so.
skip() {
    echo "skipped: $*"
    exit 77
}

# Starts an emulator. EMULATOR is then its URL, and EMULATOR_CA the file with the certificate to trust.
start_emulator() {
    cargo build --quiet --locked --features cli --bin iamcreds
    local target log=$work/emulator.log
    target=$(cargo metadata --quiet --locked --no-deps --format-version 1 |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    export EMULATOR_CA=$work/ca.pem
    : >"$log"
    "$target/debug/iamcreds" emulator --listen 127.0.0.1:0 --policy tests/interop/policy.json \
        --ca-out "$EMULATOR_CA" "$@" >"$log" &
    pids+=($!)
    for _ in $(seq 100); do
        EMULATOR=$(sed -n 's/^listening on //p' "$log")
        [ -n "$EMULATOR" ] && break
        sleep 0.1
    done
    [ -n "$EMULATOR" ] || { echo "the emulator did not start" >&2; exit 1; }
    export EMULATOR
    # The metadata server, as all libraries find it. Python's pings the address first.
    export GCE_METADATA_HOST=${EMULATOR#http://}
    export GCE_METADATA_IP=$GCE_METADATA_HOST
}
