"""google-auth, unmodified, below `iamcreds exec`: acts as the target for longer than a token lives.

The environment names the emulator (EMULATOR), how long to act (SECONDS), and what else to do (MODE).
"""

import asyncio
import os
import sys
import time
import urllib.parse
import urllib.request

TARGET = "target@interop.iam.gserviceaccount.com"
EMULATOR = os.environ["EMULATOR"]
TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"


def act():
    import google.auth
    import google.auth.transport.requests
    from google.auth import compute_engine
    from google.oauth2 import id_token

    scopes = [f"https://www.googleapis.com/auth/{name}" for name in ("cloud-platform", "userinfo.email")]
    credentials, project = google.auth.default(scopes=scopes)
    assert isinstance(credentials, compute_engine.Credentials) and project == "interop", (credentials, project)
    # No second request after a 401: a token that has ended is a failure here.
    session = google.auth.transport.requests.AuthorizedSession(credentials, refresh_status_codes=())
    tokens, requests, end = set(), 0, time.monotonic() + float(os.environ["SECONDS"])
    while time.monotonic() < end:
        reply = session.get(f"{EMULATOR}/oauth2/v3/userinfo", timeout=10)
        assert reply.status_code == 200 and reply.json()["email"] == TARGET, reply.text
        tokens.add(credentials.token)
        requests += 1
        time.sleep(0.25)
    assert credentials.service_account_email == TARGET, credentials.service_account_email
    assert len(tokens) >= 3, "the program outlived its tokens"
    claims = id_token.fetch_id_token(google.auth.transport.requests.Request(), "https://service.example")
    assert claims.startswith("eyJ"), claims
    print(f"python: {requests} requests as the target, {len(tokens)} tokens, an ID token")


async def one_request(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {TOKEN} HTTP/1.1\r\nHost: {host}\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    return reply


async def flood():
    """A thousand requests at the same time, on a connection each."""
    url = urllib.parse.urlsplit(f"http://{os.environ['GCE_METADATA_HOST']}")
    start = time.monotonic()
    replies = await asyncio.gather(*(one_request(url.hostname, url.port) for _ in range(1000)))
    assert all(b"HTTP/1.1 200 " in reply for reply in replies), {reply[:80] for reply in replies}
    assert len({reply.split(b'"access_token":"')[1].split(b'"')[0] for reply in replies}) == 1
    print(f"1000 requests at once: one token, {time.monotonic() - start:.1f} s")


def retry():
    """google-auth survives an outage that ends: see exec.sh."""
    import google.auth
    import google.auth.transport.requests

    credentials, _ = google.auth.default()
    print("ready", flush=True)
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.token.startswith("ya29."), credentials
    print("python: a token after the outage")


{"act": act, "flood": lambda: asyncio.run(flood()), "retry": retry}[sys.argv[1]]()
