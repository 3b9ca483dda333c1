#!/usr/bin/env bash
# The image and the compose file. With a Docker engine, they are built and used. Without one, what they run is run here: the
# image's and the services' own command lines, with the names of Google's hosts leading to the emulator.
source "$(dirname "$0")/support.bash"

fail() {
    echo "container.sh: $*" >&2
    exit 1
}

if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
    compose=(docker compose --file packaging/compose.yaml)
    trap '"${compose[@]}" down --volumes >/dev/null 2>&1; cleanup' EXIT
    "${compose[@]}" build
    "${compose[@]}" run --rm client | grep -q '"accessToken": "ya29\.' || fail "the client gets no token"
    echo "a client that knows nothing of the emulator gets a token"
    exit 0
fi
echo "left out: building and running the image, because there is no Docker engine with compose"

make_python_environment pyyaml==6.0.3
build_programs
iamcreds=$(target_folder)/debug/iamcreds

# Prints values of the compose file, one in each line: compose EXPRESSION
compose() {
    "$python" -c 'import sys, yaml
document = yaml.safe_load(open("packaging/compose.yaml"))
print(*eval(sys.argv[1], {"services": document["services"], "document": document}), sep="\n")' "$1"
}

echo "## The image"
# What the base image has: libc, libgcc, and what belongs to them.
foreign=$(ldd "$iamcreds" | grep -vE 'linux-vdso|libc\.so|libm\.so|libgcc_s\.so|libdl\.so|libpthread\.so|ld-linux') || true
[ -z "$foreign" ] || fail "the program needs more than its image has: $foreign"
entrypoint=$(sed -n 's/^ENTRYPOINT \["\(.*\)"\]$/\1/p' packaging/Dockerfile)
installed=$(sed -n 's|^COPY --from=build /build/target/release/iamcreds \(.*\)$|\1|p' packaging/Dockerfile)
[ -n "$entrypoint" ] && [ "$entrypoint" = "$installed" ] || fail "the entry point is $entrypoint, the program $installed"
mapfile -t command < <(sed -n 's/^CMD //p' packaging/Dockerfile | "$python" -c 'import json, sys; print(*json.load(sys.stdin), sep="\n")')
for file in $(sed -n 's/^!//p' packaging/Dockerfile.dockerignore); do [ -e "$file" ] || fail "$file is missing"; done

# Starts the program with a command line, but on a free port: start COMMAND…
start() {
    : >"$work/log"
    "$iamcreds" "${@/:8095/:0}" >"$work/log" 2>"$work/errors" &
    pids+=($!)
    for _ in $(seq 100); do
        grep -q '^listening on ' "$work/log" && break
        kill -0 $! 2>/dev/null || fail "$(cat "$work/errors")"
        sleep 0.1
    done
}
start "${command[@]}"
curl --silent --fail "$(sed -n 's/^listening on //p' "$work/log" | sed s/0.0.0.0/127.0.0.1/)/healthz"

echo "## The services"
mapfile -t command < <(compose 'services["emulator"]["command"]')
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
policy=$(compose '[volume.split(":")[0] for volume in services["emulator"]["volumes"] if volume.endswith(":ro")]')
command=("${command[@]/0.0.0.0:443/0.0.0.0:$port}")
command=("${command[@]//\/etc\/iamcreds\/policy.json/packaging/$policy}")
start "${command[@]//\/ca\//$work/}"
for _ in $(seq 50); do [ -s "$work/ca.pem" ] && break || sleep 0.1; done
names=$(compose 'services["emulator"]["networks"]["default"]["aliases"] + ["emulator"]')
for name in $names; do
    status=$(curl --silent --output /dev/null --write-out '%{http_code}' --cacert "$work/ca.pem" \
        --connect-to "$name:443:127.0.0.1:$port" "https://$name/healthz") || fail "$name isn't trusted"
    [ "$status" = 200 ] || fail "$name answers $status"
done
echo "$(wc -w <<<"$names") names are trusted"

mapfile -t options < <(compose 'services["client"]["command"]')
[ "$(compose '[services["client"]["environment"]["CURL_CA_BUNDLE"]]')" = /ca/ca.pem ] || fail "the client trusts another file"
CURL_CA_BUNDLE=$work/ca.pem curl --connect-to "::127.0.0.1:$port" "${options[@]}" >"$work/token"
grep -q '"accessToken": "ya29\.' "$work/token" || fail "$(cat "$work/token")"
echo "a client that knows nothing of the emulator gets a token"
