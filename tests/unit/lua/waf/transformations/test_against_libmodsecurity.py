"""The transformations against libmodsecurity 3, on texts of any bytes.

Where both differ, tests/cases/waf/transformations_differences.json says on which texts and why. The random
tests admit a difference on no other text, and the examples are checked to differ still.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest
from hypothesis import assume, given

from tests.support.libmodsecurity import Rules, post
from tests.support.transformations import NAMES, TEXTS, transformation

FILE: Final = Path(__file__).parents[4] / "cases" / "waf" / "transformations_differences.json"
DIFFERENCES: Final = json.loads(FILE.read_text())["differences"]
WHERE: Final = {name: re.compile(item["where"].encode()) for item in DIFFERENCES for name in item["names"]}

# Debian's package of nginx's ModSecurity module brings the file. ModSecurity's recommended configuration
# names this code page.
UNICODE_MAPPING: Final = Path("/etc/nginx/unicode.mapping")
CODE_PAGE: Final = 20127


@lru_cache(maxsize=len(NAMES))
def rules(name: str) -> Rules:
    return Rules(
        f"SecUnicodeMapFile {UNICODE_MAPPING} {CODE_PAGE}\n"
        'SecRule ARGS:v "@unconditionalMatch" '
        f"\"id:1,phase:2,nolog,t:none,t:{name},t:hexEncode,redirect:'/%{{MATCHED_VAR}}'\""
    )


def library(name: str, text: bytes) -> bytes:
    url = post(rules(name), text)
    assert url is not None
    return bytes.fromhex(url.removeprefix(b"/").decode())


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sqlHexDecode"])
@given(text=TEXTS)
def test_both_say_the_same(name: str, text: bytes) -> None:
    if name in WHERE:
        assume(not WHERE[name].search(text))
    assert transformation(name)(text) == library(name, text)


@given(text=TEXTS)
def test_both_say_the_same_of_sql_but_for_the_last_byte(text: bytes) -> None:
    # A NUL, one that is decoded too, ends the text to the library; and see DIFFERENCES for the third.
    assume(not re.search(rb"\0|0[xX](?:[0-9a-fA-F]{2})*00|0[xX](?:[0-9a-fA-F]{2})+0[xX]", text))
    # No digit, so that a number at the end stays as it is.
    assert transformation("sqlHexDecode")(text) == library("sqlHexDecode", text + b"!")


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, text) for item in DIFFERENCES for name in item["names"] for text in item["examples"]],
)
def test_an_explained_difference_is_still_one(name: str, example: list[str]) -> None:
    text, ours, theirs = (part.encode("latin-1") for part in example)
    assert WHERE[name].search(text)
    assert transformation(name)(text) == ours
    assert library(name, text) == theirs
    assert ours != theirs


def test_the_code_page_is_that_of_the_mapping_file() -> None:
    section = UNICODE_MAPPING.read_text(errors="replace").partition(f"{CODE_PAGE} (US-ASCII)\n")[2]
    mapped = {
        code: byte for code, _, byte in (pair.partition(":") for pair in section.split("\n")[0].split())
    }
    assert len(mapped) == 370
    decode = transformation("urlDecodeUni")
    for code in (f"{number:04x}" for number in range(0x10000)):
        low = int(code, 16) & 0xFF
        # What the file leaves out of full-width ASCII is what it shows as well.
        default = low + 0x20 if "ff01" <= code <= "ff5e" else low
        assert decode(b"%u" + code.encode()) == bytes([int(mapped.get(code, f"{default:02x}"), 16)])
