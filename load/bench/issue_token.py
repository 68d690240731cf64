"""Tokens a second of one worker: the token service with EdDSA and RS512 beside the book's code, in one run.

    python load/bench/issue_token.py [--seconds 3] [--rounds 3]

Each service is one process on a free port of the loopback, with a state folder of its own in a temporary
place. wrk drives them in turn, several rounds, so that a machine that gets slower or faster meanwhile does so
for all three. The run fails if an answer is not 200, if a sampled token does not verify, or if a ratio is
less than what is required. Beside it stands the processor time of the worker for one token, which says more
on a machine that is busy with something else.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import httpx
import jwt
import psutil
from cryptography.hazmat.primitives import serialization
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.book_tokendealer import SECRETS  # noqa: E402  found through the line above

REQUIRED = {"EdDSA": 50.0, "RS512": 30.0}
CONNECTIONS = 8
START_SECONDS = 30


@dataclass(slots=True)
class Contender:
    """A running service and what it has done so far."""

    name: str
    url: str
    form: dict[str, str]
    worker: psutil.Process
    tokens: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    rounds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Tokens a second over all rounds."""
        return self.tokens / self.seconds

    @property
    def cost(self) -> float:
        """Processor seconds of a token."""
        return self.processor / self.tokens

    def processor_now(self) -> float:
        """Processor seconds that the worker has used since it was started."""
        times = self.worker.cpu_times()
        return float(times.user + times.system)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def process(command: list[str], log: Path) -> Iterator[psutil.Process]:
    """Run a command until the context ends."""
    with log.open("wb") as output:
        running = psutil.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(10)


def run_tokendealer(*arguments: str) -> str:
    """Run the command once and return what it prints."""
    command = [sys.executable, "-m", "tokendealer", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603  our own
    return done.stdout


def start_ours(stack: ExitStack, folder: Path, algorithm: str) -> Contender:
    """Start the token service for an algorithm, with a client that has the demo's scopes."""
    state = str(folder / algorithm)
    run_tokendealer("init", "--state", state, "--algorithm", algorithm)
    added = run_tokendealer(
        *("clients", "add", "bench", "--state", state, "--json"),
        *("--scope", "users:read", "--scope", "users:write", "--audience", "data"),
    )
    port = free_port()
    command = [sys.executable, "-m", "tokendealer", "serve", "--state", state]
    command += ["--algorithm", algorithm, "--port", str(port), "--log", "json"]
    worker = stack.enter_context(process(command, folder / f"{algorithm}.log"))
    form = {
        "grant_type": "client_credentials",
        "audience": "data",
        "scope": "users:read",
        **json.loads(added),
    }
    return wait_for(Contender(algorithm, f"http://127.0.0.1:{port}", form, worker))


def start_book(stack: ExitStack, folder: Path) -> Contender:
    """Start the book's service with the RSA key that ours signs with, too."""
    (private,) = (folder / "RS512" / "keys").glob("*.pem")
    parsed = serialization.load_pem_private_key(private.read_bytes(), None)
    public = folder / "public.pem"
    public.write_bytes(
        parsed.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    port = free_port()
    command = [sys.executable, "-m", "tests.support.book_tokendealer", "--port", str(port)]
    command += ["--private-key", str(private), "--public-key", str(public)]
    worker = stack.enter_context(process(command, folder / "book.log"))
    secret = SECRETS["bench"]
    form = {
        "grant_type": "client_credentials",
        "audience": "data",
        "client_id": "bench",
        "client_secret": secret,
    }
    return wait_for(Contender("book", f"http://127.0.0.1:{port}", form, worker))


def wait_for(contender: Contender) -> Contender:
    """Wait until a service answers, and look at one token of it: a bad one is quickly made."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answer = httpx.post(f"{contender.url}/oauth/token", data=contender.form)
            break
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    answer.raise_for_status()
    token = answer.json()["access_token"]
    if contender.name != "book":
        keys = jwt.PyJWKSet.from_dict(httpx.get(f"{contender.url}/.well-known/jwks.json").json())
        claims = jwt.decode(token, keys.keys[0], algorithms=[contender.name], audience="data")
        assert claims["client_id"] == "bench", claims
    return contender


def drive(contender: Contender, seconds: int, script: Path) -> None:
    """Let wrk ask for tokens on keep-alive connections as fast as they come."""
    script.write_text(
        'wrk.method = "POST"\n'
        f'wrk.body = "{urlencode(contender.form)}"\n'
        'wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"\n'
    )
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script)]
    before = contender.processor_now()
    command.append(f"{contender.url}/oauth/token")
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  our own words
    found = re.search(r"(\d+) requests in ([\d.]+)s", done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(f"{contender.name}: not every request got a token:\n{done.stdout}")
    contender.processor += contender.processor_now() - before
    tokens, took = int(found[1]), float(found[2])
    contender.tokens += tokens
    contender.seconds += took
    contender.rounds.append(tokens / took)


def report(contenders: list[Contender]) -> bool:
    """Print the table.

    Returns:
        Whether every ratio is what it has to be.
    """
    book = next(contender for contender in contenders if contender.name == "book")
    good = True
    table = Table("service", "tokens/s", "ratio", "required", "cpu", "ratio", "by round")
    for contender in contenders:
        ratio = contender.rate / book.rate
        required = REQUIRED.get(contender.name)
        good = good and (required is None or ratio >= required)
        table.add_row(
            contender.name,
            f"{contender.rate:.1f}",
            f"{ratio:.1f}",
            "" if required is None else f"{required:.0f}",
            f"{contender.cost * 1e6:.0f} us",
            f"{book.cost / contender.cost:.1f}",
            " ".join(f"{rate:.1f}" for rate in contender.rounds),
        )
    Console().print(table)
    return good


def main() -> int:
    """Compare."""
    parser = argparse.ArgumentParser(description="Compare the tokens a second with the book's code.")
    parser.add_argument("--seconds", type=int, default=3, help="how long each service is driven in a round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: run make setup")
    with tempfile.TemporaryDirectory(prefix="bartizan-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        ours = [start_ours(stack, folder, algorithm) for algorithm in REQUIRED]
        contenders = [*ours, start_book(stack, folder)]
        for _ in range(arguments.rounds):
            for contender in contenders:
                drive(contender, arguments.seconds, folder / "post.lua")
    if report(contenders):
        return 0
    Console(stderr=True).print("A ratio is less than required.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
