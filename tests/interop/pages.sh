#!/usr/bin/env bash
# What the pages about GitHub Actions, Kubernetes, AWS and Azure say under "Try it offline", command by command.
source "$(dirname "$0")/support.bash"

command -v curl >/dev/null || skip "no curl"
unset "${!AWS_@}"
programs=$(target_folder)/debug port=18095

build_programs
for page in github-actions kubernetes aws azure; do
    mkdir "$work/$page"
    page_block "$page" json identityPools >"$work/$page/policy.json"
    page_block "$page" sh iamcreds |
        sed "s|cargo run --features cli --bin iamcreds --|'$programs/iamcreds'|
            s|cargo run --example application_default|'$programs/examples/application_default'|
            s|127.0.0.1:8095|127.0.0.1:$port|g" >"$work/$page/commands.sh"
    echo 'status=$?; kill $!; wait; exit $status' >>"$work/$page/commands.sh"
    echo "## docs/$page.md"
    (cd "$work/$page" && timeout 300 bash commands.sh) | tee "$work/$page/output"
    grep -q '^impersonates: deployer@shop.iam.gserviceaccount.com' "$work/$page/output"
    grep -q '^token: .* valid for 3' "$work/$page/output"
    port=$((port + 1))
done
