"""The whole house on free ports: token service, example service, and a gateway with the demo policy."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
from ruamel.yaml import YAML

from tests.support.gateway import ROOT, Gateway
from tests.support.ports import free_port
from tests.support.service import Service

READER: Final = "reader"
DEMO: Final = "demo"


class Stack:
    """A running token service, example service and gateway.

    Attributes:
        gateway: the gateway; its URLs, clients and logs.
        tokendealer: the token service.
        upstream: the example service.
        policy: what the gateway was started with.
        secrets: of the clients: `demo` may read and write, `reader` may only read.
    """

    gateway: Gateway
    tokendealer: Service
    upstream: Service

    def __init__(
        self, change: Callable[[dict[str, Any]], None] | None = None, *, algorithm: str = "EdDSA"
    ) -> None:
        """Start all three and wait until a token is taken.

        Args:
            change: edits the policy of gateway.yaml before it is used.
            algorithm: what the token service signs with; EdDSA costs the least.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="bartizan-stack-"))
        self.secrets: dict[str, str] = {}
        self._running = ExitStack()
        self._running.callback(shutil.rmtree, self.folder)
        try:
            self._start(change or (lambda _policy: None), algorithm)
        except BaseException:
            self._running.close()
            raise

    def _start(self, change: Callable[[dict[str, Any]], None], algorithm: str) -> None:
        # Both publish what the others must know of them, so their ports are chosen before anything starts.
        ports = {"https": free_port()}
        issuer = f"https://localhost:{ports['https']}"
        dealing, keeping = self.folder / "tokendealer", self.folder / "upstream"
        command("tokendealer", "init", "--demo", "--algorithm", algorithm, "--state", dealing)
        command("upstream", "init", "--state", keeping)
        self.secrets[DEMO] = json.loads((dealing / "demo-client.json").read_text())["client_secret"]
        added = command(
            *("tokendealer", "clients", "add", READER, "--audience", "data", "--scope", "users:read"),
            *("--json", "--state", dealing),
        )
        self.secrets[READER] = json.loads(added)["client_secret"]
        options = ("--issuer", issuer, "--log", "json", "--port", "0")
        self.tokendealer = self._running.enter_context(
            Service("tokendealer", "serve", "--state", dealing, "--algorithm", algorithm, *options)
        )
        jwks = f"{self.tokendealer.url}/.well-known/jwks.json"
        self.upstream = self._running.enter_context(
            Service("upstream", "serve", "--state", keeping, "--jwks", jwks, *options, ready="key_set_taken")
        )
        self.policy = demo_policy()
        self.policy["listen"] = {}
        self.policy["issuers"]["tokendealer"] |= {"issuer": issuer, "jwks": jwks}
        self.policy["upstreams"]["tokendealer"]["servers"] = [self.tokendealer.url]
        self.policy["upstreams"]["data"]["servers"] = [self.upstream.url]
        change(self.policy)
        self.gateway = self._running.enter_context(Gateway(self.policy, ports=ports))
        self._await_keys()

    def token(self, client: str = DEMO, scope: str | None = None) -> str:
        """Return an access token, straight from the token service: no limit of the gateway is used up."""
        form = {"grant_type": "client_credentials", "audience": "data"} | ({"scope": scope} if scope else {})
        answer = httpx.post(
            f"{self.tokendealer.url}/oauth/token",
            data=form,
            auth=(client, self.secrets[client]),
            trust_env=False,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def client(self, client: str | None = DEMO, **options: Any) -> httpx.Client:
        """Return an HTTP client for the gateway's https listener, with a token unless `client` is None."""
        headers = {"Authorization": f"Bearer {self.token(client)}"} if client else {}
        return self.gateway.client(headers=headers, **options)

    def stop(self) -> None:
        """Stop everything; raise AssertionError on anything unexpected in a log."""
        self._running.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)

    def _await_keys(self) -> None:
        """Wait until the gateway has fetched the token service's keys, which it does in the background."""
        deadline = time.monotonic() + 30
        with self.client() as client:
            while (status := client.get("/api/users").status_code) == 503:
                assert time.monotonic() < deadline, f"no keys at the gateway:\n{self.gateway.stderr()}"
                time.sleep(0.05)
        assert status == 200, f"the gateway answers {status}:\n{self.gateway.stderr()}"


def demo_policy() -> dict[str, Any]:
    """Return the policy of gateway.yaml as plain data."""
    loaded = YAML(typ="safe").load((ROOT / "gateway.yaml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def command(module: str, *arguments: str | Path) -> str:
    """Run a service's command to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{module} {arguments}: {done.stderr}"
    return done.stdout
