# Sourced by the check scripts: what all of them rely on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TERM_COLOR=never
# Building must not need protoc: calling it fails.
export PROTOC=/nonexistent/protoc
# The settings of a developer's machine must not reach the tests.
unset GOOGLE_APPLICATION_CREDENTIALS IAM_CREDENTIALS_EMULATOR_HOST GOOGLE_CLOUD_UNIVERSE_DOMAIN \
    GOOGLE_CLOUD_QUOTA_PROJECT CLOUDSDK_CONFIG

# Installs a Cargo subcommand, if it is missing: need NAME VERSION. A build without optimization takes less time than one
# with it saves here.
need() {
    command -v "$1" >/dev/null || cargo install --quiet --locked --debug "$1" --version "$2"
}

# Runs a command, and returns its status. Shows it first, and how long it took.
run() {
    local started=$SECONDS status=0
    echo "$ $*"
    "$@" || status=$?
    echo "# took $((SECONDS - started)) s"
    return "$status"
}

# Prints the version of the crate.
crate_version() {
    sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml
}

# Prints where Cargo builds.
target_folder() {
    cargo metadata --quiet --locked --no-deps --format-version 1 |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}
