#!/usr/bin/env bash
# AWS's own signing code (botocore) verifies the requests that the crate signs as subject tokens.
source "$(dirname "$0")/support.bash"

make_python_environment botocore==1.44.8
unset AWS_REGION AWS_DEFAULT_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
build_programs
"$python" tests/interop/aws.py "$(target_folder)/debug/examples/application_default"
