"""Tokens that are made before."""

import json
from pathlib import Path

import jwt
import pytest

from load.bench import tokens
from load.bench.tokens import AUDIENCE, ISSUER, Tokens, ready


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return ready(tmp_path_factory.mktemp("tokens"), 6)


def verify(token: str, made: Tokens) -> dict[str, object]:
    key = jwt.PyJWKSet.from_dict(json.loads(made.keys.read_text())).keys[0]
    claims: dict[str, object] = jwt.decode(token, key, algorithms=["RS512"], audience=AUDIENCE, issuer=ISSUER)
    return claims


def test_each_is_good_and_unlike_the_others(made: Tokens) -> None:
    lines = made.all.read_text().split()
    assert len({verify(token, made)["jti"] for token in lines}) == len(lines) == 6
    assert lines[0] == made.good
    assert jwt.get_unverified_header(made.good)["typ"] == "at+jwt"


def test_both_forms_of_the_key_are_the_same(made: Tokens) -> None:
    jwt.decode(made.good, made.public.read_bytes(), algorithms=["RS512"], audience=AUDIENCE)


def test_no_private_key_is_kept(made: Tokens) -> None:
    kept = "".join(path.read_text() for path in made.all.parent.iterdir())
    assert "PRIVATE" not in kept
    assert '"d"' not in kept


def test_a_forged_one_is_of_the_same_form_and_not_good(made: Tokens) -> None:
    assert len(made.forged) == len(made.good)
    assert made.forged != made.good
    with pytest.raises(jwt.InvalidSignatureError):
        verify(made.forged, made)


def test_what_is_there_is_used_again(made: Tokens) -> None:
    assert ready(made.all.parent, 6) == made


def test_another_number_is_made_anew(tmp_path: Path) -> None:
    first = ready(tmp_path, 2)
    second = ready(tmp_path, 3)
    assert first.good != second.good
    assert len(second.all.read_text().split()) == 3


def test_tokens_that_end_soon_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "LIFETIME", tokens.FRESH - 10)
    old = ready(tmp_path, 2)
    monkeypatch.undo()
    new = ready(tmp_path, 2)
    assert new.good != old.good
    assert verify(new.good, new)["exp"] > verify(new.good, new)["iat"] + tokens.FRESH  # type: ignore[operator]
