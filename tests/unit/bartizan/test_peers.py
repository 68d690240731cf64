import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.peers import unreachable
from bartizan.policy import Policy, load_policy
from tests.support.ports import free_port


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def policy(tmp_path: Path, servers: list[int], jwks: int) -> Policy:
    urls = ", ".join(f"http://127.0.0.1:{port}" for port in servers)
    (tmp_path / "gateway.yaml").write_text(f"""
issuers: {{t: {{issuer: i, jwks: http://127.0.0.1:{jwks}/jwks.json, algorithms: [ES256]}}}}
upstreams: {{app: {{servers: [{urls}]}}}}
defaults: {{body: 1MiB, rate: {{limit: 5/s}}}}
routes: [{{prefix: /, methods: [GET], upstream: app, auth: none}}]
""")
    return load_policy(tmp_path / "gateway.yaml")


def test_all_is_there_as_soon_as_one_server_of_each_upstream_is(tmp_path: Path, listening: int) -> None:
    assert unreachable(policy(tmp_path, [free_port(), listening], listening)) is None


def test_the_upstream_that_is_away_is_named(tmp_path: Path, listening: int) -> None:
    closed = free_port()
    assert unreachable(policy(tmp_path, [closed], listening)) == f"http://127.0.0.1:{closed}"


def test_the_issuer_that_is_away_is_named(tmp_path: Path, listening: int) -> None:
    closed = free_port()
    assert unreachable(policy(tmp_path, [listening], closed)) == f"http://127.0.0.1:{closed}/jwks.json"
