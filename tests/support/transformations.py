"""What tests of the transformations share: their names, how one is called, and texts to call it with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from hypothesis import strategies as st

from tests.support.lua import Lua

# What the reference manual, v3.x, lists under "Transformation functions".
NAMES: Final = (
    "base64Decode", "sqlHexDecode", "base64DecodeExt", "base64Encode", "cmdLine", "compressWhitespace",
    "cssDecode", "escapeSeqDecode", "hexDecode", "hexEncode", "htmlEntityDecode", "jsDecode", "length",
    "lowercase", "md5", "none", "normalisePath", "normalizePath", "normalisePathWin", "normalizePathWin",
    "parityEven7bit", "parityOdd7bit", "parityZero7bit", "removeNulls", "removeWhitespace",
    "replaceComments", "removeCommentsChar", "removeComments", "replaceNulls", "urlDecode", "uppercase",
    "urlDecodeUni", "urlEncode", "utf8toUnicode", "sha1", "trimLeft", "trimRight", "trim",
)  # fmt: skip

# What means something to one transformation or another: random bytes alone would hardly ever do.
PIECES: Final = (
    *rb"% %u %2 %u00 %uff 41 + & &# &#x &lt ; &amp nbsp \ \x \u \1 0 377 a B \\ \uff41".split(),
    *rb"/ // /. /.. .. . ab.. /* */ <!-- --> -- # - * 0x 0X 4 f F ' ^ , ( = == Q QUJD 9".split(),
    *(b'"', b" ", b"\t", b"\n", b"\x0b", b"\0", b"\xa0", b"\xc2", b"\xc2\xa0", b"\xe2\x82\xac"),
    *(b"\xf0\x9f\x98\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"),
)

PIECE: Final = st.sampled_from(PIECES)
TEXTS: Final = st.one_of(
    st.lists(PIECE, max_size=9), st.lists(st.one_of(PIECE, st.binary(min_size=1, max_size=3)), max_size=9)
).map(b"".join)


@cache
def lua() -> Lua:
    """Return the LuaJIT that the transformations run in."""
    return Lua(encoding="latin-1")


@cache
def transformation(name: str) -> Callable[[bytes], bytes]:
    """Return a transformation, from bytes to bytes."""
    function = lua().require("bartizan.waf.transformations")[name].apply
    return lambda text: str(function(text.decode("latin-1"))).encode("latin-1")
