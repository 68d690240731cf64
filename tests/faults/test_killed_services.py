"""kill -9 of the services behind the gateway, under load: what the gateway answers, and what is lost."""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bartizan.layout import work_folder
from tests.faults.bounds import Bounds
from tests.faults.figures import Figures
from tests.support.gateway import wait_for
from tests.support.service import Service
from tests.support.stack import DEMO, Stack, command
from tests.support.traffic import Request, Traffic
from tests.support.wire import port_of

CLIENTS = 16
RUN = "killed"
USERS = "/api/users?limit=1"


def roomy(policy: dict[str, Any]) -> None:
    """Let everything through that the limits would refuse, by two workers."""
    policy["workers"] = 2
    policy["defaults"] |= {"rate": {"limit": "100000/s", "burst": 100_000}, "concurrency": {"limit": 10_000}}
    for route in policy["routes"]:
        route.pop("rate", None)


class Pair:
    """A second server for the data service's upstream."""

    def __init__(self, running: ExitStack, folder: Path) -> None:
        self._running = running
        self._folder = folder

    def change(self, policy: dict[str, Any]) -> None:
        """Start it, and put it into the policy."""
        roomy(policy)
        issuer = policy["issuers"]["tokendealer"]
        command("upstream", "init", "--state", self._folder)
        options = ("--issuer", issuer["issuer"], "--jwks", issuer["jwks"], "--log", "json", "--port", "0")
        self.second = self._running.enter_context(
            Service("upstream", "serve", "--state", self._folder, *options, ready="key_set_taken")
        )
        policy["upstreams"]["data"]["servers"].append(self.second.url)
        policy["upstreams"]["data"]["fail_timeout"] = "1s"


@dataclass
class House:
    """Everything that runs: the data service has two servers."""

    stack: Stack
    servers: list[Service]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as started:
        pair = Pair(started, tmp_path_factory.mktemp("second"))
        stack = started.enter_context(Stack(pair.change))
        stack.gateway.expect_error(r"connect\(\) failed|upstream prematurely closed|no live upstreams")
        stack.gateway.expect_error(r"reset by peer|no new key set")
        servers = [stack.upstream, pair.second]
        for server in servers:
            server.expect_event("key_set_not_taken")
        yield House(stack, servers)


@pytest.fixture
def house(running: House) -> Iterator[House]:
    """Everything, and all of it runs; whatever a test killed is started again."""
    yield running
    for service in (running.stack.tokendealer, *running.servers):
        if service.process.poll() is not None:
            service.restart()


@pytest.fixture
def stack(house: House) -> Stack:
    return house.stack


def bring_back(server: Service) -> None:
    """Start a server again, and wait until the gateway uses it."""
    known = len(server.events)
    server.restart()

    def serves() -> bool:
        return any(event["event"] == "request" and event["status"] < 300 for event in server.events[known:])

    wait_for(serves)


def reading(*tokens: str) -> Request:
    """Return what makes a GET with one token after the other."""
    head = f"GET {USERS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    return lambda number: f"{head}{tokens[number % len(tokens)]}\r\n\r\n".encode()


def adding(token: str) -> Request:
    """Return what makes a POST of a user of its own."""

    def make(number: int) -> bytes:
        body = json.dumps({"name": "Mary Jackson", "email": f"{number}@{RUN}.example.org"})
        head = f"Host: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        return f"POST /api/users HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    return make


def traffic(stack: Stack, request: Request) -> Traffic:
    """Return traffic to the https listener."""
    gateway = stack.gateway
    return Traffic(port_of(gateway), request, connections=CLIENTS, rest=0.02, tls=gateway.context())


def statuses(stack: Stack, tokens: list[str]) -> list[int]:
    """Return what reading with each token is answered."""
    with stack.gateway.client() as client:
        return [
            client.get(USERS, headers={"Authorization": f"Bearer {token}"}).status_code for token in tokens
        ]


