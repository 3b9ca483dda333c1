#!/usr/bin/env bash
# Google's own Go packages, unmodified, against `iamcreds emulator`: the compiler and the packages are
# Debian's. As root, the script installs what is missing.
source "$(dirname "$0")/support.bash"

find_go_packages || skip "$missing"
GO111MODULE=off GOFLAGS='' GOPATH=$go_library go build -o "$work/interop" tests/interop/go/main.go

start_emulator
SSL_CERT_FILE=$EMULATOR_CA "$work/interop"
