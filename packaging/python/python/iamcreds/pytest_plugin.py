"""The fixtures for pytest. The wheel registers them: tests don't import this module."""

import os
import sys
from typing import Any, Iterator, Optional

import pytest

from iamcreds.emulator import Emulator, Policy

OPTION = "iam_emulator_policy"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(OPTION, "the policy file of the fixture iam_emulator, relative to this configuration", default="")


@pytest.fixture(scope="session")
def iam_emulator_policy(pytestconfig: pytest.Config) -> Optional[Policy]:
    """The policy of ``iam_emulator``: override it to return a dictionary or a path."""
    path = pytestconfig.getini(OPTION)
    return os.path.join(pytestconfig.inipath.parent if pytestconfig.inipath else "", path) if path else None


@pytest.fixture(scope="session")
def iam_emulator_process(iam_emulator_policy: Optional[Policy]) -> Iterator[Emulator]:
    """The emulator that all tests of the process use."""
    with Emulator(iam_emulator_policy) as emulator:
        yield emulator


@pytest.fixture
def iam_emulator(iam_emulator_process: Emulator, monkeypatch: Any) -> Emulator:
    """An emulator in the state at its start, with the environment that leads the test's programs to it."""
    iam_emulator_process.reset()
    # The machine's own identities must not reach the test.
    for variable in ["GOOGLE_APPLICATION_CREDENTIALS", "NO_GCE_CHECK", "GOOGLE_CLOUD_UNIVERSE_DOMAIN"]:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in iam_emulator_process.environment().items():
        monkeypatch.setenv(variable, value)
    # google-auth reads these variables only once, when it is imported.
    metadata = sys.modules.get("google.auth.compute_engine._metadata")
    for name, value in [("_GCE_METADATA_HOST", iam_emulator_process.host), ("_NO_GCE_CHECK", False)]:
        if hasattr(metadata, name):
            monkeypatch.setattr(metadata, name, value)
    return iam_emulator_process
