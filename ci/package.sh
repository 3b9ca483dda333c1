#!/usr/bin/env bash
# What a release consists of: the package has what its users need and nothing else, and can be published; the version has
# a section in the changelog, and release notes.
source "$(dirname "$0")/common.sh"

version=$(crate_version)
grep -qF "## [$version]" CHANGELOG.md || { echo "CHANGELOG.md has no section of $version" >&2; exit 1; }
[[ -s docs/releases/$version.md ]] || { echo "docs/releases/$version.md is missing" >&2; exit 1; }

files=$(cargo package --quiet --locked --list --allow-dirty)
for file in build.rs proto/google/iam/credentials/v1/{common,iamcredentials}.proto src/lib.rs \
    src/emulator/control/page/page.{css,js} \
    README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE-APACHE LICENSE-MIT docs/conformance.md; do
    grep -qxF "$file" <<<"$files" || { echo "$file is not in the package" >&2; exit 1; }
done
if grep -E '^(ci|\.ci|\.github|benches/peers|examples/integrations|packaging)/' <<<"$files"; then
    echo "these files must not be in the package" >&2
    exit 1
fi
run cargo publish --dry-run --quiet --locked --allow-dirty --no-verify

# To verify, `cargo publish` would build all dependencies again. A check of the package's own files uses those that are there.
packages=$(target_folder)/package
run cargo package --quiet --locked --allow-dirty --no-verify
name=gcp-iam-credentials-$version
rm -rf "${packages:?}/$name"
tar -xzf "$packages/$name.crate" -C "$packages"
run cargo check --quiet --locked --lib --manifest-path "$packages/$name/Cargo.toml" --target-dir "$(target_folder)"
