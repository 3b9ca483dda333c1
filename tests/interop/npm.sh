#!/usr/bin/env bash
# The npm packages, installed in a fresh folder: what the README shows, and the module for Node's test runner. The program in
# them is the one that CI has built. WHEEL_PROFILE=release takes the one of a release build.
source "$(dirname "$0")/support.bash"

command -v node >/dev/null || skip "no node"
command -v npm >/dev/null || skip "no npm"
[ "$(node -p 'Number(process.versions.node.split(".")[0])')" -ge 20 ] || skip "node $(node --version) is too old for the test runner"
case $(node -p 'process.platform + "-" + process.arch') in
    linux-x64 | linux-arm64) platform=$(node -p 'process.platform + "-" + process.arch') ;;
    *) skip "the programs of other systems are tested where they are built" ;;
esac

fail() {
    echo "npm.sh: $*" >&2
    exit 1
}

build_programs
program=$(target_folder)/debug/iamcreds
[ "${WHEEL_PROFILE:-}" != release ] || program=$(target_folder)/release/iamcreds
# Without what only debuggers need, as it is published.
strip -o "$work/iamcreds" "$program"
version=$(crate_version)
main=$(node packaging/npm/pack.mjs "$work/archives")
native=$(node packaging/npm/pack.mjs "$work/archives" "$platform" "$work/iamcreds")
echo "## $(basename "$main"): $(stat -c %s "$main") bytes; $(basename "$native"): $(stat -c %s "$native") bytes"
! tar -tzf "$main" | grep -qE 'test/|pack.mjs' || fail "the package has too much: $(tar -tzf "$main")"

echo "## A fresh folder"
fresh="$work/a fresh folder"
mkdir "$fresh"
cd "$fresh"
npm install --silent --no-audit --no-fund --ignore-scripts "$native" "$main" google-auth-library@10.9.1 ||
    skip "the Node packages can't be installed"
[ "$(npx iamcreds --version)" = "iamcreds $version" ] || fail "$(npx iamcreds --version)"
code=0
npx iamcreds access-token --target nobody 2>/dev/null || code=$?
[ "$code" = 2 ] || fail "the exit code 2 became $code"

awk '/^```js$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$OLDPWD/packaging/npm/README.md" >readme.test.mjs
cp "$OLDPWD/packaging/npm/test/emulator.test.mjs" .
node --test --test-reporter=dot readme.test.mjs emulator.test.mjs || node --test readme.test.mjs emulator.test.mjs

echo "## Whatever ends the tests, the emulator ends with them"
cat >forever.mjs <<'END'
import {startEmulator} from 'iamcreds';
console.log((await startEmulator()).url);
if (process.argv[2]) setTimeout(() => {}, 60_000);
END
ends() {
    for _ in $(seq 50); do
        curl --silent --output /dev/null "$1/healthz" || return 0
        sleep 0.1
    done
    fail "the emulator outlives $2"
}
ends "$(node forever.mjs)" "a script that doesn't stop it"
for signal in TERM KILL; do
    node forever.mjs stay >address &
    for _ in $(seq 100); do [ -s address ] && break || sleep 0.1; done
    curl --silent --fail --output /dev/null "$(cat address)/healthz" || fail "the emulator doesn't run"
    kill -"$signal" $!
    wait $! || true
    ends "$(cat address)" "SIG$signal"
done

# The command passes signals on.
npx --no-install iamcreds emulator --listen 127.0.0.1:0 >address &
for _ in $(seq 100); do [ -s address ] && break || sleep 0.1; done
pkill -TERM --full "$fresh/node_modules/.bin/iamcreds emulator" || fail "the command doesn't run"
wait $! || true
ends "$(sed -n 's/^listening on //p' address)" "the command"
echo "gone after the end, SIGTERM and SIGKILL"

echo "## Without the package of the platform"
mkdir "$work/alone"
cd "$work/alone"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional "$main" || fail "the main package can't be installed alone"
! npx iamcreds --version 2>error || fail "there is a program"
grep -q "the package @iamcreds/$platform isn't installed" error && grep -q "fix: run .npm install iamcreds" error || fail "$(cat error)"
head -1 error
