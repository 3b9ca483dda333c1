"""An API server of Kubernetes, a registry, git repositories and a package index that require a token of one account.

helpers_server.py FOLDER CERTIFICATE KEY ACCOUNT: prints the ports for http and for https. ACCOUNT is a unique id. Each request is a line on standard error, with
the scheme of its credentials and the status. The emulator says whose a token is."""

import base64
import hashlib
import http.server
import io
import json
import os
import ssl
import sys
import threading
import urllib.error
import urllib.request
import zipfile

FOLDER, CERTIFICATE, KEY, ACCOUNT = sys.argv[1:]

VERSION = {"major": "9", "minor": "8", "gitVersion": "v9.8.7-test", "platform": "linux/amd64"}
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE_TYPE = "application/vnd.docker.container.image.v1+json"
IMAGE = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
IMAGE_DIGEST = "sha256:" + hashlib.sha256(IMAGE).hexdigest()
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": MANIFEST_TYPE,
    "config": {"mediaType": IMAGE_TYPE, "size": len(IMAGE), "digest": IMAGE_DIGEST},
    "layers": [],
}
WHEEL = "demo_package-1.0-py3-none-any.whl"


def wheel():
    """Returns a package without a module."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = "demo_package-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: demo-package\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return content.getvalue()


def is_of_account(token):
    url = os.environ["EMULATOR"] + "/tokeninfo?access_token=" + token
    try:
        with urllib.request.urlopen(url) as reply:
            return json.load(reply).get("azp") == ACCOUNT
    except urllib.error.HTTPError:
        return False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        scheme, _, secret = self.headers.get("Authorization", "none").partition(" ")
        if scheme == "Basic":
            user, _, secret = base64.b64decode(secret).decode().partition(":")
            if user != "oauth2accesstoken":
                secret = ""
        if self.takes(scheme) and is_of_account(secret):
            self.answer(scheme)
        else:
            headers = {"WWW-Authenticate": 'Basic realm="helpers"'}
            self.send(scheme, 401, b"no token of the account", headers)

    do_HEAD = do_GET

    def takes(self, scheme):
        return scheme == "Bearer" if self.path.startswith("/version") else scheme in ("Basic", "Bearer")

    def answer(self, scheme):
        path = self.path.split("?")[0]
        if path.startswith("/version"):
            self.send(scheme, 200, json.dumps(VERSION).encode(), {"Content-Type": "application/json"})
        elif path == "/v2/":
            self.send(scheme, 200, b"{}", {"Docker-Distribution-Api-Version": "registry/2.0"})
        elif path.startswith("/v2/shop/app/manifests/"):
            body = json.dumps(MANIFEST).encode()
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            self.send(scheme, 200, body, {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": digest})
        elif path == f"/v2/shop/app/blobs/{IMAGE_DIGEST}":
            self.send(scheme, 200, IMAGE, {"Content-Type": "application/octet-stream"})
        elif path == "/simple/demo-package/":
            self.send(scheme, 200, f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(), {"Content-Type": "text/html"})
        elif path == f"/files/{WHEEL}":
            self.send(scheme, 200, wheel(), {"Content-Type": "application/octet-stream"})
        elif path.startswith("/repository.git/") and os.path.isfile(FOLDER + path):
            with open(FOLDER + path, "rb") as file:
                self.send(scheme, 200, file.read(), {"Content-Type": "text/plain"})
        else:
            self.send(scheme, 404, b"not found", {})

    def send(self, scheme, status, body, headers):
        print(self.command, self.path, scheme, status, file=sys.stderr, flush=True)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
secure = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever, daemon=True).start()
print(plain.server_port, secure.server_port, flush=True)
plain.serve_forever()
