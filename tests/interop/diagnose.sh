#!/usr/bin/env bash
# `iamcreds diagnose` says what is wrong with a chain, and Google's gcloud carries out exactly the command that it prints,
# until the chain works: chosen chains, federated sources, and random chains. Prints the first and the last report of each.
source "$(dirname "$0")/support.bash"

command -v gcloud >/dev/null || skip "no gcloud"
command -v python3 >/dev/null || skip "no python3"

# How often a person diagnoses a chain before giving up.
most_rounds=12
# Each random chain has a number, which decides everything about it.
random_chains=${RANDOM_CHAINS:-$(seq 1 15)}

start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP
iamcreds=$(target_folder)/debug/iamcreds
helper() { python3 tests/interop/diagnose.py "$@"; }

# gcloud describes and changes identity providers through this, and everything else at the emulator.
helper provider_api "$EMULATOR" >"$work/provider_api" &
pids+=($!)
for _ in $(seq 100); do [ -s "$work/provider_api" ] && break; sleep 0.1; done

export CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_PROJECT=interop
export CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_CHECK_GCE_METADATA=0
export CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1 CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
for api in IAMCREDENTIALS STS CLOUDRESOURCEMANAGER SERVICEUSAGE; do
    export "CLOUDSDK_API_ENDPOINT_OVERRIDES_$api=$EMULATOR/"
done
export CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM=$(cat "$work/provider_api")/
export CLOUDSDK_AUTH_TOKEN_HOST=$EMULATOR/token

domain=interop.iam.gserviceaccount.com
source=source@$domain middle=middle@$domain target=target@$domain admin=admin@$domain
creator=roles/iam.serviceAccountTokenCreator

fail() {
    echo "diagnose.sh: $*" >&2
    exit 1
}

fixture() { curl --silent --fail "$EMULATOR/emulator/fixtures/$1" >"$2"; }

policy() { curl --silent --fail -X PUT "$EMULATOR/emulator/policy" -d @- >/dev/null; }

# Changes the policy of tests/interop with a statement of Python.
broken_policy() {
    python3 -c 'import json, sys
policy = json.load(open("tests/interop/policy.json"))
accounts, pools = policy["serviceAccounts"], policy["identityPools"]
ci = pools["projects/12/locations/global/workloadIdentityPools/ci"]["providers"]["github"]
job = policy["externalAccounts"]["job"]
exec(sys.argv[1])
json.dump(policy, sys.stdout)' "$1" | policy
}

# Runs gcloud. Its output is in $out.
gc() {
    printf '$ gcloud'; printf ' %q' "$@"; printf '\n'
    out=$(timeout 120 gcloud "$@" 2>"$work/errors") || fail "gcloud failed: $(cat "$work/errors")"
}

# Diagnoses a chain and does what the report says, again and again: repair ARGUMENTS…
repair() {
    local report status text kind command
    : >"$work/done"
    for round in $(seq "$most_rounds"); do
        status=0
        report=$("$iamcreds" diagnose "$@" --format json) || status=$?
        if [ "$round" = 1 ] || [ "$status" = 0 ]; then
            text=$(LC_ALL=C.UTF-8 "$iamcreds" diagnose "$@" || true)
            printf '$ iamcreds diagnose%s\n%s\n\n' "$(printf ' %s' "${@//$work/.}")" "${text//$work/.}"
        fi
        [ "$status" = 0 ] && return
        read -r kind command <<<"$(helper next "$work/done" <<<"$report")"
        [ -n "$command" ] || fail "no advice for: $report"
        printf '%s\n' "$command" >>"$work/done"
        # The line of the report goes to the shell as it is.
        eval "gc ${command#gcloud }"
        [ "$kind" = look ] || continue
        case $out in
            *'"oidc"'*)
                printf '%s' "$out" >"$work/provider.json"
                set -- "$@" --provider-description "$work/provider.json"
                ;;
            *"disabled: true"*) gc iam service-accounts enable "${command##* }" ;;
            *) fail "the advice shows nothing that is wrong: $out" ;;
        esac
    done
    fail "the chain doesn't work after $most_rounds rounds"
}

echo "# $(gcloud version 2>/dev/null | head -1)"
fixture "service_account/$admin" "$work/admin.json"
fixture "service_account/$source" "$work/source.json"
fixture external_account/job "$work/job.json"
fixture "external_account/job?target=federated@$domain" "$work/acting.json"
gc auth activate-service-account --key-file="$work/admin.json"
start=(--credentials "$work/source.json" --endpoint "$EMULATOR")
federated=(--credentials "$work/job.json" --endpoint "$EMULATOR" --target "federated@$domain")

echo "## Three hops, and the grant on the second one is missing"
broken_policy "accounts['second@$domain'] = {}
accounts['$target']['grants'][0]['members'] = ['serviceAccount:second@$domain']"
repair "${start[@]}" --via "$middle" --via "second@$domain" --target "$target"

echo "## Two grants are missing, the API is disabled, and so is the target"
broken_policy "accounts['$middle']['grants'] = accounts['$target']['grants'] = []
accounts['$target']['disabled'] = policy['projects']['interop']['apiDisabled'] = True"
repair "${start[@]}" --via "$middle" --target "$target"
gc auth activate-service-account --key-file="$work/source.json"
gc auth print-access-token --account="$source" --impersonate-service-account="$middle,$target"
gc config set account "$admin"

echo "## A federated source may not impersonate the account"
broken_policy "accounts['federated@$domain']['grants'] = []"
repair "${federated[@]}"

echo "## A federated source may not impersonate the account in its own file"
broken_policy "accounts['federated@$domain']['grants'] = []
accounts['$target']['grants'] = []"
repair --credentials "$work/acting.json"
repair --credentials "$work/acting.json" --endpoint "$EMULATOR" --target "$target"

echo "## The provider of a federated source is disabled"
broken_policy "ci['disabled'] = True"
repair "${federated[@]}"

echo "## The provider doesn't accept the audience, and its condition refuses the job"
broken_policy "ci['attributeCondition'] = 'assertion.sub == \"another\"'
job['claims']['aud'] = 'https://other.example'"
repair "${federated[@]}"

echo "## Random chains"
for seed in $random_chains; do
    helper policy "$seed" | policy
    { read -r chain; read -r broken; } <<<"$(helper arguments "$seed")"
    echo "### Chain $seed: $broken"
    # The words of the chain have no spaces.
    repair "${start[@]}" $chain
done

echo "diagnose: all passed"
