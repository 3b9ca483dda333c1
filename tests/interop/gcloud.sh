#!/usr/bin/env bash
# Google's gcloud, unmodified, against `iamcreds emulator`: tokens and signatures, a chain of delegates, federated
# logins, IAM's own API, and a broken chain that the command of a diagnosis fixes. Prints each command with what it printed.
source "$(dirname "$0")/support.bash"

command -v gcloud >/dev/null || skip "no gcloud"

start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP

# gcloud keeps its logins and settings here, apart from those of the machine.
export CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_PROJECT=interop
export CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_CHECK_GCE_METADATA=0
export CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1 CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
for api in IAMCREDENTIALS IAM STS CLOUDRESOURCEMANAGER SERVICEUSAGE; do
    export "CLOUDSDK_API_ENDPOINT_OVERRIDES_$api=$EMULATOR/"
done
export CLOUDSDK_AUTH_TOKEN_HOST=$EMULATOR/token

domain=interop.iam.gserviceaccount.com
source=source@$domain middle=middle@$domain target=target@$domain admin=admin@$domain
creator=roles/iam.serviceAccountTokenCreator

# Runs gcloud, and shows the command and what it printed, without the secret part of tokens. Its output is
# in $out, its exit status in $status.
gc() {
    status=0
    out=$(timeout 120 gcloud "$@" 2>&1) || status=$?
    { printf '$ gcloud'; printf ' %q' "$@"; printf '\n%s\n\n' "$out"; } |
        sed -E "s|$work|.|g; s/(ya29\.c\.....)[A-Za-z0-9_-]+/\1…/g; s/(eyJ[A-Za-z0-9_-]{12})[A-Za-z0-9_.-]+/\1…/g"
}

fail() {
    echo "gcloud.sh: $*" >&2
    exit 1
}

# The last command succeeded, and printed this.
prints() {
    [ "$status" = 0 ] || fail "the command failed: $out"
    grep -qF -- "$1" <<<"$out" || fail "\"$1\" isn't in: $out"
}

# The last command failed, and printed this.
fails() {
    [ "$status" != 0 ] || fail "the command should have failed: $out"
    grep -qF -- "$1" <<<"$out" || fail "\"$1\" isn't in: $out"
}

fixture() { curl --silent --fail "$EMULATOR/emulator/fixtures/$1" >"$2"; }

echo "# $(gcloud version 2>/dev/null | head -1)"
fixture "service_account/$admin" "$work/admin.json"
fixture "service_account/$source" "$work/source.json"

echo "## Tokens and signatures"
gc auth activate-service-account --key-file="$work/admin.json"; prints "Activated"
gc auth activate-service-account --key-file="$work/source.json"; prints "Activated"
gc auth print-access-token; prints "ya29."
gc auth print-identity-token --audiences=https://service.example; prints "eyJ"
gc auth print-access-token --impersonate-service-account="$middle"; prints "ya29."
gc auth print-access-token --impersonate-service-account="$middle,$target"; prints "ya29."
gc auth print-identity-token --impersonate-service-account="$middle,$target" \
    --audiences=https://service.example --include-email; prints "eyJ"
echo "blob" >"$work/blob"
gc iam service-accounts sign-blob "$work/blob" "$work/signature" --iam-account="$middle"; prints "signed blob"
echo '{"aud": "x"}' >"$work/claims"
gc iam service-accounts sign-jwt "$work/claims" "$work/jwt" --iam-account="$middle"; prints "signed jwt"
gc auth print-access-token --impersonate-service-account="locked@$domain"; fails "getAccessToken"

echo "## A federated login"
fixture "external_account/job?target=federated@$domain" "$work/job.json"
gc auth login --cred-file="$work/job.json"; prints "Authenticated"
gc auth print-access-token; prints "ya29."
fixture external_account/job "$work/federated.json"
gc auth login --cred-file="$work/federated.json"; prints "workloadIdentityPools/ci/subject/repo:octo/shop"
gc auth print-access-token; prints "ya29."
gc auth print-access-token --impersonate-service-account="federated@$domain"; prints "ya29."
fixture "external_account/worker?target=federated@$domain" "$work/aws.json"
gc auth login --cred-file="$work/aws.json"; prints "Authenticated"
gc auth print-access-token; prints "ya29."

echo "## Credential files: what gcloud writes is what the pages show"
for page in kubernetes aws azure; do
    commands=$(page_block "$page" sh create-cred-config)
    (cd "$work" && eval "$commands")
    page_block "$page" json '"external_account"' >"$work/shown.json"
    python3 -c 'import json, sys; a, b = (json.load(open(f)) for f in sys.argv[1:]); sys.exit(a != b)' \
        "$work/google.json" "$work/shown.json" || fail "docs/$page.md shows another file than gcloud writes"
