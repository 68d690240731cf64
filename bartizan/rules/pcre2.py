"""Whether PCRE2, with which the edge matches, takes a pattern: while a person can still be told."""

import ctypes
from functools import cache
from typing import Final

from bartizan.errors import BartizanError

LIBRARY: Final = "libpcre2-8.so.0"
# As @rx is compiled at the edge (lua/bartizan/waf/pcre2.lua): DOTALL, MULTILINE, NEVER_UTF.
OPTIONS: Final = 0x00000020 | 0x00000400 | 0x00001000
_LONGEST_MESSAGE: Final = 256


def wrong_with(pattern: str) -> str | None:
    """Return what PCRE2 says against a regular expression, or None.

    Args:
        pattern: as the rule writes it.

    Raises:
        BartizanError: the library is not there.
    """
    library, text = _library(), pattern.encode()
    code, offset = ctypes.c_int(), ctypes.c_size_t()
    compiled = library.pcre2_compile_8(
        text, len(text), OPTIONS, ctypes.byref(code), ctypes.byref(offset), None
    )
    if compiled:
        library.pcre2_code_free_8(compiled)
        return None
    message = ctypes.create_string_buffer(_LONGEST_MESSAGE)
    library.pcre2_get_error_message_8(code, message, _LONGEST_MESSAGE)
    near = text[: offset.value].decode(errors="replace")[-20:]
    return message.value.decode() + (f", after {near!r}" if near else "")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        message = f"{LIBRARY} is missing, with which nginx matches; install Debian's libpcre2-8-0"
        raise BartizanError(message) from error
    library.pcre2_compile_8.restype = ctypes.c_void_p
    library.pcre2_compile_8.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint32,
        ctypes.POINTER(ctypes.c_int),
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.c_void_p,
    )
    library.pcre2_code_free_8.restype = None
    library.pcre2_code_free_8.argtypes = (ctypes.c_void_p,)
    library.pcre2_get_error_message_8.restype = ctypes.c_int
    library.pcre2_get_error_message_8.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    return library
