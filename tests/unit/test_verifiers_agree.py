"""The gateway and the service behind it read tokens alike: the edge's case file, judged by the service.

What one of them takes and the other refuses is listed here with its reason; anything else is a fault of one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tokens import ALGORITHMS, AUDIENCE, ISSUER, Issuer
from upstream.tokens import bearer
from upstream.tokens.keyset import KeySet, read
from upstream.tokens.refusal import RefusalError
from upstream.tokens.verifier import UnknownKeyError, Verifier

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "tokens.json").read_text(encoding="utf-8")
)["cases"]

# The service's tokens come from its own issuer, which writes all claims of RFC 9068 section 2.2; the gateway
# also serves issuers that don't.
ONLY_THE_SERVICE_REFUSES = {
    "good of a foreign issuer: azp",
    "good of a foreign issuer: sub alone",
    "iat missing",
    "jti missing",
}
# The gateway puts client and scopes into header fields, so it minds every character; it bounds JSON in depth
# and count; and it takes no token that is bound to a key, which the service can't see either.
ONLY_THE_EDGE_REFUSES = {
    "enc",
    "client_id with a line feed",
    "client_id with NUL",
    "client_id not ASCII",
    "client_id with a blank at its end",
    "client_id of 256 characters",
    "scope with two blanks",
    "scope with a blank first",
    "scope with a tab",
    "scope with a quote",
    "scope with a backslash",
    "scope with a line feed",
    "cnf",
    "cnf null",
    "payload with a lone surrogate",
    "header of 9 levels",
    "payload of 9 levels",
    "payload of 1,001 values",
}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def keys(issuer: Issuer) -> KeySet:
    return read(json.dumps(issuer.jwks()).encode(), tuple(ALGORITHMS))


def taken(token: str, keys: KeySet) -> bool:
    try:
        caller = Verifier(ISSUER, AUDIENCE, 5.0).verify(bearer.read([f"Bearer {token}"]), keys)
    except (RefusalError, UnknownKeyError):
        return False
    return "users:read" in caller.scopes


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any], issuer: Issuer, keys: KeySet) -> None:
    wanted = "refused" not in case
    if case["name"] in ONLY_THE_SERVICE_REFUSES | ONLY_THE_EDGE_REFUSES:
        assert wanted == (case["name"] in ONLY_THE_SERVICE_REFUSES)
        return
    assert taken(issuer.forge(case), keys) == wanted


def test_the_listed_differences_exist() -> None:
    names = {case["name"] for case in CASES}
    assert names >= ONLY_THE_SERVICE_REFUSES | ONLY_THE_EDGE_REFUSES
    assert len(names) > 390
