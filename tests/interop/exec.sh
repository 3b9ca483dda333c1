#!/usr/bin/env bash
# Google's own libraries and gcloud, unmodified, below `iamcreds exec`: each acts as the target for longer than one
# token lives. Then attacks on the metadata server, and the terminal's keys. A client that isn't there is left out.
source "$(dirname "$0")/support.bash"

make_python_environment google-auth==2.63.0 requests==2.34.2
start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP
export EMULATOR

domain=interop.iam.gserviceaccount.com
target=target@$domain
curl --silent --fail "$EMULATOR/emulator/fixtures/service_account/source@$domain" >"$work/source.json"
iamcreds=$(target_folder)/debug/iamcreds

# A token lives this long, and a program acts for longer.
lifetime=8
export SECONDS_TO_ACT=25

# Runs a program as the target: act_as [OPTION…] -- COMMAND…
act_as() {
    TMPDIR=$work/temporary "$iamcreds" exec --target "$target" --via "middle@$domain" --credentials "$work/source.json" \
        --endpoint "$EMULATOR" --lifetime "${lifetime}s" --scope https://www.googleapis.com/auth/cloud-platform \
        --scope https://www.googleapis.com/auth/userinfo.email "$@"
}

fail() {
    echo "exec.sh: $*" >&2
    exit 1
}

journal() { curl --silent --fail "$EMULATOR/emulator/journal?method=$1"; }
count() { journal "$1" | grep --count '"method": ' || true; }
fault() { curl --silent --fail "$EMULATOR/emulator/faults" -d "$1" >/dev/null; }
clear_emulator() {
    curl --silent --fail -X DELETE "$EMULATOR/emulator/journal" >/dev/null
    curl --silent --fail -X DELETE "$EMULATOR/emulator/faults" >/dev/null
}

# Waits for programs in the background, and fails if one of them did.
join() {
    local pid
    for pid in "$@"; do wait "$pid" || fail "a program failed"; done
}

mkdir "$work/temporary"

echo "## Longer than a token lives"
clear_emulator
jobs_started=()
act_as -- env SECONDS="$SECONDS_TO_ACT" "$python" tests/interop/exec.py act &
jobs_started+=($!)
if install_node_packages; then
    cp tests/interop/exec.mjs "$node_packages/exec.mjs"
    act_as -- env SECONDS="$SECONDS_TO_ACT" node "$node_packages/exec.mjs" &
    jobs_started+=($!)
else
    echo "left out: Node"
fi
if find_go_packages; then
    build_go_program
    act_as --random-path -- env SECONDS="$SECONDS_TO_ACT" "$work/exec-go" &
    jobs_started+=($!)
else
    echo "left out: Go: $missing"
fi
if command -v gcloud >/dev/null; then
    # The machine's own gcloud believes for ten minutes that there is no metadata server, and has a login.
    export CLOUDSDK_CONFIG=$work/gcloud CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1
    export CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM=$EMULATOR/ CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
    mkdir -p "$work/gcloud/configurations"
    printf False >"$work/gcloud/gce"
    printf '[core]\nproject = interop\naccount = somebody@example.com\n[auth]\nimpersonate_service_account = locked@%s\n' \
        "$domain" >"$work/gcloud/configurations/config_default"
    # Longer, as gcloud is slow to use a token on a busy machine.
    lifetime=20
    for mode in "" --token-file; do
        # shellcheck disable=SC2086 # No mode is no argument.
        act_as $mode -- bash -euc '
            tokens='"$work/tokens$mode"' calls=0
            : >"$tokens"
            # gcloud takes seconds to start, and more on a busy machine.
            while [ "$(sort -u "$tokens" | wc -l)" -lt 3 ]; do
                [ $SECONDS -lt 240 ] || { echo "no new tokens" >&2; exit 1; }
                gcloud iam service-accounts describe '"$target"' --format="value(email)" | grep -qx '"$target"'
                token=$(gcloud auth print-access-token)
                curl --silent --fail "$EMULATOR/oauth2/v3/tokeninfo?access_token=$token" | grep -q '"$target"'
                echo "$token" >>"$tokens"
                calls=$((calls + 1))
            done
            [ "$0" = --token-file ] || gcloud auth print-identity-token --audiences=https://service.example | grep -q ^eyJ
            echo "gcloud '"$mode"': $calls rounds as the target, 3 tokens"' \
            "$mode" &
        jobs_started+=($!)
    done
