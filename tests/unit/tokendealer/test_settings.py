"""Settings are checked once, at start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tokendealer.problems import PersonError
from tokendealer.settings import Settings, make_settings

ISSUERS = [
    "https://localhost:8443",
    "https://auth.example",
    "http://localhost:8080",
    "http://127.0.0.1:1",
    "http://[::1]:1",
]
NO_ISSUERS = [
    "https://localhost:8443/",
    "https://auth.example/auth",
    "https://auth.example?a",
    "https://auth.example#a",
    "http://auth.example",
    "http://localhost.evil.example",
    "ftp://auth.example",
    "auth.example",
    "https://",
    "https://user@auth.example",
    "https://auth.example:0",
    "https://auth.example:port",
    "https://auth.example:99999",
    "https://[::1",
]


@pytest.mark.parametrize("issuer", ISSUERS)
def test_an_issuer(issuer: str) -> None:
    assert make_settings(issuer=issuer).issuer == issuer


@pytest.mark.parametrize("issuer", [*NO_ISSUERS, "", " https://auth.example"])
def test_no_issuer(issuer: str) -> None:
    with pytest.raises(
        PersonError, match=r"^the issuer .* is not an https origin such as https://localhost:8443 "
    ):
        make_settings(issuer=issuer)


@pytest.mark.parametrize(
    ("name", "value"),
    [("algorithm", "HS256"), ("port", -1), ("port", 65536), ("log", "xml"), ("host", ""), ("color", 1)],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(PersonError, match=f"^{name}: "):
        make_settings(**{name: value})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1
