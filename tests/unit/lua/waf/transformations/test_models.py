"""lua/bartizan/waf/transformations/: models in Python say the same of any bytes."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.transformations import TEXTS, transformation


def fold(text: bytes) -> bytes:
    return bytes(byte & 0x7F for byte in text)


def even(text: bytes) -> bytes:
    return bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in fold(text))


def odd(text: bytes) -> bytes:
    return bytes(byte if byte.bit_count() % 2 else byte | 0x80 for byte in fold(text))


def command_line(text: bytes) -> bytes:
    text = re.sub(rb"[ ,;\t\r\n]+", b" ", re.sub(rb"[\\\"'^]", b"", text))
    return re.sub(rb" (?=[/(])", b"", text).lower()


def entities(text: bytes) -> bytes:
    named = {b"quot": 0x22, b"amp": 0x26, b"lt": 0x3C, b"gt": 0x3E, b"nbsp": 0xA0}

    def decode(match: re.Match[bytes]) -> bytes:
        hexadecimal, decimal, name = match.groups()
        if name and name.lower() not in named:
            return match[0]
        code = named[name.lower()] if name else int(hexadecimal, 16) if hexadecimal else int(decimal)
        return bytes([code & 0xFF])

    return re.sub(rb"&(?:#[xX]([0-9a-fA-F]+)|#([0-9]+)|([0-9a-zA-Z]+));?", decode, text)


def low_byte(code: int) -> bytes:
    return bytes([code - 0xFEE0 if 0xFF01 <= code <= 0xFF5E else code & 0xFF])


CONTROLS: Final = dict(zip(b"abtnvfr", b"\a\b\t\n\v\f\r", strict=True))


def named_or_itself(byte: bytes) -> bytes:
    return bytes([CONTROLS.get(byte[0], byte[0])])


def javascript(text: bytes) -> bytes:
    def decode(match: re.Match[bytes]) -> bytes:
        hexadecimal, octal, other = match[1] or match[2], match[3], match[4]
        if hexadecimal:
            return low_byte(int(hexadecimal, 16))
        return bytes([int(octal, 8)]) if octal else named_or_itself(other)

    return re.sub(
        rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-3][0-7]{0,2}|[4-7][0-7]?)|(.))",
        decode,
        text,
        flags=re.DOTALL,
    )


def ansi_c(text: bytes) -> bytes:
    def decode(match: re.Match[bytes]) -> bytes:
        hexadecimal, octal, other = match.groups()
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        return bytes([int(octal, 8) & 0xFF]) if octal else named_or_itself(other)

    return re.sub(rb"\\(?:[xX]([0-9a-fA-F]{2})|([0-7]{1,3})|(.))", decode, text, flags=re.DOTALL)


def css(text: bytes) -> bytes:
    def decode(match: re.Match[bytes]) -> bytes:
        return low_byte(int(match[1], 16)) if match[1] else match[2].removeprefix(b"\n")

    return re.sub(rb"\\(?:([0-9a-fA-F]{1,6})[ \t\n\v\f\r]?|(.|\Z))", decode, text, flags=re.DOTALL)


SPACES: Final = rb" \t\n\v\f\r"
STRIPPED: Final = b" \t\n\v\f\r"
MODELS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "base64Encode": base64.b64encode,
    "cmdLine": command_line,
    "compressWhitespace": lambda text: re.sub(rb"[" + SPACES + rb"\xa0]+", b" ", text),
    "cssDecode": css,
    "escapeSeqDecode": ansi_c,
    "hexEncode": lambda text: text.hex().encode(),
    "htmlEntityDecode": entities,
    "jsDecode": javascript,
    "length": lambda text: str(len(text)).encode(),
    "lowercase": bytes.lower,
    "md5": lambda text: hashlib.md5(text, usedforsecurity=False).digest(),
    "none": bytes,
    "parityEven7bit": even,
    "parityOdd7bit": odd,
    "parityZero7bit": fold,
    "removeComments": lambda text: re.sub(
        rb"(?:/\*|<!--)(?:.*?)(\*/|-->|\Z)|(?:#|--).*",
        lambda match: b" " if match[1] == b"" else b"",
        text,
        flags=re.DOTALL,
    ),
    "removeCommentsChar": lambda text: re.sub(rb"/\*|\*/|-->|--|<!--|#", b"", text),
    "removeNulls": lambda text: text.replace(b"\0", b""),
    "removeWhitespace": lambda text: re.sub(rb"\xc2\xa0|[" + SPACES + rb"\xa0]", b"", text),
    "replaceComments": lambda text: re.sub(rb"/\*.*?(?:\*/|\Z)", b" ", text, flags=re.DOTALL),
    "replaceNulls": lambda text: text.replace(b"\0", b" "),
    "sha1": lambda text: hashlib.sha1(text, usedforsecurity=False).digest(),
    "sqlHexDecode": lambda text: re.sub(
        rb"0[xX]((?:[0-9a-fA-F]{2})+)", lambda match: bytes.fromhex(match[1].decode()), text
    ),
    "trim": lambda text: text.strip(STRIPPED),
    "trimLeft": lambda text: text.lstrip(STRIPPED),
    "trimRight": lambda text: text.rstrip(STRIPPED),
    "uppercase": bytes.upper,
    "urlDecode": lambda text: unquote_to_bytes(text.replace(b"+", b" ")),
}


@pytest.mark.parametrize("name", MODELS)
@given(text=TEXTS)
def test_a_model_in_python_says_the_same(name: str, text: bytes) -> None:
    assert transformation(name)(text) == MODELS[name](text)


@given(text=st.binary(max_size=40))
def test_what_is_encoded_is_decoded(text: bytes) -> None:
    for encode, decode in (
        ("base64Encode", "base64Decode"),
        ("base64Encode", "base64DecodeExt"),
        ("hexEncode", "hexDecode"),
        ("urlEncode", "urlDecode"),
        ("urlEncode", "urlDecodeUni"),
    ):
        assert transformation(decode)(transformation(encode)(text)) == text


@given(text=st.text(max_size=20))
def test_utf8_becomes_code_points(text: str) -> None:
    expected = "".join(c if c < "\x80" else f"%u{ord(c):04x}" for c in text)
    assert transformation("utf8toUnicode")(text.encode()) == expected.encode()


STEPS: Final = st.sampled_from([b"/", b".", b"..", b"a", b"bc", b"\\", b"..."])


@given(path=st.lists(STEPS, max_size=14).map(b"".join))
@example(path=b"/")
def test_a_path_is_walked_as_posix_does(path: bytes) -> None:
    normalize = transformation("normalizePath")
    expected = posixpath.normpath(b"/" + path.lstrip(b"/") if path.startswith(b"/") else path)
    if expected in {b".", b"/"}:
        expected = b""
    if path.endswith(b"/") and (expected or path.startswith(b"/")):
        expected += b"/"
    assert normalize(path) == expected
    assert normalize(expected) == expected
    assert transformation("normalizePathWin")(path) == normalize(path.replace(b"\\", b"/"))
