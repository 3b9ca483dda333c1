"""The fixture and the class, as their users meet them. The wheel must be installed: tests/interop/wheel.sh does that."""

import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request

import google.auth.transport.requests
import iamcreds
import pytest
from google.auth import exceptions, impersonated_credentials
from google.oauth2 import service_account

BUILDER = "builder@shop.iam.gserviceaccount.com"
DEPLOYER = "deployer@shop.iam.gserviceaccount.com"
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
CREATOR = "roles/iam.serviceAccountTokenCreator"
POLICY = {
    "serviceAccounts": {
        BUILDER: {"grants": [{"members": ["user:alice@example.com"], "role": CREATOR}]},
        DEPLOYER: {"grants": [{"members": [f"serviceAccount:{BUILDER}"], "role": CREATOR}]},
    },
    "metadataServer": {"serviceAccount": BUILDER},
}


@pytest.fixture(scope="session")
def iam_emulator_policy():
    return POLICY


def acting(emulator, target=DEPLOYER):
    source = service_account.Credentials.from_service_account_file(emulator.key_file(BUILDER), scopes=SCOPES)
    return impersonated_credentials.Credentials(
        source, target, SCOPES, iam_endpoint_override=emulator.access_token_url(target))


def refresh(credentials):
    credentials.refresh(google.auth.transport.requests.Request())
    return credentials.token


def test_impersonation_is_recorded(iam_emulator):
    assert refresh(acting(iam_emulator)).startswith("ya29.")
    (call,) = iam_emulator.journal("GenerateAccessToken")
    assert call["principal"] == f"serviceAccount:{BUILDER}"
    assert call["request"]["name"].endswith(DEPLOYER)


def test_each_test_starts_anew(iam_emulator):
    assert iam_emulator.journal() == []


def test_a_missing_grant_is_named(iam_emulator):
    with pytest.raises(exceptions.RefreshError, match="iam.serviceAccounts.getAccessToken"):
        refresh(acting(iam_emulator, BUILDER))


def test_a_fault_ends_after_its_times(iam_emulator):
    credentials = acting(iam_emulator)
    iam_emulator.inject_fault(effect="status", code="PERMISSION_DENIED", method="GenerateAccessToken", times=1)
    with pytest.raises(exceptions.RefreshError, match="a fault of the emulator"):
        refresh(credentials)
    assert refresh(credentials)
    iam_emulator.inject_fault(effect="hang")
    iam_emulator.clear_faults()
    assert refresh(credentials)


def test_the_clock_ends_tokens(iam_emulator):
    address = f"{iam_emulator.url}/oauth2/v3/tokeninfo?" + urllib.parse.urlencode({"access_token": refresh(acting(iam_emulator))})
    assert int(json.load(urllib.request.urlopen(address))["expires_in"]) > 3000
    iam_emulator.advance_clock(3601.5)
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(address)


def test_a_program_finds_it_as_its_metadata_server(iam_emulator):
    program = ("import google.auth, google.auth.transport.requests as r; c, _ = google.auth.default(); "
               "c.refresh(r.Request()); print(c.service_account_email)")
    output = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert output.decode().strip() == BUILDER


def test_this_process_finds_it_too(iam_emulator):
    import google.auth

    credentials, _ = google.auth.default(scopes=SCOPES)
    assert refresh(credentials).startswith("ya29.")
    assert credentials.service_account_email == BUILDER


def test_a_file_impersonates_from_a_login(iam_emulator):
    path = iam_emulator.impersonated_file(iam_emulator.login_file("alice@example.com"), DEPLOYER, [BUILDER])
    document = json.loads(open(path, encoding="utf-8").read())
    assert document["type"] == "impersonated_service_account"
    assert document["delegates"] == [BUILDER]


def test_another_policy_lasts_until_the_next_test(iam_emulator):
    iam_emulator.set_policy(None)
    assert refresh(acting(iam_emulator, BUILDER))


def test_which_was_the_one_before(iam_emulator):
    with pytest.raises(exceptions.RefreshError):
        refresh(acting(iam_emulator, BUILDER))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b@c", "", "x" * 5000, "ü@\u202e", "%2e%2e/%2e%2e"])
def test_no_name_leads_out_of_the_folder(iam_emulator, name):
    with pytest.raises(iamcreds.EmulatorError):
        iam_emulator.key_file(name)


def test_a_mistake_in_a_policy_is_the_emulators_own_text(tmp_path):
    mistake = {"tokens": [{"token": "t", "principal": "alice"}]}
    with pytest.raises(iamcreds.EmulatorError, match=r"tokens\[0\].*user:alice@example.com"):
        iamcreds.Emulator(mistake).start()
    path = tmp_path / "größe 名.json"
    path.write_text("{", "utf-8")
    with pytest.raises(iamcreds.EmulatorError, match="größe 名.json"):
        iamcreds.Emulator(path).start()
    path.write_text(json.dumps(POLICY), "utf-8")
    with iamcreds.Emulator(path) as emulator:
        with pytest.raises(iamcreds.EmulatorError, match="invalid policy"):
            emulator.set_policy(mistake)
        with pytest.raises(iamcreds.EmulatorError, match="a duration"):
            emulator.inject_fault(effect="delay", delay="soon")


def test_no_proxy_is_asked(monkeypatch):
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]:
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    with iamcreds.Emulator(POLICY) as emulator:
        for variable, value in emulator.environment().items():
            monkeypatch.setenv(variable, value)
        assert refresh(acting(emulator))


def test_tls_is_trusted_by_its_authority(monkeypatch):
    with iamcreds.Emulator(POLICY, tls=True) as emulator:
        assert emulator.url.startswith("https://")
        with pytest.raises(exceptions.TransportError, match="certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
            refresh(acting(emulator))
        for variable, value in emulator.environment().items():
            monkeypatch.setenv(variable, value)
        assert refresh(acting(emulator))


def test_its_end_is_noticed_and_leaves_nothing():
    emulator = iamcreds.Emulator()
    with pytest.raises(iamcreds.EmulatorError, match="isn't running"):
        emulator.journal()
    emulator.start()
    with pytest.raises(iamcreds.EmulatorError, match="running already"):
        emulator.start()
    folder = os.path.dirname(emulator.ca_file)
    emulator._process.kill()
    with pytest.raises(iamcreds.EmulatorError, match="doesn't answer"):
        emulator.journal()
    emulator.stop()
    emulator.stop()
    assert not os.path.exists(folder)
    with emulator:
        assert emulator.journal() == []


def test_a_program_that_is_missing_or_of_another_machine_says_what_to_do(monkeypatch, tmp_path):
    broken = tmp_path / "iamcreds"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    monkeypatch.setattr("iamcreds.emulator.find_program", lambda: str(broken))
    with pytest.raises(iamcreds.EmulatorError, match="(?s)can't be run.*cargo install gcp-iam-credentials --features cli"):
        iamcreds.Emulator().start()
    broken.write_text("#!/bin/sh\necho \"version 'GLIBC_2.34' not found\" >&2; exit 1\n")
    with pytest.raises(iamcreds.EmulatorError, match="(?s)GLIBC_2.34.*cargo install"):
        iamcreds.Emulator().start()
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="(?s)isn't installed.*pip install"):
        iamcreds.find_program()
