#!/usr/bin/env bash
# Google's own libraries and gcloud, unmodified, get their identity from `iamcreds serve`, for longer than one token
# lives. Two users of the machine have different identities, and not each other's. A client that isn't there is left out.
source "$(dirname "$0")/support.bash"

make_python_environment google-auth==2.63.0 requests==2.34.2
start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP
export EMULATOR

domain=interop.iam.gserviceaccount.com
target=target@$domain middle=middle@$domain
curl --silent --fail "$EMULATOR/emulator/fixtures/service_account/source@$domain" >"$work/source.json"
iamcreds=$(target_folder)/debug/iamcreds
nobody=65534

fail() {
    echo "serve.sh: $*" >&2
    exit 1
}

# Prints a grant: grant UID TARGET DELEGATES LIFETIME. gcloud fetches an ID token with its own audience, and ends without.
grant() {
    local scopes='"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email"'
    echo "{\"callers\": [{\"uid\": $1}], \"targets\": [\"$2\"], \"delegates\": [$3], \"lifetime\": \"$4\",
        \"scopes\": [$scopes], \"audiences\": [\"https://service.example\", \"32555940559.apps.googleusercontent.com\"]}"
}

# A token lives for 8 s, and a program acts for 25. gcloud is slow to use its token, so it gets longer ones below.
echo "{\"grants\": [$(grant "$(id -u)" "$target" "\"$middle\"" 8s), $(grant "$nobody" "$middle" "" 600s)]}" >"$work/policy.json"
chmod 755 "$work"
"$iamcreds" serve --policy "$work/policy.json" --loopback 127.0.0.1:0 --unix-for-all "$work/broker.sock" \
    --credentials "$work/source.json" --endpoint "$EMULATOR" --project interop >"$work/serve.out" 2>"$work/serve.log" &
pids+=($!)
for _ in $(seq 100); do
    [ "$(wc -l <"$work/serve.out")" -lt 2 ] || break
    sleep 0.1
done
host=$(sed -n 's/^listening on \(127.*\)/\1/p' "$work/serve.out")
[ -n "$host" ] || fail "$(cat "$work/serve.log")"
export GCE_METADATA_HOST=$host GCE_METADATA_IP=$host GCE_METADATA_ROOT=$host SECONDS_TO_ACT=25
# Go has a cache there.
export GOCACHE=$work/go HOME=$work/home
mkdir "$HOME"

echo "## Longer than a token lives"
jobs_started=()
env SECONDS="$SECONDS_TO_ACT" "$python" tests/interop/exec.py act &
jobs_started+=($!)
if install_node_packages; then
    cp tests/interop/exec.mjs "$node_packages/exec.mjs"
    env METADATA_SERVER_DETECTION=assume-present SECONDS="$SECONDS_TO_ACT" node "$node_packages/exec.mjs" &
    jobs_started+=($!)
else
    echo "left out: Node"
fi
if find_go_packages; then
    build_go_program
    env SECONDS="$SECONDS_TO_ACT" "$work/exec-go" &
    jobs_started+=($!)
else
    echo "left out: Go: $missing"
fi
for job in "${jobs_started[@]}"; do wait "$job" || fail "a program failed: $(cat "$work/serve.log")"; done
denied=$(curl --silent "$EMULATOR/emulator/journal" | grep --count '"code": "UNAUTHENTICATED"' || true)
[ "$denied" = 0 ] || fail "$denied requests had a token that had ended"

if command -v gcloud >/dev/null; then
    sed -i 's/"8s"/"600s"/' "$work/policy.json"
    pkill -HUP --full "serve --policy $work/policy.json"
    export CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1
    export CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM=$EMULATOR/ CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
    email=$(gcloud iam service-accounts describe "$target" --project interop --format="value(email)")
    [ "$email" = "$target" ] || fail "gcloud got $email"
    token=$(gcloud auth print-access-token)
    curl --silent --fail "$EMULATOR/oauth2/v3/tokeninfo?access_token=$token" | grep -q "$target" || fail "gcloud is somebody else"
    gcloud auth print-identity-token --audiences=https://service.example | grep -q ^eyJ || fail "no ID token"
    echo "gcloud: an access token, an ID token and a call as the target"
else
    echo "left out: gcloud"
fi

echo "## Two users of one machine"
# Prints the account of the token that a command gets, or the status of its reply: account_of PATH COMMAND…
account_of() {
    local path=$1 reply
    shift
    reply=$("$@" --silent --max-time 10 --header Metadata-Flavor:Google --write-out '\n%{http_code}' \
        "http://localhost$path/computeMetadata/v1/instance/service-accounts/default/token")
    case $reply in
        *200) curl --silent "$EMULATOR/oauth2/v3/tokeninfo?access_token=$(sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' <<<"$reply")" |
            sed -n 's/.*"email": *"\([^"]*\)".*/\1/p' ;;
        *) tail -1 <<<"$reply" ;;
    esac
}
expect() {
    local expected=$1
    shift
    local got
    got=$(account_of "$@")
    [ "$got" = "$expected" ] || fail "expected $expected, got $got: $*"
}
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    for over in "--connect-to localhost:80:$host" "--unix-socket $work/broker.sock"; do
        # shellcheck disable=SC2086 # An option and its value.
        {
            other=(setpriv --reuid="$nobody" --regid="$nobody" --clear-groups curl $over)
            own=(curl $over)
        }
        expect "$target" "" "${own[@]}"
        expect "$middle" "" "${other[@]}"
        expect "$middle" "/targets/$middle" "${other[@]}"
        expect 403 "/targets/$target" "${other[@]}"
        expect 403 "/targets/$middle" "${own[@]}"
    done
    echo "each user has its own identity and not the other's, over loopback and over a Unix socket"
else
    echo "left out: another user, which takes root and setpriv"
fi

echo "## What the log says"
grep -q "refused a token" "$work/serve.log" || fail "nobody was told about the refusals"
! grep -qE 'ya29\.|eyJ' "$work/serve.log" || fail "the log has a token"
grep 'refused a token' "$work/serve.log" | tail -1 | sed 's/^[^ ]* *//'
