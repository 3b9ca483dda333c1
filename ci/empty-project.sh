#!/usr/bin/env bash
# The README's lines that begin with an empty folder, as they stand there: they print a token, and whose it is. Only the crate comes
# from here, and the other crates have the versions of Cargo.lock, so that what is built is used again.
source "$(dirname "$0")/common.sh"

# Each line that starts a block of shell begins a new text; the one that has `cargo new` is wanted.
lines_of() {
    awk '/^```sh$/ { text = ""; inside = 1; next }
        /^```$/ { if (inside && text ~ /cargo new/) printf "%s", text; inside = 0 }
        inside { text = text $0 "\n" }' "$1"
}

# What the lines call instead of Cargo.
cargo() {
    case "$1 ${2:-}" in
        "add gcp-iam-credentials") command cargo "$@" --path "$CRATE" ;;
        "add "*) command cargo add "$2@$(version_of "$2")" "${@:3}" ;;
        # `add` removes from a lock file what isn't needed yet, so it is complete only here.
        "run "*) cp "$CRATE/Cargo.lock" . && command cargo "$@" ;;
        *) command cargo "$@" ;;
    esac
}

# Prints the version of a crate in the lock file.
version_of() {
    awk -v name="name = \"$1\"" '$0 == name { getline; gsub(/[^0-9.]/, ""); print; exit }' "$CRATE/Cargo.lock"
}

lines=$(lines_of README.md)
count=$(wc -l <<<"$lines")
if ((count < 4 || count >= 10)); then
    echo "README.md must have one block with \`cargo new\`, of fewer than ten lines; these are $count:" >&2
    echo "$lines" >&2
    exit 1
fi
if [[ $(lines_of docs/guide/getting-started.md) != "$lines" ]]; then
    echo "docs/guide/getting-started.md has other lines than README.md" >&2
    exit 1
fi

CRATE=$PWD
CARGO_TARGET_DIR=$(target_folder)
# As in Cargo.toml, where it is for the crate's own builds.
CARGO_PROFILE_DEV_DEBUG=line-tables-only
export CRATE CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG
export -f cargo version_of
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
run bash -euo pipefail -c "$lines" | tee output

grep -qx 'serviceAccount:deployer@shop.iam.gserviceaccount.com' output || { echo "the token is not the deployer's" >&2; exit 1; }
grep -Eqx 'ya29\.[A-Za-z0-9._-]{20,}' output || { echo "no token was printed" >&2; exit 1; }