done

echo "## A person of a workforce pool"
fixture login_config/ada "$work/login.json"
printf '#!/bin/sh\nexec curl --silent --location --output /dev/null "$1"\n' >"$work/browser"
chmod +x "$work/browser"
DISPLAY=:0 BROWSER="$work/browser %s &" OAUTHLIB_INSECURE_TRANSPORT=1 \
    gc auth login --login-config="$work/login.json"; prints "workforcePools/staff/subject/ada@example.com"
gc auth print-access-token; prints "ya29."
gc auth print-access-token --impersonate-service-account="federated@$domain"; prints "ya29."
gc config set account "$admin"; prints "Updated property"

echo "## Accounts"
builder=builder@$domain
gc iam service-accounts create builder --display-name="The builder" --description="Builds."; prints "Created"
gc iam service-accounts describe "$builder"; prints "displayName: The builder"
gc iam service-accounts update "$builder" --display-name="Builder"; prints "displayName: Builder"
gc iam service-accounts list; prints "$builder"
gc iam service-accounts keys create "$work/builder.json" --iam-account="$builder"; prints "created key"
gc iam service-accounts keys list --iam-account="$builder" --managed-by=user; prints "9999-12-31"
key=$(sed -n 's/.*"private_key_id": "\(.*\)".*/\1/p' "$work/builder.json")
gc auth activate-service-account --key-file="$work/builder.json"; prints "Activated"
gc auth print-access-token --account="$builder"; prints "ya29."
gc config set account "$admin"; prints "Updated property"
gc iam service-accounts keys delete "$key" --iam-account="$builder"; prints "deleted key"
gc auth activate-service-account --key-file="$work/builder.json"; fails "invalid_grant"
gc iam service-accounts disable "$builder"; prints "Disabled"
gc iam service-accounts describe "$builder"; prints "disabled: true"
gc iam service-accounts enable "$builder"; prints "Enabled"
gc iam service-accounts delete "$builder"; prints "deleted service account"
gc iam service-accounts describe "$builder"; fails "NOT_FOUND"

echo "## Policies"
gc iam service-accounts get-iam-policy "$target"; prints "serviceAccount:$middle"
gc iam service-accounts add-iam-policy-binding "$target" --member=user:alice@example.com --role="$creator"
prints "user:alice@example.com"
gc iam service-accounts add-iam-policy-binding "$target" --member=user:bob@example.com --role="$creator" \
    --condition='expression=request.time < timestamp("2030-01-01T00:00:00Z"),title=until 2030'
prints "title: until 2030"
gc iam service-accounts remove-iam-policy-binding "$target" --member=user:alice@example.com --role="$creator" \
    --condition=None
prints "title: until 2030"
gc iam service-accounts add-iam-policy-binding "$target" --member=user:alice@example.com --role=roles/iam.serviceAccountTypo \
    --condition=None
fails "unknown role \"roles/iam.serviceAccountTypo\""
gc iam service-accounts remove-iam-policy-binding "$target" --member=user:bob@example.com --role="$creator" --all
prints "serviceAccount:$middle"
gc projects get-iam-policy interop; prints "roles/owner"
gc projects add-iam-policy-binding interop --member=user:alice@example.com --role=roles/viewer
prints "user:alice@example.com"
gc projects remove-iam-policy-binding interop --member=user:alice@example.com --role=roles/viewer
prints "Updated IAM policy"
gc iam service-accounts get-iam-policy "$target" --account="$source"; prints "bindings"
gc iam service-accounts disable "$target" --account="$source"; fails "iam.serviceAccounts.disable"

echo "## A chain that a diagnosis fixes"
chain() { gc auth print-access-token --account="$source" --impersonate-service-account="$middle,$target"; }
diagnose() {
    GOOGLE_APPLICATION_CREDENTIALS=$work/source.json IAM_CREDENTIALS_EMULATOR_HOST=$EMULATOR \
        "$(target_folder)/debug/examples/diagnose" "$target" "$middle"
}
# Runs the command that fixes the chain, word for word, as the administrator.
fix() {
    local report
    report=$(diagnose)
    printf '$ diagnose %s %s\n%s\n\n' "$target" "$middle" "$report"
    eval "gc $(sed -n 's/^ *fix: gcloud //p' <<<"$report")"
}
chain; prints "ya29."
gc iam service-accounts remove-iam-policy-binding "$target" --member="serviceAccount:$middle" --role="$creator"
prints "Updated IAM policy"
chain; fails "getAccessToken"
fix; prints "serviceAccount:$middle"
chain; prints "ya29."
gc services disable iamcredentials.googleapis.com; prints ""
chain; fails "has not been used in project 421234567890"
fix; prints ""
chain; prints "ya29."

echo "gcloud: all passed"
