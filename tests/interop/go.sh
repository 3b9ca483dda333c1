#!/usr/bin/env bash
# Google's own Go packages, unmodified, against `iamcreds emulator`: the compiler and the packages are
# Debian's. As root, the script installs what is missing.
source "$(dirname "$0")/support.bash"

packages=(golang-go golang-google-api-dev golang-golang-x-oauth2-google-dev)

installed() { dpkg --status "${packages[@]}" >/dev/null 2>&1; }

command -v dpkg >/dev/null || skip "the Go packages are Debian's, and this isn't Debian"
if ! installed; then
    [ "$(id -u)" = 0 ] || skip "not installed: ${packages[*]}"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${packages[@]}"; } \
        >"$work/apt.log" 2>&1 || skip "can't be installed: ${packages[*]}"
fi
command -v go >/dev/null || skip "no go"

# The folder of Debian's Go packages is laid out like a GOPATH.
library=$(dpkg --listfiles golang-google-api-dev | sed -n 's|/src/google.golang.org/api/impersonate/user.go$||p')
[ -n "$library" ] || skip "golang-google-api-dev has no package impersonate"
GO111MODULE=off GOFLAGS='' GOPATH=$library go build -o "$work/interop" tests/interop/go/main.go

start_emulator
SSL_CERT_FILE=$EMULATOR_CA "$work/interop"
