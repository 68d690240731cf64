"""lua/bartizan/jose/keyset.lua and jwk.lua: every set of the case file, under both LuaJITs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.forgeries import b64url
from tests.support.lua import Lua, luajit
from tests.support.tokens import ALGORITHMS, PrivateKey, new_key, public_jwk, rsa_key

CASES = Path(__file__).parents[3] / "cases"


def load_cases() -> dict[str, dict[str, Any]]:
    cases = json.loads((CASES / "keysets.json").read_text())["cases"]
    by_name = {case["name"]: case for case in cases}
    assert len(by_name) == len(cases) > 140
    return by_name


EXPECTED = load_cases()


def key_of(kind: str) -> PrivateKey:
    """One key a kind is enough, except for EC and Ed25519 keys, which cost nothing."""
    if kind == "RSA2048e3":
        return rsa_key("e3", exponent=3)
    return new_key(kind, kind)


def unb64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def modulus(bits: int) -> str:
    number = rsa_key(f"of {bits} bits", bits=bits).public_key().public_numbers().n
    return b64url(number.to_bytes((bits + 7) // 8))


def pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def member(value: Any, original: str, key: PrivateKey) -> Any:
    """What a member becomes: the value itself, or the original with something done to it."""
    match value:
        case {"$hex": digits}:
            value = b64url(bytes.fromhex(digits))
        case {"$hex_before": digits}:
            value = b64url(bytes.fromhex(digits) + unb64url(original))
        case {"$text_after": text}:
            value = original + text
        case {"$flip": True}:
            value = b64url((int.from_bytes(unb64url(original)) ^ 1).to_bytes(32))
        case {"$rsa_bits": bits}:
            value = modulus(bits)
        case {"$pem": True}:
            value = pem(key)
    return value


def build_key(case: dict[str, Any]) -> dict[str, Any]:
    key = key_of(case["kind"])
    jwk = public_jwk(key)
    jwk["use"] = "sig"
    for name in ("kid", "alg"):
        if name in case:
            jwk[name] = case[name]
    for name, value in case["members"].items():
        jwk[name] = member(value, jwk.get(name, ""), key)
    return {name: value for name, value in jwk.items() if value != {"$absent": True}}


def build_set(case: dict[str, Any]) -> str:
    match case.get("text"):
        case str(text):
            return text
        case {"$times": times, "text": text}:
            return json.dumps({"keys": []}) + str(text * times)
    return json.dumps({"keys": [build_key(key) for key in case["keys"]]})


@pytest.fixture(scope="module", params=["lupa", "luajit"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    sets = [
        {"name": name, "text": build_set(case), "algorithms": case.get("algorithms", ALGORITHMS)}
        for name, case in EXPECTED.items()
    ]
    run = json.dumps({"sets": sets})
    if request.param == "lupa":
        lines = Lua().require("cases.keyset_cases").run(run)
    else:
        path = tmp_path_factory.mktemp("keysets") / "run.json"
        path.write_text(run)
        lines = luajit(CASES / "keyset_cases.lua", str(path))
    pairs = [line.split("\t") for line in lines.splitlines()]
    assert len(pairs) == len(EXPECTED)
    return dict(pairs)


@pytest.mark.parametrize("name", EXPECTED)
def test_case(outcomes: dict[str, str], name: str) -> None:
    case = EXPECTED[name]
    if "taken" in case:
        names = sorted(f"{kid}={alg}" for kid, alg in case["taken"].items())
        assert outcomes[name] == "taken: " + " ".join(names)
    else:
        assert outcomes[name].startswith("refused: ")
        assert case["refused"] in outcomes[name]
