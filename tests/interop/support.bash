# Sourced by the scripts of this folder: one emulator for unmodified clients.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# The settings of a developer's machine must not reach the clients.
unset GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT GCE_METADATA_HOST GCE_METADATA_IP NO_GCE_CHECK

work=$(mktemp -d)
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap cleanup EXIT

# Ends a script that lacks something: skip REASON. Its status tells ci/interop.sh so.
skip() {
    echo "skipped: $*"
    exit 77
}

# Prints the newest interpreter that can make a virtual environment.
newest_python() {
    local candidates=(python3 python3.{10..20})
    command -v pyenv >/dev/null && candidates+=("$(pyenv root)"/versions/*/bin/python3)
    for python in "${candidates[@]}"; do
        "$python" -c 'import ensurepip, sys, venv; print(sys.version_info[1], sys.executable)' 2>/dev/null || true
    done | sort -n | tail -1 | cut -d' ' -f2-
}

# Makes a virtual environment with these packages, or skips the script. Its interpreter is then $python.
# PYTHON_VENV names an environment to keep between runs.
make_python_environment() {
    local venv=${PYTHON_VENV:-$work/venv} newest
    python=$venv/bin/python
    if [ ! -x "$python" ]; then
        newest=$(newest_python)
        [ -n "$newest" ] || skip "no python3 with venv and ensurepip"
        "$newest" -m venv "$venv"
    fi
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" ||
        skip "the Python packages can't be installed"
}

# Prints the version of the crate.
crate_version() {
    sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml
}

# Prints the folder that cargo builds in.
target_folder() {
    cargo metadata --quiet --locked --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# Builds the program and the examples that scripts run. ci/interop.sh has done that for all of them.
build_programs() {
    [ -n "${PROGRAMS_ARE_BUILT:-}" ] || ci/programs.sh
}

# Prints the block of docs/PAGE.md in this language that contains a text: page_block PAGE LANGUAGE TEXT.
page_block() {
    awk -v start="\`\`\`$2" -v part="$3" '
        $0 == start { inside = 1; block = ""; next }
        /^```/ { if (inside && index(block, part)) printf "%s", block; inside = 0 }
        inside { block = block $0 "\n" }' "docs/$1.md"
}

# Installs Google's authentication library for Node. `node_packages` is then its folder; NODE_PACKAGES names one to keep
# between runs. Returns 1 if that isn't possible.
install_node_packages() {
    node_packages=${NODE_PACKAGES:-$work/packages}
    mkdir -p "$node_packages"
    command -v npm >/dev/null && npm install --prefix "$node_packages" --silent --no-audit --no-fund --ignore-scripts \
        google-auth-library@10.9.1 gcp-metadata@8.1.4
}

# Builds the program in Go that acts as the target, "$work/exec-go", with the packages that `find_go_packages` has found.
build_go_program() {
    GO111MODULE=off GOFLAGS='' GOPATH=$go_library go build -o "$work/exec-go" tests/interop/go/exec.go
}

# Installs packages of Debian, as root. Waits while another script is installing.
install_debian_packages() {
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install --yes \
        --no-install-recommends "$@"; } >"$work/apt.log" 2>&1
}

# Finds Debian's Go packages, and as root installs what is missing. Sets `go_library` to their folder, which is laid
# out like a GOPATH. Returns 1 if there are none, with the reason in `missing`.
find_go_packages() {
    local packages=(golang-go golang-google-api-dev golang-golang-x-oauth2-google-dev)
    missing="the Go packages are Debian's, and this isn't Debian"
    command -v dpkg >/dev/null || return 1
    missing="not installed: ${packages[*]}"
    if ! dpkg --status "${packages[@]}" >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || return 1
        missing="can't be installed: ${packages[*]}"
        install_debian_packages "${packages[@]}" || return 1
    fi
    missing="no go"
    command -v go >/dev/null || return 1
    missing="golang-google-api-dev has no package impersonate"
    go_library=$(dpkg --listfiles golang-google-api-dev | sed -n 's|/src/google.golang.org/api/impersonate/user.go$||p')
    [ -n "$go_library" ]
}

# Starts an emulator. EMULATOR is then its URL, and EMULATOR_CA the file with the certificate to trust.
start_emulator() {
    build_programs
    local log=$work/emulator.log
    export EMULATOR_CA=$work/ca.pem
    : >"$log"
    "$(target_folder)/debug/iamcreds" emulator --listen 127.0.0.1:0 --policy "${POLICY:-tests/interop/policy.json}" \
        --ca-out "$EMULATOR_CA" "$@" >"$log" &
    pids+=($!)
    for _ in $(seq 100); do
        EMULATOR=$(sed -n 's/^listening on //p' "$log")
        [ -n "$EMULATOR" ] && break
        sleep 0.1
    done
    [ -n "$EMULATOR" ] || { echo "the emulator did not start" >&2; exit 1; }
    export EMULATOR
    # The metadata server, as all libraries find it. Python's pings the address first.
    export GCE_METADATA_HOST=${EMULATOR#http://}
    export GCE_METADATA_IP=$GCE_METADATA_HOST
}
