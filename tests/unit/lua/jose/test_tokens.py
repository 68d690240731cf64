"""lua/bartizan/jose: every token of the case file, good and bad, under both LuaJITs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.forgeries import b64url
from tests.support.lua import Lua, luajit
from tests.support.tokens import ALGORITHMS, AUDIENCE, ISSUER, Issuer

CASES = Path(__file__).parents[3] / "cases"


def load_cases() -> dict[str, dict[str, Any]]:
    cases = json.loads((CASES / "tokens.json").read_text())["cases"]
    by_name = {case["name"]: case for case in cases}
    assert len(by_name) == len(cases) > 390
    return by_name


EXPECTED = load_cases()


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module", params=["lupa", "luajit"])
def outcomes(
    request: pytest.FixtureRequest, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    now = int(time.time())
    run = json.dumps(
        {
            "jwks": json.dumps(issuer.jwks()),
            "algorithms": ALGORITHMS,
            "types": ["at+jwt"],
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "scopes": ["users:read"],
            "skew": 5,
            "now": now,
            "tokens": [{"name": name, "token": issuer.forge(case, now)} for name, case in EXPECTED.items()],
        }
    )
    if request.param == "lupa":
        lines = Lua().require("cases.token_cases").run(run)
    else:
        path = tmp_path_factory.mktemp("tokens") / "run.json"
        path.write_text(run)
        lines = luajit(CASES / "token_cases.lua", str(path))
    pairs = [line.split("\t") for line in lines.splitlines()]
    assert len(pairs) == len(EXPECTED)
    return dict(pairs)


@pytest.mark.parametrize("name", EXPECTED)
def test_case(outcomes: dict[str, str], name: str) -> None:
    refused = EXPECTED[name].get("refused")
    if refused is None:
        assert outcomes[name] == "accepted"
    else:
        assert outcomes[name].startswith("refused: ")
        assert refused in outcomes[name]


def test_every_row_has_tokens_that_are_refused() -> None:
    rows = {case["row"] for case in EXPECTED.values()}
    refused = {case["row"] for case in EXPECTED.values() if "refused" in case}
    assert rows - refused == {"good tokens"}
    assert len(refused) >= 16


ANY_BYTES = st.binary(max_size=60)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

JUDGE = """
local verifier, token = ...
local claims, err = require("bartizan.jose.jws").verify(verifier, token)
return claims ~= nil, err
"""


@pytest.fixture(scope="module")
def judge(issuer: Issuer) -> Callable[[bytes], tuple[bool, str | None]]:
    """Verify a token with the good keys."""
    lua = Lua(encoding="latin-1")
    parse = lua.require("bartizan.jose.keyset").parse
    keys = parse(json.dumps(issuer.jwks()).encode(), lua.table(list(ALGORITHMS)))
    verifier = lua.require("bartizan.jose.jws").verifier(keys, lua.table({"at+jwt": True}))

    def judge(token: bytes) -> tuple[bool, str | None]:
        accepted, reason = lua.execute(JUDGE, verifier, token)
        return bool(accepted), reason

    return judge


@given(data=st.data())
def test_no_change_to_a_good_token_is_accepted(
    judge: Callable[[bytes], tuple[bool, str | None]], issuer: Issuer, data: st.DataObject
) -> None:
    """Whatever is put in the place of whatever piece, in any algorithm."""
    good = issuer.token(data.draw(st.sampled_from(ALGORITHMS)))
    assert judge(good.encode()) == (True, None)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 4)))
    piece = data.draw(st.text(LETTERS, max_size=4).map(str.encode) | st.binary(max_size=3))
    changed = good[:start].encode() + piece + good[end:].encode()
    if changed != good.encode():
        accepted, reason = judge(changed)
        assert not accepted
        assert reason


@given(header=ANY_BYTES, payload=ANY_BYTES, signature=ANY_BYTES)
def test_no_bytes_make_it_fail(
    judge: Callable[[bytes], tuple[bool, str | None]], header: bytes, payload: bytes, signature: bytes
) -> None:
    for token in (
        b".".join([header, payload, signature]),
        ".".join(map(b64url, (header, payload, signature))).encode(),
    ):
        accepted, reason = judge(token)
        assert not accepted
        assert reason


def test_a_header_that_is_known_spares_no_check(
    judge: Callable[[bytes], tuple[bool, str | None]], issuer: Issuer
) -> None:
    """The header of a token that verified is not judged again; all that comes behind it is."""
    good = issuer.token("RS512")
    header, payload, signature = good.split(".")
    other = issuer.token("ES256").split(".")
    for _ in range(3):
        assert judge(good.encode()) == (True, None)
        assert judge(f"{header}.{other[1]}.{signature}".encode()) == (False, "signature does not verify")
        assert judge(f"{header}.{payload}.{other[2]}".encode()) == (False, "signature does not verify")
        # It begins like the known one, or is a part of it.
        assert judge(f"{header}A.{payload}.{signature}".encode())[0] is False
        assert judge(f"{header[:-4]}.{payload}.{signature}".encode())[0] is False


def test_only_a_signature_makes_a_header_known(issuer: Issuer) -> None:
    """Headers that anybody can make up fill no memory, and those of the issuer only so much."""
    lua = Lua()
    jws = lua.require("bartizan.jose.jws")
    keys = lua.require("bartizan.jose.keyset").parse(json.dumps(issuer.jwks()), lua.table(list(ALGORITHMS)))
    verifier = jws.verifier(keys, lua.table({"at+jwt": True}))
    now = int(time.time())
    for number in range(100):
        case = {"alg": "EdDSA", "header": {"number": number}, "signature": "other message"}
        assert jws.verify(verifier, issuer.forge(case, now)) == (None, "signature does not verify")
    assert verifier.known_count == 0
    for number in range(100):
        token = issuer.forge({"alg": "EdDSA", "header": {"number": number}}, now)
        assert lua.execute("return type((...))", jws.verify(verifier, token)) == "table"
        assert verifier.known_count <= 64
    long = issuer.forge({"alg": "EdDSA", "header": {"long": "x" * 1000}}, now)
    known = verifier.known_count
    assert lua.execute("return type((...))", jws.verify(verifier, long)) == "table"
    assert verifier.known_count == known
