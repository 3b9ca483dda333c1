"""Signed URLs of `iamcreds sign-url`, compared with those of google-cloud-storage.

Both sign the same requests at the same instant as the same account, whose key is the emulator's: the program over
gRPC, the library through the API's REST routes. So the URLs must be the same, with their signatures, and so must
the texts that were signed. The program is given as the argument.

Left out is what Python signs and the program refuses, because HTTP clients would change such URLs (`..` in a name),
and parameters of which one's name is the start of the other's: Python sorts them with their values, against the
specification.
"""

import base64
import json
import os
import random
import subprocess
import sys
import urllib.parse
import urllib.request

import google.auth.credentials
import google.auth.transport.requests
from google.cloud import storage
from google.cloud.storage import _signing
from google.oauth2 import service_account

ENDPOINT = os.environ["EMULATOR"]
PROGRAM = sys.argv[1]
TARGET = "target@interop.iam.gserviceaccount.com"
MIDDLE = "middle@interop.iam.gserviceaccount.com"
SOURCE = "source@interop.iam.gserviceaccount.com"
WEEK = 7 * 24 * 3600

OBJECTS = [
    "object", "a/b/c.txt", "/leading", "trailing/", "a//b", "with space", "ünïcode/名前/🦀.txt", "a+b", "100%", "%2F",
    "?query#fragment", "a&b=c", "semi;colon,comma", "'single' \"double\"", "(paren)[bracket]{brace}", "tilde~-_.end",
    "back\\slash", "pipe|caret^tick`", "colon:at@", "*!$", "tab\there", "\x01\x7f", "...", ".hidden", "e\u0301", "a" * 1024,
    "\u202eright", "<script>", "=", "日" * 341,
]
HEADERS = [
    {}, {"Content-Type": "text/plain"}, {"X-Goog-Meta-A": "  one   two\t three "}, {"x-goog-resumable": "start"},
    {"x-goog-acl": "private", "Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, {"z": "1", "A": "2", "m-n": "3"},
    {"X-Goog-Content-SHA256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"x-goog-content-length-range": "0,1024"}, {"x-empty": ""}, {"X-Colons": "a:b:c", "a-b": "~", "a.b": "!", "a_b": "*"},
]
QUERIES = [
    {}, {"prefix": "/föö bar"}, {"acl": ""}, {"response-content-disposition": 'attachment; filename="ü.pdf"'},
    {"generation": "1700000000000000", "userProject": "billed"}, {"Zeta": "1", "alpha": "2", "X-Goog-Meta": "3"},
    {"aA0é/%-_.~": "~ ._-%=/é0Aa"}, {"uploads": "", "x-goog-custom": "a&b=c#d?e+f"},
]
PLACES = [
    ("path", None), ("path", "http://localhost:4443"), ("path", "https://storage.example.com"),
    ("path", "https://127.0.0.1:8443"), ("path", "http://[::1]:4443"), ("virtual", None),
    ("virtual", "https://storage.example.com:8443"), ("bound", "https://cdn.example.com"),
    ("bound", "http://files.example.com:8080"),
]
LIFETIMES = [1, 59, 600, 3600, 86400, WEEK]
METHODS = ["GET", "PUT", "DELETE", "HEAD", "POST"]
BUCKETS = ["bucket", "my-bucket-1", "with.dots.example", "under_score"]


def requests():
    """Each value of each input at least once, in random company."""
    chosen = random.Random(1)
    columns = {"object": OBJECTS + [None], "headers": HEADERS, "query": QUERIES, "place": PLACES, "lifetime": LIFETIMES,
               "method": METHODS, "bucket": BUCKETS}
    for column, values in columns.items():
        for value in values * (4 if len(values) < 20 else 1):
            request = {name: chosen.choice(others) for name, others in columns.items()} | {column: value}
            if request["place"][0] == "virtual" and not request["bucket"].replace("-", "").isalnum():
                request["bucket"] = "bucket"
            yield request


class Target(google.auth.credentials.Signing):
    """Signs as the target, with its key at the emulator, and keeps the text."""

    signer = None
    signer_email = TARGET

    def __init__(self, token):
        self.token = token
        self.signed = None

    def sign_bytes(self, message):
        self.signed = message.decode()
        body = {"payload": base64.b64encode(message).decode(), "delegates": [f"projects/-/serviceAccounts/{MIDDLE}"]}
        url = f"{ENDPOINT}/v1/projects/-/serviceAccounts/{TARGET}:signBlob"
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as reply:
            return base64.b64decode(json.load(reply)["signedBlob"])


def source_token():
    with urllib.request.urlopen(f"{ENDPOINT}/emulator/fixtures/service_account/{SOURCE}") as reply:
        key = json.load(reply)
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    source = service_account.Credentials.from_service_account_info(key, scopes=scopes)
    source.refresh(google.auth.transport.requests.Request())
    return source.token


def by_program(request, token):
    place = f"gs://{request['bucket']}" + (f"/{request['object']}" if request["object"] else "")
    kind, host = request["place"]
    arguments = ["sign-url", place, "--target", TARGET, "--via", MIDDLE, "--endpoint", ENDPOINT, "--format", "json"]
    arguments += ["--method", request["method"], "--lifetime", f"{request['lifetime']}s"]
    for name, value in request["headers"].items():
        arguments += ["--header", f"{name}: {value}"]
    for name, value in request["query"].items():
        arguments += ["--query", f"{name}={value}"]
    if kind == "virtual":
        arguments.append("--virtual-hosted")
    if host:
        arguments += ["--bucket-bound-host" if kind == "bound" else "--storage-endpoint", host]
    environment = {"IAMCREDS_SOURCE_TOKEN": token, "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    run = subprocess.run([PROGRAM, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, (request, run.stderr)
    return json.loads(run.stdout)


def by_library(request, date, target):
    """The URL of the library at the instant of the program's."""
    _signing.get_v4_now_dtstamps = lambda: (date, date[:8])
    client = storage.Client(project="interop", credentials=google.auth.credentials.AnonymousCredentials())
    bucket = client.bucket(request["bucket"])
    kind, host = request["place"]
    place = {"virtual_hosted_style": kind == "virtual"}
    place |= {"bucket_bound_hostname" if kind == "bound" else "api_access_endpoint": host}
    signs = bucket.blob(request["object"]) if request["object"] else bucket
    return signs.generate_signed_url(
        version="v4", expiration=request["lifetime"], method=request["method"], credentials=target,
        headers=dict(request["headers"]), query_parameters=dict(request["query"]), **place)


def main():
    token = source_token()
    target = Target(token)
    count = 0
    for request in requests():
        shown = by_program(request, token)
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(shown["url"]).query, keep_blank_values=True)
        url = by_library(request, query["X-Goog-Date"][0], target)
        assert shown["string_to_sign"] == target.signed, (request, shown, target.signed)
        assert shown["url"] == url, (request, shown["url"], url)
        count += 1
    assert count >= 100, count
    print(f"google-cloud-storage: {count} signed URLs are the same as those of iamcreds sign-url")


main()