else
    echo "left out: gcloud"
fi
join "${jobs_started[@]}"
denied=$(curl --silent "$EMULATOR/emulator/journal" | grep --count '"code": "UNAUTHENTICATED"' || true)
[ "$denied" = 0 ] || fail "$denied requests had a token that had ended"
[ ! -e "$work/gcloud/access_tokens.db" ] || fail "gcloud has used the user's own folder"

echo "## A thousand requests at the start"
clear_emulator
lifetime=600
act_as -- "$python" tests/interop/exec.py flood
[ "$(count GenerateAccessToken)" = 1 ] || fail "there were $(count GenerateAccessToken) calls"

echo "## An outage"
clear_emulator
fault '{"effect": "status", "code": "UNAVAILABLE", "method": "GenerateAccessToken"}'
(
    sleep 4
    clear_emulator
) &
# shellcheck disable=SC2016 # The program's variables.
act_as --timeout 1s -- bash -c '
    token=http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token
    get() { curl --silent --output /dev/null --write-out "%{http_code}" --header Metadata-Flavor:Google "$token"; }
    [ "$(get)" = 503 ] || { echo "no 503" >&2; exit 1; }
    for _ in $(seq 100); do [ "$(get)" = 200 ] && exit; sleep 0.1; done
    echo "no recovery" >&2; exit 1' 2>"$work/outage"
grep -q "the token could not be fetched" "$work/outage" || fail "nobody was told about the outage"
wait $!
echo "curl: 503 during the outage, 200 after it"

echo "## Other users, and web pages"
# shellcheck disable=SC2016 # The program's variables.
act_as -- bash -euc '
    url=http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token
    get() { "$@" curl --silent --max-time 5 --header Metadata-Flavor:Google "$url"; }
    get env | grep -q ya29
    [ "$(curl --silent --header Metadata-Flavor:Google --header Host:evil.example "$url" | grep -c ya29)" = 0 ]
    if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        status=0
        reply=$(get setpriv --reuid=65534 --regid=65534 --clear-groups) || status=$?
        # 52: no reply; 56: the connection was reset.
        case $status:$reply in 52: | 56:) echo "another user: no reply" ;; *) echo "another user got: $status $reply" >&2; exit 1 ;; esac
        # A connection that stays open gets no reply, either.
        setpriv --reuid=65534 --regid=65534 --clear-groups bash -c "
            exec 3<>/dev/tcp/${GCE_METADATA_HOST/://}
            printf \"GET /computeMetadata/v1/instance/id HTTP/1.1\r\nHost: localhost\r\nMetadata-Flavor: Google\r\n\r\n\" >&3
            ! timeout 5 grep -q . <&3" 2>/dev/null
        get env | grep -q ya29
    else
        echo "left out: another user, which takes root and setpriv"
    fi'

echo "## The keys of a terminal"
"$python" - "$iamcreds" "$work/source.json" <<'PYTHON'
import os
import pty
import signal
import sys
import time

iamcreds, source = sys.argv[1:]
# Counts how often a key's signal arrives, and lives on.
script = """trap 'echo int' INT; trap 'echo quit' QUIT; echo ready
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 0.1; done; exit 9"""
pid, terminal = pty.fork()
if pid == 0:
    # In the background of a script, they would be ignored, and the program would ignore them, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    target = "middle@interop.iam.gserviceaccount.com"
    os.execv(iamcreds, [iamcreds, "exec", "--target", target, "--credentials", source,
                        "--endpoint", os.environ["EMULATOR"], "--", "bash", "-c", script])
seen = b""
while b"ready" not in seen:
    seen += os.read(terminal, 1000)
for key in (b"\x03", b"\x1c"):
    os.write(terminal, key)
    time.sleep(0.5)
try:
    while more := os.read(terminal, 1000):
        seen += more
except OSError:
    pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
lines = [line.strip().lstrip("^C\\") for line in seen.decode().splitlines()]
assert (lines.count("int"), lines.count("quit"), status) == (1, 1, 9), (seen, status)
print("Ctrl-C and Ctrl-\\ reach the program once")
PYTHON

echo "## What is left"
left=$(find "$work/temporary" -mindepth 1)
[ -z "$left" ] || fail "left: $left"
echo "nothing"
