"""Google's own Python packages, unmodified, against the emulator.

Usage: python.py PLAINTEXT_ENDPOINT TLS_ENDPOINT CA_FILE

google-auth writes down Google's host names. So the second emulator speaks TLS with a certificate
that is good for them, and name resolution here leads them to it; the packages stay as they are.
"""

import base64
import importlib
import json
import os
import socket
import ssl
import sys
import tempfile
import urllib.parse
import urllib.request

import google.auth
import google.auth.crypt
import google.auth.transport.grpc
import google.auth.transport.requests
import grpc
from google.api_core import exceptions
from google.auth import compute_engine, impersonated_credentials, jwt
from google.auth.compute_engine import _metadata
from google.cloud import iam_credentials_v1
from google.cloud.iam_credentials_v1.services.iam_credentials import transports
from google.oauth2 import credentials as user_credentials
from google.oauth2 import id_token, service_account
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2

PLAIN, TLS, CA = sys.argv[1:]
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GOOGLE_HOSTS = {
    "iamcredentials.googleapis.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
}


def email(name):
    return f"{name}@interop.iam.gserviceaccount.com"


def path(name):
    return f"projects/-/serviceAccounts/{email(name)}"


def lead_google_here():
    os.environ["REQUESTS_CA_BUNDLE"] = CA
    address = urllib.parse.urlsplit(TLS)
    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **more):
        if host in GOOGLE_HOSTS:
            host, port = address.hostname, address.port
        return resolve(host, port, *rest, **more)

    socket.getaddrinfo = getaddrinfo


def control(endpoint, page, body=None):
    request = urllib.request.Request(
        f"{PLAIN if endpoint == 'plain' else TLS}/emulator/{page}",
        data=None if body is None else json.dumps(body).encode(),
    )
    context = ssl.create_default_context(cafile=CA) if endpoint == "tls" else None
    with urllib.request.urlopen(request, context=context) as reply:
        return json.load(reply)


def certificates(request, endpoint, page):
    reply = request(url=f"{PLAIN if endpoint == 'plain' else TLS}{page}", method="GET")
    assert reply.status == 200, reply.data
    return json.loads(reply.data)


def check_calls(client, request, endpoint, kind):
    """All four calls through one delegate, with signatures verified."""
    delegates = [path("middle")]
    name = path("target")
    token = client.generate_access_token(name=name, delegates=delegates, scope=[SCOPE], lifetime={"seconds": 600})
    assert token.access_token.startswith("ya29."), token
    assert token.expire_time.timestamp() > 0

    token = client.generate_id_token(name=name, delegates=delegates, audience="https://service.example", include_email=True)
    claims = id_token.verify_token(
        token.token, request, audience="https://service.example",
        certs_url=f"{PLAIN if endpoint == 'plain' else TLS}/oauth2/v1/certs")
    assert claims["iss"] == "https://accounts.google.com", claims
    assert claims["email"] == email("target") and claims["email_verified"] is True, claims

    pems = lambda: certificates(request, endpoint, f"/service_accounts/v1/metadata/x509/{email('target')}")
    blob = client.sign_blob(name=name, delegates=delegates, payload=b"payload")
    assert google.auth.crypt.verify_signature(b"payload", blob.signed_blob, pems()[blob.key_id])
    assert not google.auth.crypt.verify_signature(b"other", blob.signed_blob, pems()[blob.key_id])

    signed = client.sign_jwt(name=name, delegates=delegates, payload=json.dumps({"sub": "ünique"}))
    header = jwt.decode_header(signed.signed_jwt)
    assert header["kid"] == signed.key_id and header["alg"] == "RS256", header
    part = signed.signed_jwt.rsplit(".", 1)
    signature = base64.urlsafe_b64decode(part[1] + "==")
    assert google.auth.crypt.verify_signature(part[0].encode(), signature, pems()[signed.key_id])
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


def check_errors(client, endpoint, kind):
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
    control(endpoint, "faults", fault)
    try:
        client.sign_blob(name=path("target"), delegates=[path("middle")], payload=b"x", retry=None)
        raise AssertionError("a fault must strike")
    except exceptions.ServiceUnavailable as error:
        assert details(error, error_details_pb2.RetryInfo)[0].retry_delay.ToMilliseconds() == 1500

    control(endpoint, "faults", fault | {"times": 2})
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
    pems = certificates(request, "tls", f"/service_accounts/v1/metadata/x509/{email('target')}")
    assert any(google.auth.crypt.verify_signature(b"payload", signature, pem) for pem in pems.values())

    id_credentials = impersonated_credentials.IDTokenCredentials(
        acting, target_audience="https://service.example", include_email=True)
    id_credentials.refresh(request)
    claims = id_token.verify_oauth2_token(id_credentials.token, request, audience="https://service.example")
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
    alice = control("tls", "fixtures/authorized_user/alice@example.com")
    for source, delegates in ((key, [path("middle")]), (alice, [email("middle")])):
        file = control("tls", "fixtures/impersonated_service_account",
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


def check_metadata_server(request):
    os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = urllib.parse.urlsplit(PLAIN).netloc
    # It reads the environment once, and has been read by then.
    importlib.reload(_metadata)
    assert _metadata.ping(request)
    assert _metadata.get_project_id(request) == "interop"
    info = _metadata.get_service_account_info(request)
    assert info["email"] == email("source"), info
    machine = compute_engine.Credentials()
    machine.refresh(request)
    assert machine.token.startswith("ya29.") and machine.service_account_email == email("source"), machine
    print("google-auth: metadata server")


def main():
    lead_google_here()
    request = google.auth.transport.requests.Request()

    plain_key = control("plain", f"fixtures/service_account/{email('source')}")
    source = service_account.Credentials.from_service_account_info(plain_key, scopes=[SCOPE])
    rest = iam_credentials_v1.IAMCredentialsClient(transport=transports.IAMCredentialsRestTransport(
        host=urllib.parse.urlsplit(PLAIN).netloc, url_scheme="http", credentials=source))
    check_calls(rest, request, "plain", "google-cloud-iam over REST")
    check_errors(rest, "plain", "google-cloud-iam over REST")

    override = f"{PLAIN}/v1/{path('middle')}:generateAccessToken"
    acting = impersonated_credentials.Credentials(source, email("middle"), [SCOPE], iam_endpoint_override=override)
    acting.refresh(request)
    assert acting.valid and acting.token.startswith("ya29."), acting

    key = control("tls", f"fixtures/service_account/{email('source')}")
    source = service_account.Credentials.from_service_account_info(key, scopes=[SCOPE])
    with open(CA, "rb") as ca:
        ssl_credentials = grpc.ssl_channel_credentials(ca.read())
    channel = google.auth.transport.grpc.secure_authorized_channel(
        source, request, urllib.parse.urlsplit(TLS).netloc, ssl_credentials=ssl_credentials)
    client = iam_credentials_v1.IAMCredentialsClient(
        transport=transports.IAMCredentialsGrpcTransport(channel=channel))
    check_calls(client, request, "tls", "google-cloud-iam over gRPC")
    check_errors(client, "tls", "google-cloud-iam over gRPC")
    journal = control("tls", "journal?method=SignBlob")["entries"]
    assert {"grpc"} == {entry["protocol"] for entry in journal}, journal

    check_google_auth(key, request)
    check_files(key, request)
    check_metadata_server(request)


main()
