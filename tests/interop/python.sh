#!/usr/bin/env bash
# Google's own Python packages, unmodified, against `iamcreds emulator`, with the newest Python there is.
# PYTHON_VENV names a virtual environment to keep between runs.
source "$(dirname "$0")/support.bash"

# Prints the newest interpreter that can make a virtual environment.
newest_python() {
    local candidates=(python3 python3.{10..20})
    command -v pyenv >/dev/null && candidates+=("$(pyenv root)"/versions/*/bin/python3)
    for python in "${candidates[@]}"; do
        "$python" -c 'import ensurepip, sys, venv; print(sys.version_info[1], sys.executable)' 2>/dev/null || true
    done | sort -n | tail -1 | cut -d' ' -f2-
}

venv=${PYTHON_VENV:-$work/venv}
if [ ! -x "$venv/bin/python" ]; then
    python=$(newest_python)
    [ -n "$python" ] || skip "no python3 with venv and ensurepip"
    "$python" -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check \
    google-cloud-iam==2.27.0 google-auth==2.63.0 google-cloud-storage==3.17.1 \
    requests==2.34.2 || skip "the Python packages can't be installed"

start_emulator
export REQUESTS_CA_BUNDLE=$EMULATOR_CA GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=$EMULATOR_CA
"$venv/bin/python" tests/interop/python.py
"$venv/bin/python" tests/interop/federation.py
