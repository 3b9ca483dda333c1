#!/usr/bin/env bash
# The package has what its users need and nothing else, and builds from its own files.
source "$(dirname "$0")/common.sh"

files=$(cargo package --quiet --locked --list --allow-dirty)
for file in build.rs proto/google/iam/credentials/v1/{common,iamcredentials}.proto src/lib.rs \
    README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE-APACHE LICENSE-MIT docs/conformance.md; do
    grep -qxF "$file" <<<"$files" || { echo "$file is not in the package" >&2; exit 1; }
done
if grep -E '^(ci|\.ci|\.github|benches/peers|examples/integrations)/' <<<"$files"; then
    echo "these files must not be in the package" >&2
    exit 1
fi
run cargo package --quiet --locked --allow-dirty --no-verify

# `cargo package` would build all dependencies again to verify. A check uses those that are there.
packages=$(target_folder)/package
name=gcp-iam-credentials-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
rm -rf "${packages:?}/$name"
tar -xzf "$packages/$name.crate" -C "$packages"
run cargo check --quiet --locked --lib --manifest-path "$packages/$name/Cargo.toml" --target-dir "$(target_folder)"
