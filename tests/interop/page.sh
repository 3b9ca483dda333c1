#!/usr/bin/env bash
# The emulator's page in a real browser: Debian's Chromium, driven by playwright-core. SCREENSHOTS names a folder for
# the pictures, and NODE_PACKAGES one to keep the installation in between runs.
source "$(dirname "$0")/support.bash"

command -v node >/dev/null || skip "no node"
command -v npm >/dev/null || skip "no npm"
if ! command -v chromium >/dev/null; then
    command -v apt-get >/dev/null || skip "no chromium, and this isn't Debian"
    [ "$(id -u)" = 0 ] || skip "no chromium"
    install_debian_packages chromium || skip "chromium can't be installed"
fi
packages=${NODE_PACKAGES:-$work/packages}
mkdir -p "$packages"
npm install --prefix "$packages" --silent --no-audit --no-fund --ignore-scripts playwright-core@1.64.1 ||
    skip "playwright-core can't be installed"

POLICY=docs/policy.json start_emulator
export EMULATOR EMULATOR_PID=${pids[-1]} SCREENSHOTS=${SCREENSHOTS:-$work/screenshots}
mkdir -p "$SCREENSHOTS"
cp tests/interop/page.mjs "$packages/page.mjs"
# Its children hold temporary files in the profile's folder, which the script's own folder contains.
TMPDIR=$work node --test --test-reporter=spec "$packages/page.mjs"
