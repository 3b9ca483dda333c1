"""Google's own Python packages, unmodified, against the emulator.

google-auth writes down Google's host names. So name resolution here leads them to the emulator, over TLS:
its certificate is good for them. The packages stay as they are. The environment names the emulator and its
certificate authority (EMULATOR, EMULATOR_CA, REQUESTS_CA_BUNDLE, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH) and leads
to its metadata server (GCE_METADATA_HOST, GCE_METADATA_IP).
"""

import base64
import json
import os
import socket
import ssl
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import google.auth
import google.auth.crypt
import google.auth.transport.requests
import requests
from google.api_core import exceptions
from google.auth import compute_engine, iam, impersonated_credentials, jwt
from google.auth.compute_engine import _metadata
from google.cloud import iam_credentials_v1, storage
from google.cloud.iam_credentials_v1.services.iam_credentials import transports
from google.oauth2 import credentials as user_credentials
from google.oauth2 import id_token, service_account
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2

ENDPOINT = os.environ["EMULATOR"]
ADDRESS = urllib.parse.urlsplit(ENDPOINT)
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
EMAIL_SCOPE = "https://www.googleapis.com/auth/userinfo.email"
AUDIENCE = "https://service.example"


def email(name):
    return f"{name}@interop.iam.gserviceaccount.com"


def path(name):
    return f"projects/-/serviceAccounts/{email(name)}"


def lead_google_here():
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **more):
        if str(host).endswith((".googleapis.com", "accounts.google.com")):
            host, port = ADDRESS.hostname, ADDRESS.port
        return resolve(host, port, *rest, **more)

    socket.getaddrinfo = getaddrinfo


