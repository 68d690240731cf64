"""The addresses guard in a running gateway: lists in the policy and in files, IPv4 and IPv6, reloads."""

import ipaddress
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.backend import Backend
from tests.support.gateway import Gateway

ENTRIES = 1_000_000
# Every 4,294th IPv4 address, and as many networks of IPv6.
STEP4 = 2**32 // (ENTRIES // 2)
STEP6 = 2**96
BASE6 = int(ipaddress.IPv6Address("2000::"))


def policy(backend: Backend, addresses: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """One open route; the tests speak through 127.0.0.1 as if they were a load balancer."""
    return {
        "trusted_proxies": ["127.0.0.1"],
        "upstreams": {"app": {"servers": [backend.url]}},
        "defaults": {"rate": {"limit": "10000/s", "burst": 10000}},
        "routes": [
            {
                "prefix": "/",
                "methods": ["GET"],
                "upstream": "app",
                "auth": "none",
                "addresses": addresses or "off",
            }
        ],
        **more,
    }


def ask(gateway: Gateway, address: str | None, host: str = "127.0.0.1") -> httpx.Response:
    """Send a request as the balancer does for a client with this address."""
    headers = {} if address is None else {"X-Forwarded-For": address}
    with gateway.client() as client:
        url = httpx.URL(gateway.https).copy_with(host=host)
        return client.get(url, headers=headers)


def statuses(gateway: Gateway, addresses: list[str]) -> dict[str, int]:
    with gateway.client(base_url=httpx.URL(gateway.https).copy_with(host="127.0.0.1")) as client:
        return {
            address: client.get("/", headers={"X-Forwarded-For": address}).status_code
            for address in addresses
        }


def big_list() -> str:
    """A million entries, as they are published: in no order, with comments."""
    lines = ["# a million"]
    for index in reversed(range(ENTRIES // 2)):
        a, b, c, d = (index * STEP4).to_bytes(4)
        lines.append(f"{a}.{b}.{c}.{d}")
        lines.append(f"{0x2000 + (index >> 16):x}:{index & 0xFFFF:x}::/64 ; S{index}")
    return "\n".join(lines) + "\n"


@pytest.mark.timeout(300)
def test_a_million_entries_refuse_theirs_and_pass_all_others(backend: Backend) -> None:
    lists = {"deny_files": ["big.txt"]}
    with Gateway(policy(backend, lists), files={"big.txt": big_list()}) as gateway:
        listed, others = [], []
        for index in (1, 2, 77_777, ENTRIES // 4, ENTRIES // 2 - 2):
            four = ipaddress.IPv4Address(index * STEP4)
            six = ipaddress.IPv6Address(BASE6 + index * STEP6)
            listed += [str(four), f"::ffff:{four}", str(six), str(six + 1), str(six + 2**64 - 1)]
            others += [str(four + 1), str(four - 1), f"::ffff:{four + 1}", str(six + 2**64), str(six - 1)]
        backend.forget()
        assert statuses(gateway, listed) == dict.fromkeys(listed, 403)
        assert backend.requests == []
        assert statuses(gateway, others) == dict.fromkeys(others, 200)
        assert len(backend.requests) == len(others)


@pytest.fixture(scope="module")
def shared(backend: Backend) -> Iterator[Gateway]:
    lists = {
        "allow": ["192.0.2.0/24", "2001:db8::/32"],
        "allow_files": ["partners.txt"],
        "deny": ["192.0.2.66", "2001:db8:bad::/48"],
        "deny_files": ["blocked.txt"],
    }
    files = {
        "partners.txt": "# our partners\n\n198.51.100.0/25 # east\n198.51.100.200\n",
        "blocked.txt": "198.51.100.7 ; abuse\r\n",
    }
    with Gateway(policy(backend, lists), files=files) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("address", "status", "reason"),
    [
        ("192.0.2.1", 200, None),
        ("192.0.2.66", 403, "the address is in the deny list"),
        ("192.0.3.1", 403, "the address is not in the allow list"),
        ("198.51.100.8", 200, None),
        ("198.51.100.200", 200, None),
        ("198.51.100.201", 403, "the address is not in the allow list"),
        ("198.51.100.7", 403, "the address is in the deny list"),
        ("::ffff:198.51.100.8", 200, None),
        ("::ffff:198.51.100.7", 403, "the address is in the deny list"),
        ("2001:db8::1", 200, None),
        ("2001:db8:bad::1", 403, "the address is in the deny list"),
        ("2001:db9::1", 403, "the address is not in the allow list"),
        (None, 403, "the address is not in the allow list"),
    ],
)
def test_inline_lists_and_files_are_one_and_deny_wins(
    shared: Gateway, address: str | None, status: int, reason: str | None
) -> None:
    response = ask(shared, address)
    assert response.status_code == status
    if reason is None:
        return
    problem = response.json()
    assert problem["code"] == "address_denied"
    assert "list" not in response.text  # which of the two it was is for the log
    event = shared.wait_for_audit(lambda event: event["request_id"] == response.headers["X-Request-Id"])
    assert (event["decision"], event["guard"], event["code"]) == ("refused", "addresses", "address_denied")
    assert event["reason"] == reason


def test_the_peer_counts_where_no_proxy_is_trusted(backend: Backend) -> None:
    allowed = policy(backend, {"allow": ["192.0.2.0/24", "::1"]}, trusted_proxies=[])
    with Gateway(allowed) as gateway:
        assert ask(gateway, "192.0.2.1").status_code == 403
        assert ask(gateway, None).status_code == 403
        assert ask(gateway, None, host="::1").status_code == 200
        assert ask(gateway, "192.0.2.1", host="::1").status_code == 200


def test_observe_tells_but_lets_through(backend: Backend) -> None:
    watched = policy(backend, {"deny": ["192.0.2.0/24"], "mode": "observe"})
    with Gateway(watched) as gateway:
        response = ask(gateway, "192.0.2.1")
        assert response.status_code == 200
        event = gateway.wait_for_audit(lambda event: event["guard"] == "addresses")
        assert (event["decision"], event["mode"], event["address"]) == ("observed", "observe", "192.0.2.1")
        gateway.reload(policy(backend, None))
        assert ask(gateway, "192.0.2.1").status_code == 200
        assert len([event for event in gateway.audit() if event["guard"] == "addresses"]) == 1


def test_a_reload_takes_up_a_changed_file_and_refuses_a_broken_one(backend: Backend) -> None:
    with Gateway(
        policy(backend, {"deny_files": ["blocked.txt"]}), files={"blocked.txt": "192.0.2.1\n"}
    ) as gateway:
        blocked = gateway.state / "blocked.txt"
        assert statuses(gateway, ["192.0.2.1", "192.0.2.2"]) == {"192.0.2.1": 403, "192.0.2.2": 200}

        blocked.write_text("192.0.2.2\n")
        assert statuses(gateway, ["192.0.2.1", "192.0.2.2"]) == {"192.0.2.1": 403, "192.0.2.2": 200}
        gateway.reload()
        assert statuses(gateway, ["192.0.2.1", "192.0.2.2"]) == {"192.0.2.1": 200, "192.0.2.2": 403}

        blocked.write_text("192.0.2.2\n192.0.2.3/24\n")
        done = gateway.reload(ok=False)
        assert "blocked.txt, line 2: 192.0.2.3/24 has bits set" in " ".join(done.stderr.split())
        blocked.unlink()
        gateway.reload(ok=False)
        assert statuses(gateway, ["192.0.2.1", "192.0.2.2"]) == {"192.0.2.1": 200, "192.0.2.2": 403}
