#!/usr/bin/env bash
# kubectl, docker, git and pip, unmodified, with iamcreds as their helper, against servers that check whose token they get.
# A client that isn't installed is left out, and named at the end. The kubelet's request is a document.
source "$(dirname "$0")/support.bash"

for needed in python3 openssl; do command -v $needed >/dev/null || skip "no $needed"; done

start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP
domain=interop.iam.gserviceaccount.com
source=source@$domain middle=middle@$domain target=target@$domain
curl --silent --fail "$EMULATOR/emulator/fixtures/service_account/$source" >"$work/source.json"

# Clients find the helpers by these names.
mkdir "$work/bin" "$work/home"
program=$(target_folder)/debug/iamcreds
for name in iamcreds docker-credential-iamcreds git-credential-iamcreds keyring; do ln -s "$program" "$work/bin/$name"; done
python=$(newest_python)
export PATH=$work/bin:$PATH HOME=$work/home XDG_CACHE_HOME=$work/cache XDG_CONFIG_HOME=$work/config
export PIP_CONFIG_FILE=/dev/null

openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -keyout "$work/server.key" -out "$work/server.pem" 2>/dev/null
mkdir "$work/files"
account=$(curl --silent --fail "$EMULATOR/emulator/fixtures/service_account/$target" |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["client_id"])')
"$python" tests/interop/helpers_server.py "$work/files" "$work/server.pem" "$work/server.key" "$account" \
    >"$work/ports" 2>"$work/requests" &
pids+=($!)
for _ in $(seq 100); do
    read -r plain secure <"$work/ports" && break
    sleep 0.1
done

fail() {
    echo "helpers.sh: $*" >&2
    cat "$work/requests" >&2
    exit 1
}

# The text contains this: prints TEXT PART.
prints() { grep -qF -- "$2" <<<"$1" || fail "\"$2\" isn't in: $1"; }

# How many tokens were minted for the target.
mints() {
    curl --silent --fail "$EMULATOR/emulator/journal" | "$python" -c "
import json, sys
entries = json.load(sys.stdin)['entries']
print(sum('$target' in json.dumps(e) and 'enerateAccessToken' in json.dumps(e) for e in entries))"
}

done=() missing=()
has() {
    if command -v "$1" >/dev/null; then done+=("$1"); else missing+=("$1"); return 1; fi
}

if has kubectl; then
    echo "## kubectl"
    for version in v1 v1beta1; do
        export KUBECONFIG=$work/kubeconfig.$version
        kubectl config set-cluster here --server="https://localhost:$secure" --certificate-authority="$work/server.pem"
        kubectl config set-credentials me --exec-command=iamcreds --exec-interactive-mode=Never \
            --exec-api-version="client.authentication.k8s.io/$version" --exec-arg=kubectl-credential \
            --exec-arg="--target=$target" --exec-arg="--via=$middle" --exec-arg="--endpoint=$EMULATOR" \
            --exec-arg="--credentials=$work/source.json"
        kubectl config set-context here --cluster=here --user=me
        kubectl config use-context here
        for _ in 1 2 3; do
            prints "$(kubectl get --raw /version 2>&1)" "v9.8.7-test"
        done
    done
    prints "$(kubectl version 2>&1)" "Server Version: v9.8.7-test"
    [ "$(mints)" = 1 ] || fail "kubectl's runs minted $(mints) tokens"
    kubectl config set-credentials me --exec-arg="--target=locked@$domain" --exec-command=iamcreds >/dev/null
    refused=$(kubectl get --raw /version 2>&1) && fail "kubectl should have failed"
    prints "$refused" "getting credentials: exec: executable iamcreds failed with exit code"
fi

# From here on, nobody gives the helpers arguments.
IAMCREDS_SOURCE_TOKEN=$(iamcreds access-token --credentials "$work/source.json" --endpoint "$EMULATOR" --target "$source")
export IAMCREDS_SOURCE_TOKEN IAM_CREDENTIALS_EMULATOR_HOST=${EMULATOR#http://}
mkdir -p "$XDG_CONFIG_HOME/iamcreds"
cat >"$XDG_CONFIG_HOME/iamcreds/hosts.json" <<JSON
{
  "localhost:$secure": { "target": "$target", "via": ["$middle"] },
  "127.0.0.1:$plain": { "target": "$target", "via": ["$middle"] },
  "gcr.io": { "target": "$target", "via": ["$middle"] }
}
JSON

if has docker; then
    echo "## docker"
    mkdir "$HOME/.docker"
    echo "{\"credHelpers\": {\"localhost:$secure\": \"iamcreds\"}}" >"$HOME/.docker/config.json"
    manifest=$(docker manifest inspect --insecure "localhost:$secure/shop/app:1" 2>&1) || fail "docker: $manifest"
    prints "$manifest" '"layers": []'
fi

if has git; then
    echo "## git"
    git config --global init.defaultBranch main
    git init --quiet --bare "$work/files/repository.git"
    git -C "$work/files/repository.git" update-server-info
    git config --global credential.helper iamcreds
    GIT_TERMINAL_PROMPT=0 git clone "http://127.0.0.1:$plain/repository.git" "$work/clone" || fail "git can't clone"
    grep -E 'repository.git.* (Basic|Bearer) 200' "$work/requests" | sed -n 's/.* \(B[a-z]*\) 200/git sent \1/p' | sort -u
    filled=$(printf 'protocol=http\nhost=127.0.0.1:%s\n\n' "$plain" | git credential fill)
    prints "$filled" "username=oauth2accesstoken"
    prints "$filled" "password_expiry_utc="
fi

if "$python" -m pip --version >/dev/null 2>&1; then
    echo "## pip"
    done+=(pip)
    "$python" -m pip download --no-deps --disable-pip-version-check --no-cache-dir --keyring-provider subprocess \
        --index-url "http://oauth2accesstoken@127.0.0.1:$plain/simple/" --dest "$work/wheels" demo_package ||
        fail "pip can't download"
    [ -f "$work/wheels/demo_package-1.0-py3-none-any.whl" ] || fail "pip downloaded something else"
else
    missing+=(pip)
fi

echo "## The kubelet's request"
reply=$(iamcreds kubelet-credential <<JSON
{"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderRequest", "image": "gcr.io/shop/app:1"}
JSON
)
"$python" - "$reply" <<'PYTHON'
import json, re, sys
reply = json.loads(sys.argv[1])
assert reply["apiVersion"] == "credentialprovider.kubelet.k8s.io/v1", reply
assert reply["kind"] == "CredentialProviderResponse" and reply["cacheKeyType"] == "Registry", reply
assert re.fullmatch(r"\d+s", reply["cacheDuration"]), reply
assert set(reply["auth"]) == {"gcr.io"} and set(reply["auth"]["gcr.io"]) == {"username", "password"}, reply
PYTHON

# One token for the first source, and one for the second.
[ "$(mints)" -le 2 ] || fail "all runs together minted $(mints) tokens"
[ ${#missing[@]} = 0 ] || echo "not installed: ${missing[*]}"
echo "helpers.sh: ${done[*]} and the kubelet got tokens of $target, $(mints) in all"
