#!/usr/bin/env bash
# The wheel, installed in a fresh virtual environment: what its description shows, and the fixture for pytest. The program in it is
# the one that CI has built. WHEEL_PROFILE=release builds the one that is published, and checks its size.
source "$(dirname "$0")/support.bash"

make_python_environment maturin==1.16.0
maturin=$(dirname "$python")/maturin
target=$(target_folder)
version=$(crate_version)
# The largest wheel that may be published: 12 MB.
MOST_BYTES=12000000

fail() {
    echo "wheel.sh: $*" >&2
    exit 1
}

# With the features of CI's own build, and without another link, nothing is compiled again.
options=(--profile dev --all-features --strip false)
if [ "${WHEEL_PROFILE:-}" = release ]; then
    options=(--release)
else
    build_programs
fi
(cd packaging/python && CARGO_TARGET_DIR=$target "$maturin" build --quiet "${options[@]}" --out "$work/wheels") ||
    fail "the wheel can't be built"
wheel=$(echo "$work"/wheels/iamcreds-"$version"-py3-none-*.whl)
echo "## $(basename "$wheel"): $(stat -c %s "$wheel") bytes"
[ "${WHEEL_PROFILE:-}" != release ] || [ "$(stat -c %s "$wheel")" -le "$MOST_BYTES" ] || fail "it may have $MOST_BYTES bytes"
contents=$("$python" -m zipfile --list "$wheel")
for part in iamcreds/__init__.py iamcreds/py.typed "data/scripts/iamcreds" licenses/LICENSE-MIT entry_points.txt; do
    grep -qF "$part" <<<"$contents" || fail "$part isn't in the wheel: $contents"
done
! grep -qE '/test_|\.rs |\.pem|tests/|sbom' <<<"$contents" || fail "the wheel has too much: $contents"

echo "## A fresh environment"
fresh="$work/a fresh environment"
"$python" -m venv "$fresh"
"$fresh/bin/pip" install --quiet --disable-pip-version-check "$wheel" pytest==9.2.0 google-auth==2.63.0 requests==2.34.2 ||
    skip "the Python packages can't be installed"
[ "$("$fresh/bin/iamcreds" --version)" = "iamcreds $version" ] || fail "$("$fresh/bin/iamcreds" --version)"

# What the description shows, and the tests, as two sessions at the same time.
mkdir "$work/application"
awk '/^```python$/ { inside = 1; next } /^```/ { inside = 0 } inside' packaging/python/description.md >"$work/application/test_readme.py"
cp packaging/python/tests/test_emulator.py "$work/application/"
cd "$work/application"
pytest=("$fresh/bin/python" -m pytest --quiet -p no:cacheprovider)
"${pytest[@]}" test_readme.py >"$work/readme.log" 2>&1 &
"${pytest[@]}" test_emulator.py
wait $! || fail "$(cat "$work/readme.log")"
tail -1 "$work/readme.log"

echo "## Whatever ends pytest, the emulator ends with it"
cat >test_forever.py <<'END'
import time
def test_forever(iam_emulator):
    with open("address", "w") as file:
        file.write(iam_emulator.url)
    time.sleep(60)
END
for signal in TERM KILL INT; do
    rm -f address
    # A job in the background would ignore SIGINT.
    setsid env --default-signal=INT "${pytest[@]}" test_forever.py >"$work/forever.log" 2>&1 &
    for _ in $(seq 100); do [ -s address ] && break || sleep 0.1; done
    [ -s address ] || fail "$(cat "$work/forever.log")"
    curl --silent --fail --output /dev/null "$(cat address)/healthz" || fail "the emulator doesn't run"
    kill -"$signal" $!
    wait $! || true
    for _ in $(seq 50); do
        curl --silent --output /dev/null "$(cat address)/healthz" || break
        sleep 0.1
    done
    ! curl --silent --output /dev/null "$(cat address)/healthz" || fail "the emulator outlives SIG$signal"
done
echo "gone after SIGTERM, SIGKILL and SIGINT"