def ask_for_a_token(stack: Stack) -> httpx.Response:
    """Ask for a token through the gateway."""
    form = {"grant_type": "client_credentials", "audience": "data"}
    with stack.gateway.client() as client:
        return client.post("/oauth/token", data=form, auth=(DEMO, stack.secrets[DEMO]))


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    """Check that an answer is the gateway's own, in the one form that those have."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_the_token_service(stack: Stack, bounds: Bounds, figures: Figures) -> None:
    """Expected: known keys serve on. Tokens are taken, those that no worker has seen too; nothing is lost.

    Asking for a token is 502 as long as the service is away, and answered as soon as it is back.
    """
    known = [stack.token() for _ in range(3)]
    with traffic(stack, reading(*known)) as load:
        for _ in range(bounds.service_kills):
            load.await_answers(5 * CLIENTS)
            unseen = [stack.token() for _ in range(8)]
            stack.tokendealer.kill()
            load.await_answers(5 * CLIENTS)
            assert statuses(stack, unseen) == [200] * len(unseen)
            assert_problem(ask_for_a_token(stack), 502, "upstream_unavailable")
            stack.tokendealer.restart()
            issued = ask_for_a_token(stack)
            assert issued.status_code == 200, issued.text
            assert statuses(stack, [issued.json()["access_token"]]) == [200]
    figures |= {"killed": bounds.service_kills, **load.tally.figures()}
    assert load.tally.losses == []
    assert set(load.tally.statuses) == {200}


def restart_gateway(stack: Stack) -> None:
    """Stop the gateway and start it again."""
    stack.gateway.process.terminate()
    assert stack.gateway.process.wait(30) == 0
    stack.gateway.restart()


def test_a_gateway_that_starts_while_the_token_service_is_away(stack: Stack, figures: Figures) -> None:
    """Expected: keys on disk serve on, across the restart.

    Without any the answer is 503 with Retry-After, never 401, until the service is back: then tokens are
    taken without another start.
    """
    gateway, token = stack.gateway, stack.token()
    stack.tokendealer.kill()
    restart_gateway(stack)
    assert statuses(stack, [token]) == [200]
    gateway.expect_error("no new key set")
    gateway.process.terminate()
    assert gateway.process.wait(30) == 0
    shutil.rmtree(work_folder(gateway.state) / "keys")
    gateway.restart()
    with traffic(stack, reading(token)) as load:
        load.await_answers(5 * CLIENTS)
        with gateway.client(headers={"Authorization": f"Bearer {token}"}) as client:
            answer = client.get(USERS)
            assert_problem(answer, 503, "keys_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
            assert set(load.tally.statuses) == {503}
            stack.tokendealer.restart()
            wait_for(lambda: client.get(USERS).status_code == 200, 60)
        wait_for(lambda: load.tally.statuses[200] > CLIENTS)
    figures |= load.tally.figures()
    assert load.tally.losses == []
    assert set(load.tally.statuses) == {200, 503}


def test_all_servers(house: House, bounds: Bounds, figures: Figures) -> None:
    """Expected: 502 as a problem, on connections that stay; served again as soon as the service is back.

    Lost are at most the answers that had begun when their server was killed: one a client. (A server that has
    just started answers 503 by itself until it knows the keys.)
    """
    token = house.stack.token()
    with traffic(house.stack, reading(token)) as load:
        for _ in range(bounds.service_kills):
            load.await_answers(5 * CLIENTS)
            for server in house.servers:
                server.kill()
            load.await_answers(5 * CLIENTS)
            with house.stack.gateway.client(headers={"Authorization": f"Bearer {token}"}) as client:
                assert_problem(client.get(USERS), 502, "upstream_unavailable")
            for server in house.servers:
                bring_back(server)
    figures |= {"killed": bounds.service_kills * 2, **load.tally.figures()}
    assert {200, 502} <= set(load.tally.statuses) <= {200, 502, 503}
    assert {loss.kind for loss in load.tally.losses} <= {"cut"}
    assert len(load.tally.losses) <= bounds.service_kills * CLIENTS


def emails(url: str, token: str) -> set[str]:
    """Return the addresses of all users of a server."""
    found: set[str] = set()
    path = "/api/users?limit=100"
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=30
    ) as client:
        while path:
            page = client.get(path).json()
            found |= {user["email"] for user in page["users"]}
            path = page.get("next")
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_of_two_servers(house: House, bounds: Bounds, figures: Figures, method: str) -> None:
    """Expected: what may be done twice is tried once more on the other server, so that none is lost.

    A POST is not: 502 for those in flight, which a client may find done or not done; none is done twice, and
    what was answered is done. Lost are at most the answers that had begun.
    """
    token = house.stack.token()
    with traffic(house.stack, reading(token) if method == "GET" else adding(token)) as load:
        for number in range(bounds.service_kills):
            load.await_answers(5 * CLIENTS)
            victim = house.servers[number % 2]
            victim.kill()
            load.await_answers(5 * CLIENTS)
            bring_back(victim)
    figures |= {"killed": bounds.service_kills, **load.tally.figures()}
    assert {loss.kind for loss in load.tally.losses} <= {"cut"}
    assert len(load.tally.losses) <= bounds.service_kills * CLIENTS
    if method == "GET":
        # 503 is the service's own, see above.
        assert set(load.tally.statuses) <= {200, 503}
        return
    assert set(load.tally.statuses) <= {201, 502, 503}
    assert load.tally.statuses[502] <= bounds.service_kills * CLIENTS
    first, second = (emails(server.url, token) for server in house.servers)
    made = {email for email in first | second if email.endswith(f"@{RUN}.example.org")}
    figures["made"] = len(made)
    assert not first & second & made, "done twice"
    assert load.tally.statuses[201] <= len(made) <= load.tally.statuses[201] + load.tally.statuses[502]
