"""An emulator as a child process, and the control of it."""

import json
import os
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from iamcreds.program import find_program, missing

#: How long the emulator may take to start, to stop, or to answer a control page, in seconds.
PATIENCE = 30

#: A policy: a document, or the path of a file that contains one.
Policy = Union[Mapping[str, Any], str, "os.PathLike[str]"]


class EmulatorError(RuntimeError):
    """The emulator can't be started, or it refuses what it was asked. The text is the emulator's own."""


class Emulator:
    """An emulator of the API, on a free port of this machine.

    It runs from :meth:`start` to :meth:`stop`, or as long as the ``with`` block. It also ends with this process, however that
    ends.

    :param policy: who may act as whom: a dictionary, or the path of a file. Without one, every token has all permissions.
    :param tls: whether :attr:`url` and credential files have ``https``. Clients must then trust :attr:`ca_file`.
    """

    def __init__(self, policy: Optional[Policy] = None, *, tls: bool = False) -> None:
        self._policy = policy
        self._tls = tls
        self._process: Optional["subprocess.Popen[bytes]"] = None
        self._folder: Optional["tempfile.TemporaryDirectory[str]"] = None
        self._files = 0
        #: The URL that clients call: ``http://127.0.0.1:PORT``.
        self.url = ""
        #: The host and the port: ``127.0.0.1:PORT``.
        self.host = ""
        #: The path of the certificate that clients over TLS must trust, in PEM.
        self.ca_file = ""

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> "Emulator":
        """Starts the emulator, and returns it.

        :raises FileNotFoundError: if the program isn't installed.
        :raises EmulatorError: if it doesn't start, for example because of a mistake in the policy.
        """
        if self._process is not None:
            raise EmulatorError("the emulator is running already")
        self._folder = tempfile.TemporaryDirectory(prefix="iamcreds-")
        try:
            self._run(find_program())
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops the emulator, and removes its files. Does nothing if it isn't running."""
        process, folder = self._process, self._folder
        self._process = self._folder = None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if folder is not None:
            folder.cleanup()

    def environment(self) -> Dict[str, str]:
        """Returns the variables that lead clients to the emulator.

        They name it as the metadata server of Google's libraries, and as the API of programs in Rust. They keep gcloud's logins
        of the machine out, and proxies away from it. With ``tls``, clients trust only the emulator's authority.
        """
        empty = self._path("gcloud")
        os.makedirs(empty, exist_ok=True)
        local = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1,localhost"]))
        variables = {
            "GCE_METADATA_HOST": self.host,
            "GCE_METADATA_IP": self.host,
            "GCE_METADATA_ROOT": self.host,
            "IAM_CREDENTIALS_EMULATOR_HOST": self.url if self._tls else self.host,
            "CLOUDSDK_CONFIG": empty,
            "NO_PROXY": local,
            "no_proxy": local,
        }
        if self._tls:
            trusting = ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS"]
            variables.update(dict.fromkeys(trusting, self.ca_file))
        return variables

    def access_token_url(self, account: str) -> str:
        """Returns the URL for ``iam_endpoint_override`` of google-auth's impersonated credentials."""
        return f"{self.url}/v1/projects/-/serviceAccounts/{_quoted(account)}:generateAccessToken"

    def key_file(self, account: str) -> str:
        """Writes a key file of a service account, and returns its path."""
        return self._write("key", self._get(f"/fixtures/service_account/{_quoted(account)}"))

    def login_file(self, user: str) -> str:
        """Writes the file of a user's login, as gcloud makes it, and returns its path."""
        return self._write("login", self._get(f"/fixtures/authorized_user/{_quoted(user)}"))

    def impersonated_file(
        self, source: Union[str, "os.PathLike[str]"], target: str, delegates: Sequence[str] = ()
    ) -> str:
        """Writes a credential file that impersonates ``target``, and returns its path.

        :param source: the path of another credential file, such as that of :meth:`key_file`.
        """
        body = {"source": json.loads(Path(source).read_text("utf-8")), "target": target, "delegates": list(delegates)}
        return self._write("impersonated", self._send("POST", "/fixtures/impersonated_service_account", body))

    def journal(self, method: Optional[str] = None) -> List[Dict[str, Any]]:
        """Returns the requests that arrived, the oldest first: all of them, or those of one method, such as ``SignBlob``."""
        query = "?" + urllib.parse.urlencode({"method": method}) if method else ""
        entries: List[Dict[str, Any]] = self._get("/journal" + query)["entries"]
        return entries

    def inject_fault(self, **fault: Any) -> int:
        """Makes requests fail, and returns the number of the fault.

        The fields are those of the emulator's page about faults: ``inject_fault(effect="status", code="UNAVAILABLE", times=1)``.
        """
        number: int = self._send("POST", "/faults", fault)["id"]
        return number

    def clear_faults(self) -> None:
        """Ends all faults."""
        self._send("DELETE", "/faults")

    def advance_clock(self, seconds: float) -> None:
        """Moves the emulator's time forward, so that tokens expire."""
        self._send("POST", "/clock", {"advance": f"{seconds:.9f}s"})

    def set_policy(self, policy: Optional[Policy]) -> None:
        """Puts another policy into force, or none."""
        self._send("PUT", "/policy", _document(policy))

    def reset(self) -> None:
        """Restores the state at the start: policy, clock, faults, journal and tokens. Keys stay."""
        self._send("POST", "/reset")

    def _run(self, program: str) -> None:
        self.ca_file = self._path("ca.pem")
        command = [program, "emulator", "--listen", "127.0.0.1:0", "--ca-out", self.ca_file, "--until-stdin-ends"]
        if self._tls:
            command.append("--tls")
        if self._policy is not None:
            command += ["--policy", self._write("policy", _document(self._policy))]
        with open(self._path("errors"), "wb") as errors:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
                )
            except OSError as error:
                raise EmulatorError(missing(f"can't be run: {error}")) from error
        line = self._first_line()
        address = line.partition("listening on ")[2].strip()
        if not address:
            errors = self._errors() or f"{program} says {line!r} instead of its address"
            # The system's loader can't run it.
            raise EmulatorError(missing(f"can't be run: {errors}") if "GLIBC_" in errors else errors)
        self.url, self.host = address, address.partition("://")[2]

    def _first_line(self) -> str:
        """Returns the first line of the output, which is empty if the program ends or takes too long."""
        assert self._process is not None and self._process.stdout is not None
        stdout, lines = self._process.stdout, []
        reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(PATIENCE)
        if not lines:
            self._process.kill()
            reader.join()
        return lines[0].decode("utf-8", "replace")

    def _errors(self) -> str:
        return Path(self._path("errors")).read_text("utf-8", "replace").strip()

    def _path(self, name: str) -> str:
        if self._folder is None:
            raise EmulatorError("the emulator isn't running: call start(), or use it in a `with` block")
        return os.path.join(self._folder.name, name)

    def _write(self, kind: str, document: Any) -> str:
        # A name of its own: the account's could contain anything.
        self._files += 1
        path = self._path(f"{kind}-{self._files}.json")
        Path(path).write_text(json.dumps(document), "utf-8")
        return path

    def _get(self, page: str) -> Any:
        return self._send("GET", page)

    def _send(self, method: str, page: str, body: Any = ...) -> Any:
        """Sends a request to a control page, and returns its reply."""
        self._path("")
        # Its port also serves plaintext if credential files have https. No proxy knows the way.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        data = None if body is ... else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.host}/emulator{page}", data, method=method)
        try:
            with opener.open(request, timeout=PATIENCE) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise EmulatorError(_message(error.read())) from None
        except OSError as error:
            errors = self._errors()
            raise EmulatorError(f"the emulator at {self.url} doesn't answer: {error}\n{errors}".strip()) from error


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="@")


def _document(policy: Optional[Policy]) -> Any:
    """Returns a policy as a document. If it is a file that isn't JSON, the error names it."""
    if policy is None or isinstance(policy, Mapping):
        return policy
    path = Path(policy)
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise EmulatorError(f"{path}: {error}") from None


def _message(reply: bytes) -> str:
    text = reply.decode("utf-8", "replace")
    try:
        message: str = json.loads(text)["error"]["message"]
        return message
    except (ValueError, KeyError, TypeError):
        return text
