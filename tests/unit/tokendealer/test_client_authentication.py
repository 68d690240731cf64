"""Client authentication (RFC 6749 section 2.3)."""

from __future__ import annotations

import base64
import hmac
from contextlib import suppress
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokendealer.client_secrets import SecretHasher
from tokendealer.clients import Client
from tokendealer.rfc6749 import client_authentication
from tokendealer.rfc6749.client_authentication import (
    Credentials,
    authenticate_client,
    loggable,
    read_credentials,
    secret_in_query,
)
from tokendealer.rfc6749.errors import OAuthError, PublicError
from tokendealer.rfc6749.form import Form

HASHER = SecretHasher(bytes(32))


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


@given(client_id=st.text(min_size=1), secret=st.text(min_size=1))
def test_basic_carries_any_text(client_id: str, secret: str) -> None:
    """Section 2.3.1: colons, plus signs, percent signs and all of Unicode."""
    credentials = read_credentials([basic(client_id, secret)], Form({}))
    assert credentials == Credentials(client_id, secret, "client_secret_basic")


def test_basic_of_a_client_that_does_not_encode() -> None:
    """What needs no encoding is the same without it, and a colon in the secret is not the first one."""
    header = "Basic " + base64.b64encode(b"reader:a-b_c.d~e:f").decode()
    assert read_credentials([header], Form({})).client_secret == "a-b_c.d~e:f"


@given(st.text() | st.binary().map(lambda data: "Basic " + base64.b64encode(data).decode()))
def test_any_header_is_read_or_refused(header: str) -> None:
    credentials = None
    with suppress(OAuthError):
        credentials = read_credentials([header], Form({}))
    assert credentials is None or (credentials.client_id and credentials.client_secret)


def client(client_id: str = "reader", *secrets: str, disabled: bool = False) -> Client:
    digests = tuple(HASHER.digest(client_id, secret) for secret in secrets)
    return Client(client_id, ("users:read",), ("data",), digests, disabled)


class Counting:
    """Counts what an attempt costs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []

        def compare(one: bytes, other: bytes) -> bool:
            self.calls.append(f"compare {len(one)} {len(other)}")
            return hmac.compare_digest(one, other)

        monkeypatch.setattr(client_authentication, "compare_digest", compare)
        digest = SecretHasher.digest

        def counted(hasher: SecretHasher, client_id: str, secret: str) -> bytes:
            self.calls.append("digest")
            return digest(hasher, client_id, secret)

        monkeypatch.setattr(SecretHasher, "digest", counted)


ATTEMPTS = {
    "right": (client("reader", "right"), "right", None),
    "wrong": (client("reader", "right"), "wrong", "wrong secret"),
    "unknown": (None, "right", "unknown client"),
    "disabled": (client("reader", "right", disabled=True), "right", "disabled client"),
    "disabled and wrong": (client("reader", "right", disabled=True), "wrong", "wrong secret"),
    "without a secret": (client("reader"), "right", "wrong secret"),
}


@pytest.mark.parametrize(("known", "secret", "reason"), ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_every_attempt_costs_the_same(
    monkeypatch: pytest.MonkeyPatch, known: Client | None, secret: str, reason: str | None
) -> None:
    """Section 5.2 has one answer for all; the same steps keep the time from telling them apart."""
    counting = Counting(monkeypatch)
    clients = {known.client_id: known} if known is not None else {}
    credentials = Credentials("reader", secret, "client_secret_post")
    if reason is None:
        assert authenticate_client(credentials, clients, HASHER) is known
    else:
        with pytest.raises(OAuthError) as refused:
            authenticate_client(credentials, clients, HASHER)
        assert refused.value.public is PublicError.INVALID_CLIENT
        assert refused.value.reason == reason
        assert refused.value.client_id == "reader"
    assert counting.calls == ["digest", "compare 32 32"]


def test_each_of_several_secrets_is_good() -> None:
    clients = {"reader": client("reader", "one", "two")}
    for secret in ("one", "two"):
        assert authenticate_client(Credentials("reader", secret, ""), clients, HASHER)
    with pytest.raises(OAuthError):
        authenticate_client(Credentials("reader", "three", ""), clients, HASHER)


def test_a_secret_is_good_for_its_own_client_only() -> None:
    """A hash that is copied to another client's row does not let the one in as the other."""
    digest = HASHER.digest("reader", "right")
    clients = {"writer": Client("writer", (), ("data",), (digest,), disabled=False)}
    with pytest.raises(OAuthError):
        authenticate_client(Credentials("writer", "right", ""), clients, HASHER)


@pytest.mark.parametrize("name", ["reader", "a", "odd:client@example", "x" * 100])
def test_a_possible_name_may_be_logged(name: str) -> None:
    assert loggable(name) == name


@pytest.mark.parametrize("name", [None, "", "x" * 101, "a b", "a\n", "\x1b[0m", "-a", "ä", 'a"'])
def test_other_text_may_not(name: str | None) -> None:
    assert loggable(name) is None


FOUND = {
    b"client_secret=x": "client_secret",
    b"client_secret": "client_secret",
    b"a=b&client%5fsecret=x": "client_secret",
    b"access_token=x": "access_token",
    b"%FF=1&password=x": "password",
    b"": None,
    b"a=client_secret": None,
    b"CLIENT_SECRET=x": None,
    b"client_secrets=x": None,
    b"%": None,
    b"\xff\x00": None,
}


@pytest.mark.parametrize(("query", "name"), FOUND.items())
def test_secrets_in_a_query(query: bytes, name: str | None) -> None:
    assert secret_in_query(query) == name


@given(st.binary())
def test_any_query_can_be_looked_at(query: bytes) -> None:
    secret_in_query(query)