def control(page, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{ENDPOINT}/emulator/{page}", data=data)) as reply:
        return json.load(reply)


def journal(method):
    return control(f"journal?method={method}")["entries"]


def certificates(request, account):
    url = f"https://www.googleapis.com/service_accounts/v1/metadata/x509/{email(account)}"
    reply = request(url=url, method="GET")
    assert reply.status == 200, reply.data
    return json.loads(reply.data)


def check_calls(client, request, kind):
    """All four calls through one delegate, with signatures verified."""
    delegates = [path("middle")]
    name = path("target")
    token = client.generate_access_token(name=name, delegates=delegates, scope=[SCOPE], lifetime={"seconds": 600})
    assert token.access_token.startswith("ya29."), token
    assert token.expire_time.timestamp() > 0

    token = client.generate_id_token(name=name, delegates=delegates, audience=AUDIENCE, include_email=True)
    claims = id_token.verify_token(token.token, request, audience=AUDIENCE)
    assert claims["iss"] == "https://accounts.google.com", claims
    assert claims["email"] == email("target") and claims["email_verified"] is True, claims

    pems = certificates(request, "target")
    blob = client.sign_blob(name=name, delegates=delegates, payload=b"payload")
    assert google.auth.crypt.verify_signature(b"payload", blob.signed_blob, pems[blob.key_id])
    assert not google.auth.crypt.verify_signature(b"other", blob.signed_blob, pems[blob.key_id])

    signed = client.sign_jwt(name=name, delegates=delegates, payload=json.dumps({"sub": "ünique"}))
    header = jwt.decode_header(signed.signed_jwt)
    assert header["kid"] == signed.key_id and header["alg"] == "RS256", header
    part = signed.signed_jwt.rsplit(".", 1)
    signature = base64.urlsafe_b64decode(part[1] + "==")
    assert google.auth.crypt.verify_signature(part[0].encode(), signature, pems[signed.key_id])
    print(f"{kind}: four calls, signatures verified")


def details(error, kind):
    """The details of one kind, as messages: gRPC gives those, REST gives their JSON."""
    found = []
    for detail in error.details:
        if isinstance(detail, dict):
            packed = json_format.ParseDict(detail, any_pb2.Any())
            detail = kind()
            if not packed.Unpack(detail):
                continue
        if isinstance(detail, kind):
            found.append(detail)
    assert found, error.details
    return found


def check_errors(client, kind):
    """Error details as Google's own decoders read them."""
    try:
        client.sign_blob(name=path("locked"), payload=b"x", retry=None)
        raise AssertionError("locked must not sign")
    except exceptions.Forbidden as error:
        assert error.reason == "IAM_PERMISSION_DENIED", error
        assert error.domain == "iam.googleapis.com", error
        assert error.metadata == {"permission": "iam.serviceAccounts.signBlob"}, error
        assert details(error, error_details_pb2.ErrorInfo)[0].reason == "IAM_PERMISSION_DENIED"

    fault = {"effect": "status", "code": "UNAVAILABLE", "message": "later", "retryDelay": "1.500s",
             "method": "SignBlob", "times": 1}
    control("faults", fault)
    try:
        client.sign_blob(name=path("target"), delegates=[path("middle")], payload=b"x", retry=None)
        raise AssertionError("a fault must strike")
    except exceptions.ServiceUnavailable as error:
        assert details(error, error_details_pb2.RetryInfo)[0].retry_delay.ToMilliseconds() == 1500

    control("faults", fault | {"times": 2})
    assert client.sign_blob(name=path("target"), delegates=[path("middle")], payload=b"x").key_id
    try:
        client.generate_access_token(name=path("target"), scope=[], retry=None)
        raise AssertionError("no scope must be refused")
    except exceptions.BadRequest:
        pass
    print(f"{kind}: ErrorInfo and RetryInfo read, a retry succeeds")


def check_google_auth(key, request):
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    acting = impersonated_credentials.Credentials(
        source, email("target"), [SCOPE], delegates=[path("middle")], lifetime=600)
    acting.refresh(request)
    assert acting.valid and acting.token.startswith("ya29."), acting

    signature = acting.sign_bytes(b"payload")
    pems = certificates(request, "target")
    assert any(google.auth.crypt.verify_signature(b"payload", signature, pem) for pem in pems.values())

    id_credentials = impersonated_credentials.IDTokenCredentials(
        acting, target_audience=AUDIENCE, include_email=True)
    id_credentials.refresh(request)
    claims = id_token.verify_oauth2_token(id_credentials.token, request, audience=AUDIENCE)
    assert claims["email"] == email("target"), claims

    user = impersonated_credentials.Credentials(
        source, email("target"), [SCOPE], delegates=[path("middle")], subject="user@corp.example")
    user.refresh(request)
    assert user.token.startswith("ya29."), "domain-wide delegation"

    refused = impersonated_credentials.Credentials(source, email("locked"), [SCOPE])
    try:
        refused.refresh(request)
        raise AssertionError("locked must be refused")
    except google.auth.exceptions.RefreshError as error:
        assert "IAM_PERMISSION_DENIED" in str(error), error
    print("google-auth: impersonation with delegates, ID tokens, sign_bytes, subject")


def check_files(key, request):
    alice = control("fixtures/authorized_user/alice@example.com")
    for source, delegates in ((key, [path("middle")]), (alice, [email("middle")])):
        file = control("fixtures/impersonated_service_account",
                       {"source": source, "target": email("target"), "delegates": delegates})
        with tempfile.NamedTemporaryFile("w", suffix=".json") as out:
            json.dump(file, out)
            out.flush()
            acting, _ = google.auth.load_credentials_from_file(out.name, scopes=[SCOPE])
            acting.refresh(request)
            assert acting.valid and acting.service_account_email == email("target"), acting
    user = user_credentials.Credentials.from_authorized_user_info(alice)
    user.refresh(request)
    assert user.valid and user.id_token, user
    print("google-auth: impersonated and authorized-user files")


def check_external_accounts(request):
    """Credential files of workload identity federation, from each platform to an impersonated token."""
    os.environ["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "1"
    sources = {"job": ["url", "file", "githubActions", "azure", "executable"], "worker": ["aws", "awsImdsV1"]}
    with tempfile.TemporaryDirectory() as folder:
        token_file = os.path.join(folder, "token")
        with urllib.request.urlopen(f"{ENDPOINT}/emulator/external_accounts/job/token") as reply:
            with open(token_file, "wb") as out:
                out.write(reply.read())
        for account, kinds in sources.items():
            for kind in kinds:
                query = {"source": kind, "target": email("federated")} | ({"path": token_file} if kind == "file" else {})
                file = control(f"fixtures/external_account/{account}?{urllib.parse.urlencode(query)}")
                acting, _ = google.auth.load_credentials_from_dict(file, scopes=[SCOPE])
                acting.refresh(request)
                assert acting.valid and acting.service_account_email == email("federated"), (kind, acting)
                info = requests.get(f"{ENDPOINT}/tokeninfo", params={"access_token": acting.token}, timeout=10).json()
                assert info["scope"] == SCOPE, (kind, info)
    control("faults", {"effect": "staleToken", "account": "job", "times": 1})
    try:
        stale, _ = google.auth.load_credentials_from_dict(control("fixtures/external_account/job"), scopes=[SCOPE])
        stale.refresh(request)
        raise AssertionError("a stale token must be refused")
    except google.auth.exceptions.OAuthError as error:
        assert "invalid_grant" in str(error), error
    print("google-auth: external accounts by url, file, GitHub Actions, Azure, executable, AWS (both versions)")


def check_strict_certificates():
    """Since Python 3.13, certificates are verified strictly by default."""
    strict = bool(ssl.create_default_context().verify_flags & ssl.VERIFY_X509_STRICT)
    assert strict or sys.version_info < (3, 13)
    for host in ("iamcredentials.googleapis.com", "sts.googleapis.com", "accounts.google.com"):
        assert requests.get(f"https://{host}/healthz", timeout=10).status_code == 200
    version = ".".join(map(str, sys.version_info[:2]))
    print(f"python {version}: Google's hosts over TLS, {'strict' if strict else 'lenient'} verification")


def check_metadata_server(request):
    """Finds the metadata server as `default()` does: it pings the address, then reads."""
    machine, project = google.auth.default(scopes=[SCOPE])
    assert isinstance(machine, compute_engine.Credentials) and project == "interop", (machine, project)
    info = _metadata.get_service_account_info(request)
    assert info["email"] == email("source"), info
    machine.refresh(request)
    assert machine.token.startswith("ya29.") and machine.service_account_email == email("source"), machine
    assert _metadata.get(request, "instance/attributes/", recursive=True) == {"cluster-name": "blue"}
    assert _metadata.get(request, "instance/id") == "7000000000000000001"

    params = {"audience": AUDIENCE, "format": "full", "licenses": "TRUE"}
    token = _metadata.get(request, "instance/service-accounts/default/identity", params=params)
    claims = id_token.verify_oauth2_token(token, request, audience=AUDIENCE)
    expected = {"project_id": "interop", "zone": "europe-west1-b", "instance_id": "7000000000000000001",
                "instance_name": "interop-1", "license_id": ["1000204"]}
    assert expected.items() <= claims["google"]["compute_engine"].items(), claims
    assert id_token.verify_oauth2_token(id_token.fetch_id_token(request, AUDIENCE), request, audience=AUDIENCE)
    print("google-auth: default() finds the metadata server; tokens, attributes, ID tokens with the machine")


def check_one_process(request):
    """The metadata server over http and signing over https, for the same account."""
    machine = compute_engine.Credentials()
    machine.refresh(request)
    signer = iam.Signer(request, machine, machine.service_account_email)
    signature = signer.sign(b"payload")
    pems = certificates(request, "source")
    assert any(google.auth.crypt.verify_signature(b"payload", signature, pem) for pem in pems.values())
    print("google-auth: metadata over http and signBlob over https, in one process")


def check_signed_urls(key, request):
    """Signed URLs of impersonated credentials, whose signature comes from the API."""
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    acting = impersonated_credentials.Credentials(source, email("target"), [SCOPE], delegates=[path("middle")])
    bucket = storage.Client(project="interop", credentials=acting).bucket("bucket")
    before = len(journal("SignBlob"))
    url = bucket.blob("object").generate_signed_url(version="v4", expiration=600, credentials=acting)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert query["X-Goog-Credential"].startswith(email("target")), query
    assert len(bytes.fromhex(query["X-Goog-Signature"])) == 256, query
    assert len(journal("SignBlob")) == before + 1
    print("google-cloud-storage: a signed URL of impersonated credentials")


def check_token_pages(key, request):
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE, EMAIL_SCOPE])
    source.refresh(request)
    bearer = {"Authorization": f"Bearer {source.token}"}
    host = "https://www.googleapis.com/oauth2"
    info = requests.get(f"{host}/v2/tokeninfo", params={"access_token": source.token}, timeout=10).json()
    names = {"issued_to", "audience", "user_id", "scope", "expires_in", "email", "verified_email", "access_type"}
    assert info.keys() == names and info["email"] == email("source"), info
    for page, id_name in (("v1", "id"), ("v3", "sub")):
        user = requests.get(f"{host}/{page}/userinfo", headers=bearer, timeout=10).json()
        assert user["email"] == email("source") and user[id_name] == info["user_id"], user
    discovery = requests.get("https://accounts.google.com/.well-known/openid-configuration", timeout=10).json()
    assert discovery["issuer"] == "https://accounts.google.com", discovery

    revoke = "https://oauth2.googleapis.com/revoke"
    assert requests.post(revoke, data={"token": source.token}, timeout=10).status_code == 200
    assert requests.get(f"{host}/v3/userinfo", headers=bearer, timeout=10).status_code == 401
    url = f"https://iamcredentials.googleapis.com/v1/{path('middle')}:signBlob"
    refused = requests.post(url, headers=bearer, json={"payload": ""}, timeout=10)
    challenge = refused.headers["WWW-Authenticate"]
    assert refused.status_code == 401 and 'error="invalid_token"' in challenge, challenge
    print("requests: tokeninfo, userinfo, discovery; a revoked token is refused with a challenge")


