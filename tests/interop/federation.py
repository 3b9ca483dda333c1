"""google-auth's federation, unmodified, against the emulator: faults of platforms, AWS's variables, people of a
workforce pool, and downscoped tokens. python.py gets a token from each platform.

google-auth writes down the name of Google's STS for downscoping, so name resolution here leads it to the emulator.
"""

import json
import os
import socket
import tempfile
import urllib.parse
import urllib.request

import google.auth
import google.auth.transport.requests
from google.auth import downscoped, exceptions, external_account_authorized_user

ENDPOINT = os.environ["EMULATOR"]
ADDRESS = urllib.parse.urlsplit(ENDPOINT)
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TARGET = "federated@interop.iam.gserviceaccount.com"
REQUEST = google.auth.transport.requests.Request()


def lead_sts_here():
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **more):
        if host == "sts.googleapis.com":
            host, port = ADDRESS.hostname, ADDRESS.port
        return resolve(host, port, *rest, **more)

    socket.getaddrinfo = getaddrinfo


def page(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ENDPOINT}{path}", data=data)) as reply:
        return reply.read().decode()


def control(path, body=None):
    return json.loads(page(f"/emulator/{path}", body))


def default(file):
    """The credentials of a file, as application default credentials find them."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as written:
        json.dump(file, written)
        written.flush()
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = written.name
        return google.auth.default(scopes=[SCOPE])[0]


def check_default_credentials():
    """A federated token, and one of the account that it impersonates, for as long as the file says."""
    federated = default(control("fixtures/external_account/job"))
    federated.refresh(REQUEST)
    query = urllib.parse.urlencode({"target": TARGET, "lifetime": "600s"})
    acting = default(control(f"fixtures/external_account/job?{query}"))
    acting.refresh(REQUEST)
    info = json.loads(page(f"/tokeninfo?access_token={acting.token}"))
    assert 500 < int(info["expires_in"]) <= 600, info
    print("google-auth: default credentials of a federated file, with and without an impersonation")


def check_faults():
    """A library reads the subject token again at each refresh, so it recovers when a fault ends."""
    for account, effect in [
        ("job", "staleToken"), ("job", "wrongAudience"), ("job", "rotatedKey"), ("job", "issuerUnreachable"),
        ("worker", "expiredCredentials"), ("worker", "wrongSecret"), ("worker", "wrongTargetResource"),
        ("worker", "sessionTokenRefused"),
    ]:
        acting = default(control(f"fixtures/external_account/{account}?target={TARGET}"))
        control("faults", {"effect": effect, "account": account, "times": 1})
        try:
            acting.refresh(REQUEST)
            raise AssertionError(f"{effect} must be refused")
        except exceptions.GoogleAuthError as error:
            assert effect == "sessionTokenRefused" or "invalid_grant" in str(error), error
        acting.refresh(REQUEST)
        assert acting.valid, effect
    print("google-auth: each fault of a platform is refused once, and the next refresh succeeds")


def check_aws_environment():
    variables = dict(line.split("=", 1) for line in page("/emulator/external_accounts/worker/environment").splitlines())
    os.environ.update(variables)
    file = control(f"fixtures/external_account/worker?target={TARGET}")
    for url in ["url", "region_url", "imdsv2_session_token_url"]:
        del file["credential_source"][url]
    acting = default(file)
    acting.refresh(REQUEST)
    assert acting.valid
    for name in variables:
        del os.environ[name]
    print("google-auth: AWS's credentials in the environment")


def check_person():
    """A person who signed in: tokens by refresh token, introspection, and the end by revocation."""
    file = control("fixtures/external_account_authorized_user/ada")
    person = external_account_authorized_user.Credentials.from_info(file)
    person.refresh(REQUEST)
    about = json.loads(REQUEST(
        url=person.token_info_url, method="POST", body=urllib.parse.urlencode({"token": person.token}).encode()).data)
    assert about["active"] and about["username"].endswith("/subject/ada@example.com"), about
    reply = REQUEST(
        url=person.revoke_url, method="POST", body=urllib.parse.urlencode({"token": person.refresh_token}).encode())
    assert reply.status == 200, reply.data
    try:
        person.refresh(REQUEST)
        raise AssertionError("a revoked refresh token must be refused")
    except exceptions.OAuthError as error:
        assert "invalid_grant" in str(error), error
    print("google-auth: a person of a workforce pool, introspected and revoked")


def check_downscoping():
    source = default(control(f"fixtures/external_account/job?target={TARGET}"))
    rule = downscoped.AccessBoundaryRule(
        available_resource="//storage.googleapis.com/projects/_/buckets/b",
        available_permissions=["inRole:roles/storage.objectViewer"])
    narrow = downscoped.Credentials(source, downscoped.CredentialAccessBoundary([rule]))
    narrow.refresh(REQUEST)
    assert narrow.token != source.token and narrow.expiry == source.expiry
    print("google-auth: a downscoped token, which expires with its source")


# Without a project, google-auth asks Resource Manager for the one of the pool.
os.environ["GOOGLE_CLOUD_PROJECT"] = "interop"
lead_sts_here()
check_default_credentials()
check_faults()
check_aws_environment()
check_person()
check_downscoping()
