"""libmodsecurity 3 through its C API: what a peer says of the same rules and values.

    rules = Rules('SecRule ARGS:v "@rx ^b$" "id:1,phase:2,deny"')
    with rules.transaction() as transaction: ...   # the raw functions are in `LIB`
    ask('@rx (a)|(b)', b"b")                       # Answer(matches=True, captures={0: b"b", 2: b"b"})

It is what a meaning is compared with, not what is right: see the tests for where they differ, and why.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from weakref import finalize

LIBRARY: Final = "libmodsecurity.so.3"

_HANDLE: Final = ctypes.c_void_p
_TEXT: Final = ctypes.c_char_p
_SIZE: Final = ctypes.c_size_t


class Intervention(ctypes.Structure):
    """What the library wants done: struct ModSecurityIntervention_t."""

    _fields_ = (
        ("status", ctypes.c_int),
        ("pause", ctypes.c_int),
        ("url", ctypes.c_void_p),
        ("log", ctypes.c_void_p),
        ("disruptive", ctypes.c_int),
    )


_LOG: Final = ctypes.CFUNCTYPE(None, _HANDLE, _HANDLE)

_SIGNATURES: Final[dict[str, tuple[object, tuple[object, ...]]]] = {
    "msc_init": (_HANDLE, ()),
    "msc_set_log_cb": (None, (_HANDLE, _LOG)),
    "msc_create_rules_set": (_HANDLE, ()),
    "msc_rules_add": (ctypes.c_int, (_HANDLE, _TEXT, ctypes.POINTER(_TEXT))),
    "msc_rules_add_file": (ctypes.c_int, (_HANDLE, _TEXT, ctypes.POINTER(_TEXT))),
    "msc_rules_cleanup": (ctypes.c_int, (_HANDLE,)),
    "msc_new_transaction": (_HANDLE, (_HANDLE, _HANDLE, _HANDLE)),
    "msc_transaction_cleanup": (None, (_HANDLE,)),
    "msc_process_connection": (ctypes.c_int, (_HANDLE, _TEXT, ctypes.c_int, _TEXT, ctypes.c_int)),
    "msc_process_uri": (ctypes.c_int, (_HANDLE, _TEXT, _TEXT, _TEXT)),
    "msc_add_n_request_header": (ctypes.c_int, (_HANDLE, _TEXT, _SIZE, _TEXT, _SIZE)),
    "msc_process_request_headers": (ctypes.c_int, (_HANDLE,)),
    "msc_append_request_body": (ctypes.c_int, (_HANDLE, _TEXT, _SIZE)),
    "msc_process_request_body": (ctypes.c_int, (_HANDLE,)),
    "msc_process_logging": (ctypes.c_int, (_HANDLE,)),
    "msc_intervention": (ctypes.c_int, (_HANDLE, ctypes.POINTER(Intervention))),
}


@lru_cache(maxsize=1)
def lib() -> ctypes.CDLL:
    """Load the library, with the types of its functions set."""
    library = ctypes.CDLL(LIBRARY)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


# Without a callback the library writes each match to stderr. It must outlive the library.
_SILENT: Final = _LOG(lambda _data, _message: None)


@lru_cache(maxsize=1)
def _engine() -> int:
    engine: int = lib().msc_init()
    lib().msc_set_log_cb(engine, _SILENT)
    return engine


class Rules:
    """A set of rules, freed with the object.

    Raises:
        ValueError: the library can't read them; the message is its own.
    """

    def __init__(self, text: str | bytes) -> None:
        self.handle: int = lib().msc_create_rules_set()
        finalize(self, lib().msc_rules_cleanup, self.handle)
        error = _TEXT()
        source = text.encode() if isinstance(text, str) else text
        source = b"SecRuleEngine On\nSecRequestBodyAccess On\n" + source
        if lib().msc_rules_add(self.handle, source, ctypes.byref(error)) < 0:
            raise ValueError((error.value or b"").decode("utf-8", "replace"))

    @contextmanager
    def transaction(self) -> Iterator[int]:
        """Give a transaction's handle, for the library's own functions."""
        handle: int = lib().msc_new_transaction(_engine(), self.handle, None)
        try:
            lib().msc_process_connection(handle, b"127.0.0.1", 12345, b"127.0.0.1", 80)
            yield handle
        finally:
            lib().msc_transaction_cleanup(handle)


def intervention(transaction: int) -> Intervention | None:
    """Return what the library wants done with a transaction by now."""
    wanted = Intervention(status=200)
    if not lib().msc_intervention(transaction, ctypes.byref(wanted)):
        return None
    return wanted


def post(rules: Rules, value: bytes) -> bytes | None:
    """Send a form whose field `v` has a value of any bytes, and return the URL that a rule redirects to."""
    body = b"v=" + b"".join(b"%%%02X" % byte for byte in value)
    with rules.transaction() as transaction:
        lib().msc_process_uri(transaction, b"/", b"POST", b"1.1")
        name, media_type = b"Content-Type", b"application/x-www-form-urlencoded"
        lib().msc_add_n_request_header(transaction, name, len(name), media_type, len(media_type))
        lib().msc_process_request_headers(transaction)
        lib().msc_append_request_body(transaction, body, len(body))
        lib().msc_process_request_body(transaction)
        wanted = intervention(transaction)
        return None if wanted is None or wanted.url is None else ctypes.string_at(wanted.url)


@dataclass(frozen=True)
class Answer:
    """What an operator says of a value, and what it captures."""

    matches: bool
    captures: dict[int, bytes]


# The captures leave by the only way out that takes any length: hexadecimal, in a redirection.
_RULES: Final = """\
SecRule ARGS:v "{operator}" "id:1,phase:2,pass,nolog,capture,setvar:tx.matched=1"
SecRule TX:/^[0-9]+$/ "@unconditionalMatch" \
    "id:2,phase:2,pass,nolog,t:hexEncode,setvar:'tx.all=%{tx.all}/%{MATCHED_VAR_NAME}.%{MATCHED_VAR}'"
SecRule TX:matched "@eq 1" "id:3,phase:2,nolog,redirect:'%{tx.all}'"
"""


@lru_cache(maxsize=200)
def _rule(operator: bytes) -> Rules:
    before, _, after = _RULES.partition("{operator}")
    return Rules(before.encode() + operator.replace(b'"', b'\\"') + after.encode())


def ask(operator: str | bytes, value: bytes) -> Answer:
    """Ask an operator, written as in a rule (`@rx ^a`), about a value."""
    url = post(_rule(operator.encode() if isinstance(operator, str) else operator), value)
    if url is None:
        return Answer(matches=False, captures={})
    pairs = (item.split(b".", 1) for item in url.split(b"/")[1:])
    captures = {int(name.removeprefix(b"TX:")): bytes.fromhex(text.decode()) for name, text in pairs}
    return Answer(matches=True, captures=captures)
