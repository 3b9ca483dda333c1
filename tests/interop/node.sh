#!/usr/bin/env bash
# Google's own Node packages, unmodified, against `iamcreds emulator`. NODE_PACKAGES names a folder to keep
# their installation in between runs.
source "$(dirname "$0")/support.bash"

command -v node >/dev/null || skip "no node"
command -v npm >/dev/null || skip "no npm"
[ "$(node -p 'Number(process.versions.node.split(".")[0])')" -ge 18 ] || skip "node $(node --version) is too old"

packages=${NODE_PACKAGES:-$work/packages}
mkdir -p "$packages"
npm install --prefix "$packages" --silent --no-audit --no-fund --ignore-scripts \
    google-auth-library@10.9.1 gcp-metadata@8.1.4 || skip "the Node packages can't be installed"

start_emulator
cp tests/interop/node.mjs "$packages/interop.mjs"
cp tests/interop/federation.mjs "$packages/federation.mjs"
export NODE_EXTRA_CA_CERTS=$EMULATOR_CA
node "$packages/interop.mjs"
node "$packages/federation.mjs"
