"""Saying which port is taken, and by whom."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from bartizan.policy import Policy
from bartizan.ports import busy, find_holders
from tests.support.ports import free_port

NAME = Path("/proc/self/comm").read_text(encoding="utf-8").strip()


def policy(**listen: Any) -> Policy:
    """Return a policy that listens so."""
    return Policy.model_validate({"listen": listen, "routes": ()})


@pytest.fixture
def ports() -> dict[str, int]:
    return {"https": free_port(), "http": free_port(), "operator": free_port()}


def test_free_ports(ports: dict[str, int]) -> None:
    assert list(busy(policy(**ports))) == []


@pytest.mark.parametrize(
    ("name", "family", "host"),
    [
        ("https", socket.AF_INET, "127.0.0.1"),
        ("http", socket.AF_INET6, "::1"),
        ("operator", socket.AF_INET, "127.0.0.1"),
    ],
)
def test_a_taken_port_is_told_with_its_holder(
    ports: dict[str, int], name: str, family: socket.AddressFamily, host: str
) -> None:
    with socket.create_server((host, ports[name]), family=family):
        (said,) = busy(policy(**ports))
        assert said == (
            f"port {ports[name]} (listen.{name}) is taken by {NAME} (process {os.getpid()});"
            " stop what listens there, or choose another port"
        )
        assert list(busy(policy(**ports), ours=lambda pid: pid == os.getpid())) == []
        assert list(busy(policy(**ports), ours=lambda _: False)) != []
    assert list(busy(policy(**ports))) == []


def test_a_port_taken_on_both_families_is_told_once(ports: dict[str, int]) -> None:
    with socket.create_server(("::", ports["https"]), family=socket.AF_INET6, dualstack_ipv6=True):
        (said,) = busy(policy(**ports))
    assert f"process {os.getpid()}" in said


def test_an_address_of_another_machine(ports: dict[str, int]) -> None:
    said = list(busy(policy(**ports, addresses=("192.0.2.1",))))
    assert said == [
        f"port {ports[name]} (listen.{name}): 192.0.2.1 is no address of this machine;"
        " name its own in listen.addresses"
        for name in ("https", "http")
    ]


def test_nobody_holds_a_free_port() -> None:
    assert find_holders(free_port()) == ()


def test_what_is_started_beside_the_gateway_is_asked_for_too(ports: dict[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (said,) = busy(policy(**ports), also=[port])
        assert said.startswith(f"port {port} is taken by {NAME}")
    assert list(busy(policy(**ports), also=[port])) == []
