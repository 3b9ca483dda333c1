"""Envoy in front of an upstream that checks the identity of each request, and what happens if a broker dies.

Usage: envoy.py ENVOY IAMCREDS FOLDER, with EMULATOR in the environment.
"""

import asyncio
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

ENVOY, IAMCREDS, FOLDER = sys.argv[1:4]
EMULATOR = os.environ["EMULATOR"]
REQUESTS = int(os.environ.get("ENVOY_REQUESTS", 20_000))
OUTAGE = float(os.environ.get("ENVOY_OUTAGE_SECONDS", 10))
IN_FLIGHT = 32

SHOP = "shop@my-project.iam.gserviceaccount.com"
BANK = "bank@my-project.iam.gserviceaccount.com"
# The unique ids of accounts, by which their tokens are told apart.
ACCOUNTS = {"100000000000000000001": SHOP, "100000000000000000002": BANK}
# The path of each route, and the account that it acts as.
ROUTES = {"/storage/": SHOP, "/bank/": BANK}
CLOUD = "https://www.googleapis.com/auth/cloud-platform"

processes = []


def start(arguments, **options):
    process = subprocess.Popen(arguments, **options)
    processes.append(process)
    return process


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit(f"{what} took more than {seconds} s")


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(EMULATOR + "/emulator/" + path, data, method=method)
    with urllib.request.urlopen(request) as reply:
        return json.loads(reply.read() or "null")


class Upstream:
    """Answers 200 if a request has the token of its route's account, and 500 if it has another one."""

    def __init__(self):
        self.accounts = {}
        self.wrong = 0
        self.seen = 0
        self.leaked = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    def account(self, token):
        """Returns the account of a token that is valid now, and when it ends."""
        known = self.accounts.get(token)
        if known is None:
            url = f"{EMULATOR}/tokeninfo?" + urllib.parse.urlencode({"access_token": token})
            try:
                info = json.load(urllib.request.urlopen(url))
                known = (ACCOUNTS[info["azp"]], time.time() + float(info["expires_in"]))
            except urllib.error.HTTPError:
                known = ("none", 0)
            self.accounts[token] = known
        account, end = known
        return account if time.time() < end else "expired"

    async def serve(self, reader, writer):
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                tokens = re.findall(r"(?im)^authorization: *Bearer (\S+)\r$", head)
                expected = next(account for route, account in ROUTES.items() if path.startswith(route))
                accounts = [self.account(token) for token in tokens]
                self.seen += 1
                self.leaked += "x-act-as" in head.lower()
                right = accounts == [expected]
                self.wrong += not right
                writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % (b"200 OK" if right else b"500 Wrong"))
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


class Load:
    """Sends requests over some connections, and counts the statuses of their replies by route."""

    def __init__(self, ports):
        self.ports = ports
        self.statuses = {}
        self.longest = 0

    def count(self, path, status):
        by_route = self.statuses.setdefault(path, {})
        by_route[status] = by_route.get(status, 0) + 1

    async def worker(self, at, goes_on):
        port, writer = self.ports[at % len(self.ports)], None
        while goes_on():
            path = list(ROUTES)[at % len(ROUTES)]
            at += 1
            began = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    f"GET {path}x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer forged\r\nx-act-as: {BANK}\r\n\r\n".encode()
                )
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if length:
                    await reader.readexactly(int(length[1]))
                self.count(path, int(head.split(b" ", 2)[1]))
            except (asyncio.IncompleteReadError, ConnectionError):
                writer = None
                self.count(path, "reset")
            self.longest = max(self.longest, time.monotonic() - began)

    async def requests(self, number):
        left = iter(range(number))
        await asyncio.gather(*(self.worker(at, lambda: next(left, None) is not None) for at in range(IN_FLIGHT)))
        return self

    async def until(self, event):
        await asyncio.gather(*(self.worker(at, lambda: not event.is_set()) for at in range(IN_FLIGHT)))
        return self

    def all(self):
        total = {}
        for by_route in self.statuses.values():
            for status, number in by_route.items():
                total[status] = total.get(status, 0) + number
        return total


def policy():
    grant = lambda account: {"callers": [{"source": "127.0.0.0/8"}], "targets": [account], "scopes": [CLOUD]}
    return {"targetHeader": "x-act-as", "grants": [grant(SHOP), grant(BANK)]}


def start_broker(name):
    path = f"{FOLDER}/{name}.sock"
    file = pathlib.Path(FOLDER, "policy.json")
    file.write_text(json.dumps(policy()))
    broker = start(
        [IAMCREDS, "serve", "--policy", str(file), "--unix", path, "--endpoint", EMULATOR, "--timeout", "5s"],
        env={**os.environ, "IAMCREDS_SOURCE_TOKEN": "broker-token"},
        stdout=subprocess.DEVNULL,
        stderr=open(f"{FOLDER}/{name}.log", "a"),
    )
    wait_for(lambda: os.path.exists(path) and answers(path), f"the broker {name}")
    return broker, path


def answers(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
            return True
        except OSError:
            return False


def route(path, account, cluster):
    service = {"envoy_grpc": {"cluster_name": cluster}, "timeout": "10s"}
    settings = {"context_extensions": {"target": account}, "grpc_service": service}
    return {
        "match": {"prefix": path},
        "route": {"cluster": "upstream", "timeout": "30s"},
        "typed_per_filter_config": {
            "envoy.filters.http.ext_authz": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": settings,
            }
        },
    }


def sharded_cluster(name, own, other):
    """Asks its own broker, and the other one while its own doesn't answer."""
    endpoint = lambda path, priority: {
        "priority": priority,
        "lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}}],
    }
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": name,
        "connect_timeout": "0.5s",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint(own, 0), endpoint(other, 1)]},
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "0.2s",
                # Before the first request, Envoy checks once a minute, unless it is told otherwise.
                "no_traffic_interval": "0.2s",
                "unhealthy_threshold": 1,
                "healthy_threshold": 1,
                "http_health_check": {"path": "/readyz", "codec_client_type": "HTTP2"},
            }
        ],
    }


