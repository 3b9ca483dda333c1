#!/usr/bin/env bash
# The public API against its listing, ci/public-api.txt, and the version against the listing of the newest release,
# ci/released-api.txt. With --update: writes the listing. With --release: writes the one of the release, too.
source "$(dirname "$0")/common.sh"

target=$(target_folder)
version=$(crate_version)
listing() {
    run cargo run --quiet --locked --manifest-path ci/public-api/Cargo.toml --target-dir "$target" -- "$@"
}

update=()
[[ $# == 0 ]] || update=(--update)
RUSTDOC="$PWD/ci/rustdoc.sh" run cargo rustdoc --quiet --locked --lib --all-features -- \
    -Zunstable-options --output-format json
listing "$target/doc/gcp_iam_credentials.json" ci/public-api.txt "${update[@]}"
if [[ ${1:-} == --release ]]; then
    listing --release ci/public-api.txt ci/released-api.txt "$version"
fi
listing --semver ci/public-api.txt ci/released-api.txt "$version"
