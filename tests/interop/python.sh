#!/usr/bin/env bash
# Google's own Python packages, unmodified, against `iamcreds emulator`, with the newest Python there is.
source "$(dirname "$0")/support.bash"

make_python_environment google-cloud-iam==2.27.0 google-auth==2.63.0 google-cloud-storage==3.17.1 requests==2.34.2

start_emulator
export REQUESTS_CA_BUNDLE=$EMULATOR_CA GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=$EMULATOR_CA
"$python" tests/interop/python.py
"$python" tests/interop/federation.py
"$python" tests/interop/signed_url.py "$(target_folder)/debug/iamcreds"
