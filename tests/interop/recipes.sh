#!/usr/bin/env bash
# The recipes of docs/emulator.md, as they stand there, each in a fresh folder; and each with a step left out, whose error must
# lead back to that step. A recipe whose client isn't there is left out.
source "$(dirname "$0")/support.bash"

make_python_environment google-auth==2.63.0 requests==2.34.2 google-cloud-iam==2.27.0
POLICY=docs/policy.json start_emulator
unset GCE_METADATA_HOST GCE_METADATA_IP
IAMCREDS=$(target_folder)/debug/iamcreds
export IAMCREDS GOCACHE=$work/go-cache
status=0

# Follows a recipe: recipe TITLE [VARIABLE=VALUE…]
recipe() {
    local title=$1
    shift
    echo "## $title"
    env "$@" "$python" tests/interop/recipes.py "$title" "$EMULATOR" "$EMULATOR_CA" ${SHOW:+--show} || status=1
}

mkdir "$work/bin"
ln -s "$IAMCREDS" "$work/bin/iamcreds"
recipe Rust RECIPE_PATH="$work/bin"
recipe "curl and the shell"
recipe Python RECIPE_PATH="$(dirname "$python")"

if command -v node >/dev/null && command -v npm >/dev/null && mkdir "$work/node" &&
    npm install --prefix "$work/node" --silent --no-audit --no-fund --ignore-scripts google-auth-library@10.9.1 @google-cloud/iam-credentials@4.2.2; then
    recipe Node RECIPE_MODULES="$work/node/node_modules"
else
    echo "left out: Node"
fi

if find_go_packages; then
    recipe Go GO111MODULE=off GOFLAGS= GOPATH="$go_library"
else
    echo "left out: Go: $missing"
fi

java_packages=(libgoogle-auth-java libgoogle-http-client-java)
if command -v java >/dev/null && command -v dpkg >/dev/null && { dpkg --status "${java_packages[@]}" >/dev/null 2>&1 ||
    { [ "$(id -u)" = 0 ] && install_debian_packages "${java_packages[@]}"; }; }; then
    recipe Java RECIPE_JARS=/usr/share/java
else
    echo "left out: Java: no java, or Debian's packages ${java_packages[*]} can't be installed"
fi

if command -v gcloud >/dev/null; then
    recipe gcloud CLOUDSDK_CORE_DISABLE_PROMPTS=1
else
    echo "left out: gcloud"
fi

exit "$status"
