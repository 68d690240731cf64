r"""PCRE2 as the judge of what a regular expression matches: with the options that the edge's `@rx` has.

search(r"(?i)union\\s+select", b"UNION SELECT")     # True
"""

import ctypes
from functools import cache
from typing import Final

from bartizan.rules.pcre2 import LIBRARY, OPTIONS

_NO_MATCH: Final = -1


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(LIBRARY)
    for name in ("pcre2_compile_8", "pcre2_match_data_create_from_pattern_8"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


@cache
def _compiled(pattern: str) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    text = pattern.encode()
    code, offset = ctypes.c_int(), ctypes.c_size_t()
    compiled = _library().pcre2_compile_8(
        ctypes.c_char_p(text), ctypes.c_size_t(len(text)), ctypes.c_uint32(OPTIONS), ctypes.byref(code),
        ctypes.byref(offset), None,
    )  # fmt: skip
    assert compiled, f"PCRE2 does not take {pattern!r} (at {offset.value})"
    data = _library().pcre2_match_data_create_from_pattern_8(ctypes.c_void_p(compiled), None)
    return ctypes.c_void_p(compiled), ctypes.c_void_p(data)


def search(pattern: str, value: bytes) -> bool:
    """Say whether a pattern matches somewhere in a value; what runs into PCRE2's own limits does not."""
    compiled, data = _compiled(pattern)
    found = _library().pcre2_match_8(
        compiled, ctypes.c_char_p(value), ctypes.c_size_t(len(value)), ctypes.c_size_t(0), ctypes.c_uint32(0),
        data, None,
    )  # fmt: skip
    return bool(found > _NO_MATCH)
