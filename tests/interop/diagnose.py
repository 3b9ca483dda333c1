"""Broken chains for diagnose.sh, and what a person does with a report of `iamcreds diagnose --format json`.

    diagnose.py policy SEED       prints a policy with a random chain in which something is broken
    diagnose.py arguments SEED    prints the arguments that name the chain, and on a second line what is broken
    diagnose.py next DONE         reads a report, and prints what to do: KIND COMMAND. DONE lists the commands that were run
    diagnose.py provider_api URL  serves the API of identity providers, and hands everything else to the emulator
"""

import http.server
import json
import random
import sys
import urllib.error
import urllib.request

DOMAIN = "interop.iam.gserviceaccount.com"
CREATOR = "roles/iam.serviceAccountTokenCreator"
WEAKER = ["roles/iam.serviceAccountOpenIdTokenCreator", "roles/iam.workloadIdentityUser"]
PURPOSES = ["access-token", "id-token", "sign-blob", "sign-jwt"]


def world(seed):
    """Returns a policy, the accounts of the chain, what it is for, and what is broken."""
    dice = random.Random(seed)
    with open("tests/interop/policy.json") as file:
        policy = json.load(file)
    accounts = [f"hop{index}@{DOMAIN}" for index in range(dice.randint(1, 4))]
    members = [f"source@{DOMAIN}"] + accounts
    broken = set(dice.sample(range(len(accounts)), dice.randint(0, len(accounts))))
    said = []
    for index, (member, account) in enumerate(zip(members, accounts)):
        left = dice.choice([None] + WEAKER) if index in broken else CREATOR
        grants = [{"members": [f"serviceAccount:{member}"], "role": left}] if left else []
        policy["serviceAccounts"][account] = {"grants": grants}
        if index in broken:
            said.append(f"{account} grants {left or 'nothing'}")
    if dice.random() < 0.3:
        policy["projects"]["interop"]["apiDisabled"] = True
        said.append("the API is disabled")
    if dice.random() < 0.3 or not said:
        account = dice.choice(accounts)
        policy["serviceAccounts"][account]["disabled"] = True
        said.append(f"{account} is disabled")
    policy["ambiguities"] = {
        "middleHop": dice.choice(["implicitDelegation", "action"]),
        "disabledAccount": dice.choice(["permissionDenied", "notFound"]),
    }
    return policy, accounts, dice.choice(PURPOSES), said


def arguments(seed):
    _, accounts, purpose, said = world(seed)
    via = [word for account in accounts[:-1] for word in ("--via", account)]
    print(*via, "--target", accounts[-1], "--for", purpose)
    print("; ".join(said))


def fixes(report):
    """Returns the fixes in the order in which a person tries them."""
    source = [report["source"]["fix"]]
    failing = [hop["fix"] for hop in report["hops"] if hop["finding"] not in ("allowed", "likely_allowed", "not_reached")]
    others = [hop["fix"] for hop in report["hops"] if hop["finding"] in ("likely_allowed", "not_reached")]
    return [fix for fix in source + failing + others if fix]


def next_step(done):
    found = fixes(json.load(sys.stdin))
    for fix in found:
        if fix["placeholder"]:
            sys.exit(f"a command with a placeholder: {fix}")
        if fix["command"] and fix["command"] not in done:
            return print("fix" if fix["changes"] else "look", fix["command"])
    for fix in found:
        if fix["check"] and fix["check"] not in done:
            return print("look", fix["check"])
    sys.exit(f"no advice is left: {found}")


class ProviderApi(http.server.BaseHTTPRequestHandler):
    """What gcloud needs to describe and update the providers in the emulator's policy, which has no such API."""

    emulator = ""

    def policy(self, change=None):
        url = self.emulator + "/emulator/policy"
        body = json.dumps(change).encode() if change else None
        with urllib.request.urlopen(urllib.request.Request(url, body, method="PUT" if change else "GET")) as reply:
            return json.load(reply)

    def provider(self, path, body):
        name = path.removeprefix("/v1/")
        pool, _, provider = name.partition("/providers/")
        policy = self.policy()
        found = policy["identityPools"][pool]["providers"][provider]
        if self.command == "GET":
            found["oidc"].setdefault("allowedAudiences", [])
            found.setdefault("attributeMapping", {"google.subject": "assertion.sub"})
            return {"name": name, "state": "ACTIVE", **found}
        for field, value in json.loads(body).items():
            if isinstance(value, dict) and field == "oidc":
                found["oidc"].update(value)
            elif field != "name":
                found[field] = value
        self.policy(policy)
        return {"name": name + "/operations/done", "done": True, "response": {"name": name, **found}}

    def forward(self, body):
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self.emulator + self.path, body or None, headers, method=self.command)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if "/workloadIdentityPools/" in path and self.headers.get("Authorization", "").startswith("Bearer "):
            status, reply = 200, json.dumps(self.provider(path, body)).encode()
        else:
            status, reply = self.forward(body)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def provider_api(emulator):
    ProviderApi.emulator = emulator
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ProviderApi)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    command, argument = sys.argv[1:]
    if command == "policy":
        print(json.dumps(world(int(argument))[0]))
    elif command == "arguments":
        arguments(int(argument))
    elif command == "next":
        with open(argument) as file:
            next_step(file.read().splitlines())
    else:
        provider_api(argument)