def check_locations(key, request):
    """google-auth asks where credentials may be used, if its variable is set, and sends the answer along."""
    variable = "GOOGLE_SDK_EXPERIMENTAL_PYTHON_REGIONAL_ACCESS_BOUNDARY_LOOKUP_ENABLED"
    os.environ[variable] = "true"
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    source.before_request(request, "GET", "https://storage.googleapis.com/", {})
    for _ in range(100):
        if entries := [entry for entry in journal("AllowedLocations") if entry["outcome"]]:
            break
        time.sleep(0.05)
    assert entries[0]["outcome"]["code"] == "OK", entries
    # This crate sends the same: tests/impersonation/regional_access_boundary.rs.
    headers = {}
    for _ in range(100):
        source.apply(headers)
        if "x-allowed-locations" in headers:
            break
        time.sleep(0.05)
    del os.environ[variable]
    assert headers["x-allowed-locations"] == "0x0", headers.keys()
    print("google-auth: allowedLocations")


def rest_client(source):
    return iam_credentials_v1.IAMCredentialsClient(transport=transports.IAMCredentialsRestTransport(
        host=ADDRESS.netloc, url_scheme="http", credentials=source))


def grpc_client(source):
    """The default transport: gRPC over TLS. Its credentials sign JWTs themselves."""
    options = {"api_endpoint": f"localhost:{ADDRESS.port}"}
    return iam_credentials_v1.IAMCredentialsClient(credentials=source, client_options=options)


def main():
    lead_google_here()
    request = google.auth.transport.requests.Request()
    check_strict_certificates()

    key = control(f"fixtures/service_account/{email('source')}")
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    client, kind = rest_client(source), "google-cloud-iam over REST"
    check_calls(client, request, kind)
    check_errors(client, kind)
    tokens = len(journal("Token"))
    client, kind = grpc_client(source), "google-cloud-iam over gRPC, self-signed JWTs"
    check_calls(client, request, kind)
    check_errors(client, kind)
    assert len(journal("Token")) == tokens, "a JWT of the account is its bearer token"
    protocols = {entry["protocol"] for entry in journal("SignBlob")}
    assert protocols == {"rest", "grpc"}, protocols

    override = f"{ENDPOINT}/v1/{path('middle')}:generateAccessToken"
    acting = impersonated_credentials.Credentials(source, email("middle"), [SCOPE], iam_endpoint_override=override)
    acting.refresh(request)
    assert acting.valid and acting.token.startswith("ya29."), acting

    check_google_auth(key, request)
    check_files(key, request)
    check_metadata_server(request)
    check_one_process(request)
    check_signed_urls(key, request)
    check_external_accounts(request)
    check_token_pages(key, request)
    check_locations(key, request)


main()
