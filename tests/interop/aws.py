"""botocore as the independent implementation of AWS's signatures, version 4.

This program plays Google's token service. A program that uses the crate exchanges a signed request here, and
botocore signs the same request at the same instant with the same key. The two signatures must be equal.
"""

import datetime
import http.server
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PROGRAM = sys.argv[1]
CASES = 100
SEED = 4
REGIONS = ["us-east-1", "us-east-2", "eu-central-1", "ap-southeast-4", "us-gov-west-1", "me-south-1"]
# What access keys and session tokens are made of.
KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

exchanged = []


class TokenService(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        exchanged.append({name: values[0] for name, values in form.items()})
        reply = json.dumps({
            "access_token": "federated", "expires_in": 3600, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


def text(source, length):
    return "".join(source.choice(KEY_CHARACTERS) for _ in range(length))


def variables(source):
    """Random credentials: half of them are temporary."""
    chosen = {
        "AWS_REGION": source.choice(REGIONS),
        "AWS_ACCESS_KEY_ID": "AKIA" + text(source, 16).upper().translate(str.maketrans("+/=", "XYZ")),
        "AWS_SECRET_ACCESS_KEY": text(source, source.randint(1, 80)),
    }
    if source.random() < 0.5:
        chosen["AWS_SESSION_TOKEN"] = text(source, source.randint(1, 1500))
    return chosen


def credential_file(source, port):
    number, provider = source.randint(1, 10**12), text(source, 8).translate(str.maketrans("+/=", "--x")).lower()
    host = source.choice(["sts.{region}.amazonaws.com", "sts.amazonaws.com"])
    return {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/p/providers/{provider}",
        "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
        "token_url": f"http://127.0.0.1:{port}/v1/token",
        "credential_source": {
            "environment_id": "aws1",
            "regional_cred_verification_url": f"https://{host}?Action=GetCallerIdentity&Version=2011-06-15",
        },
    }


def signed_by_botocore(request, environment):
    """The header that botocore adds to this request, at the time that its date header says."""
    headers = {header["key"].lower(): header["value"] for header in request["headers"]}
    then = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
    again = AWSRequest(request["method"], request["url"], headers={
        name: headers[name] for name in ["host", "x-goog-cloud-target-resource"]})
    key = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"],
                      environment.get("AWS_SESSION_TOKEN"))
    with mock.patch("botocore.auth.get_current_datetime", return_value=then):
        SigV4Auth(key, "sts", environment["AWS_REGION"]).add_auth(again)
    return headers, again.headers["Authorization"]


def check(source, port, folder):
    file, environment = credential_file(source, port), variables(source)
    path = os.path.join(folder, "aws.json")
    with open(path, "w") as written:
        json.dump(file, written)
    shown = subprocess.run(
        [PROGRAM], env={**os.environ, **environment, "GOOGLE_APPLICATION_CREDENTIALS": path},
        capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    for name in ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]:
        secret = environment.get(name, "")
        assert len(secret) < 8 or secret not in shown.stdout + shown.stderr, f"{name} is shown"
    form = exchanged.pop()
    assert form["audience"] == file["audience"]
    headers, expected = signed_by_botocore(json.loads(urllib.parse.unquote(form["subject_token"])), environment)
    assert headers["authorization"] == expected, (headers, expected)
    assert "x-goog-cloud-target-resource" in expected and headers["x-goog-cloud-target-resource"] == file["audience"]
    assert headers.get("x-amz-security-token") == environment.get("AWS_SESSION_TOKEN")


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), TokenService)
threading.Thread(target=server.serve_forever, daemon=True).start()
randomness = random.Random(SEED)
with tempfile.TemporaryDirectory() as folder:
    for _ in range(CASES):
        check(randomness, server.server_address[1], folder)
print(f"botocore: signs {CASES} random requests as the crate does, with and without a session token")