def configuration(port, upstream, brokers):
    """Returns the configuration in docs/fleets/envoy.yaml with two brokers, each of which has its own accounts."""
    import yaml

    document = yaml.safe_load(pathlib.Path("docs/fleets/envoy.yaml").read_text())
    resources = document["static_resources"]
    listener = resources["listeners"][0]
    listener["address"]["socket_address"]["port_value"] = port
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["route_config"]["virtual_hosts"][0]["routes"] = [
        route(path, account, f"broker-{at}") for at, (path, account) in enumerate(ROUTES.items())
    ]
    manager["http_filters"][0]["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] = "broker-0"
    upstream_cluster = resources["clusters"][1]
    address = upstream_cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    address["socket_address"]["port_value"] = upstream
    clusters = [sharded_cluster(f"broker-{at}", brokers[at], brokers[1 - at]) for at in range(2)]
    resources["clusters"] = [*clusters, upstream_cluster]
    return document


def start_envoy(name, upstream, brokers):
    port = free_port()
    file = pathlib.Path(FOLDER, f"{name}.json")
    file.write_text(json.dumps(configuration(port, upstream, brokers)))
    start([ENVOY, "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "error"])
    return port


async def ready(port):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        load = await Load([port]).requests(4)
        if set(load.all()) == {200}:
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"Envoy isn't ready: {load.all()}")


async def as_documented(upstream_port):
    """Runs docs/fleets/envoy.yaml as it stands, except for ports and paths."""
    text = pathlib.Path("docs/fleets/envoy.yaml").read_text()
    port = free_port()
    text = text.replace("port_value: 10000", f"port_value: {port}").replace("port_value: 10001", f"port_value: {upstream_port}")
    text = text.replace("/run/iamcreds/broker.sock", f"{FOLDER}/documented.sock")
    file = pathlib.Path(FOLDER, "documented.yaml")
    file.write_text(text)
    own = json.loads(pathlib.Path("docs/fleets/policy.json").read_text())
    own["grants"][0]["callers"].append({"source": "127.0.0.1"})
    policy_file = pathlib.Path(FOLDER, "documented.json")
    policy_file.write_text(json.dumps(own))
    broker = start(
        [IAMCREDS, "serve", "--policy", str(policy_file), "--unix", f"{FOLDER}/documented.sock", "--endpoint", EMULATOR],
        env={**os.environ, "IAMCREDS_SOURCE_TOKEN": "broker-token"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: answers(f"{FOLDER}/documented.sock"), "the broker")
    envoy = start([ENVOY, "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "error"])
    wait_for(lambda: reachable(port), "Envoy")
    reply = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/storage/x")
    assert reply.status == 200, reply.status
    envoy.terminate()
    broker.terminate()
    print("docs/fleets: the configuration and the policy work as they stand")


def check_manifests():
    """The arguments of the broker in docs/fleets/kubernetes.yaml are those of the program."""
    import yaml

    brokers = 0
    for manifest in yaml.safe_load_all(pathlib.Path("docs/fleets/kubernetes.yaml").read_text()):
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            if container["name"] == "broker":
                subprocess.run([IAMCREDS, *container["args"], "--help"], stdout=subprocess.DEVNULL, check=True)
                brokers += 1
    assert brokers == 2, brokers
    print("docs/fleets: the manifests have arguments that the program knows")


def reachable(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def main():
    check_manifests()
    upstream = Upstream()
    port = await upstream.start()
    await as_documented(port)
    (first, one), (_, two) = start_broker("one"), start_broker("two")
    envoys = [start_envoy(name, port, [one, two]) for name in ("first", "second")]
    for envoy in envoys:
        await ready(envoy)

    began = time.monotonic()
    load = await Load(envoys).requests(REQUESTS)
    took = time.monotonic() - began
    assert load.all() == {200: REQUESTS}, load.statuses
    print(f"{REQUESTS} requests over two Envoys and two brokers: {REQUESTS / took:.0f}/s, all with the identity of their route")

    ended = asyncio.Event()
    running = asyncio.create_task(Load(envoys).until(ended))
    await asyncio.sleep(2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    await asyncio.sleep(4)
    after = await Load(envoys).requests(2_000)
    assert after.all() == {200: 2_000}, after.statuses
    os.remove(one)
    start_broker("one")
    await asyncio.sleep(2)
    ended.set()
    killed = await running
    failed = {status: number for status, number in killed.all().items() if status != 200}
    print(f"one broker killed under load: {killed.all().get(200)} requests served, {failed or 'none'} not; the longest took {killed.longest:.1f} s")
    assert set(failed) <= {503}, killed.statuses
    back = await Load(envoys).requests(2_000)
    assert back.all() == {200: 2_000}, back.statuses

    control("POST", "faults", {"effect": "status", "code": "UNAVAILABLE"})
    ended = asyncio.Event()
    running = asyncio.create_task(Load(envoys).until(ended))
    await asyncio.sleep(OUTAGE)
    ended.set()
    outage = await running
    control("DELETE", "faults")
    print(f"IAM down for {OUTAGE:.0f} s: {outage.all()}")
    assert set(outage.all()) == {200}, outage.statuses

    assert upstream.wrong == 0 and upstream.leaked == 0, (upstream.wrong, upstream.leaked)
    print(f"upstream: {upstream.seen} requests, none with a wrong or expired token; {len(upstream.accounts)} tokens")


try:
    asyncio.run(main())
finally:
    for process in processes:
        process.kill()
