"""Hyperscan's compiler, through ctypes: the same `libhs` that the edge scans with.

A database is bound to the library's version and to the processor, so a wheel with a library of its own would
make databases that the edge refuses.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from bartizan.errors import BartizanError

CASELESS: Final = 1
DOTALL: Final = 2
MULTILINE: Final = 4
SINGLEMATCH: Final = 8
ALLOWEMPTY: Final = 16
PREFILTER: Final = 128

_LIBRARY: Final = "libhs.so.5"
_MODE_BLOCK: Final = 1
_SUCCESS: Final = 0
_COMPILER_ERROR: Final = -4
_SCAN_TERMINATED: Final = -3


class _CompileError(ctypes.Structure):
    _fields_ = (("message", ctypes.c_char_p), ("expression", ctypes.c_int))


class _Platform(ctypes.Structure):
    _fields_ = (
        ("tune", ctypes.c_uint),
        ("cpu_features", ctypes.c_ulonglong),
        ("reserved1", ctypes.c_ulonglong),
        ("reserved2", ctypes.c_ulonglong),
    )


_ON_MATCH: Final = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_ulonglong, ctypes.c_uint, ctypes.c_void_p
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One regular expression of a database.

    Attributes:
        number: what a match reports; several expressions may share one.
        pattern: in PCRE's syntax, without NUL bytes.
    """

    number: int
    pattern: bytes
    flags: int


class HyperscanError(BartizanError):
    """What Hyperscan does not take.

    Attributes:
        index: which expression it was, from 0; None where it was none in particular.
        why: Hyperscan's own words.
    """

    def __init__(self, why: str, index: int | None = None) -> None:
        self.index = index
        self.why = why
        super().__init__(f"Hyperscan: {why}")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise BartizanError(
            f"rules can't be compiled without Hyperscan ({_LIBRARY}); on Debian: apt install libhyperscan5,"
            " or libvectorscan5 where the processor is not x86-64"
        ) from error
    library.hs_version.restype = ctypes.c_char_p
    library.hs_scan.argtypes = (
        ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, _ON_MATCH,
        ctypes.c_void_p,
    )  # fmt: skip
    return library


def identity() -> str:
    """Return what a database depends on besides its expressions: the library's version and this processor.

    Raises:
        BartizanError: there is no Hyperscan, or it does not run on this processor.
    """
    library, platform = _library(), _Platform()
    if (
        library.hs_valid_platform() != _SUCCESS
        or library.hs_populate_platform(ctypes.byref(platform)) != _SUCCESS
    ):
        raise BartizanError(
            "Hyperscan does not run on this processor; it needs SSSE3, or Vectorscan in its place"
        )
    version = library.hs_version().decode()
    return f"{version}; tune {platform.tune}; features {platform.cpu_features}"


def compile_database(expressions: Sequence[Expression]) -> bytes:
    """Compile expressions into one database, as bytes that the edge loads.

    Raises:
        HyperscanError: an expression is not taken; `index` says which.
    """
    database = _compile(expressions)
    library = _library()
    try:
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        code = library.hs_serialize_database(database, ctypes.byref(text), ctypes.byref(size))
        if code != _SUCCESS or text.value is None:
            raise HyperscanError(f"the database can't be written (hs_serialize_database: {code})")
        try:
            return ctypes.string_at(text.value, size.value)
        finally:
            _libc().free(text)
    finally:
        library.hs_free_database(database)


def complaint(pattern: bytes, flags: int, *, whole: bool) -> str | None:
    """Return why a pattern is not taken, or None if it is.

    Args:
        pattern: in PCRE's syntax.
        flags: its flags.
        whole: compile it, which takes a hundred times as long: what is too large shows only then.
    """
    if b"\0" in pattern:
        return "a NUL byte"
    try:
        if whole:
            _library().hs_free_database(_compile([Expression(1, pattern, flags)]))
        else:
            _judge(pattern, flags)
    except HyperscanError as error:
        return error.why
    return None


def _judge(pattern: bytes, flags: int) -> None:
    library, info, error = _library(), ctypes.c_void_p(), ctypes.POINTER(_CompileError)()
    if library.hs_expression_info(pattern, flags, ctypes.byref(info), ctypes.byref(error)) == _SUCCESS:
        _libc().free(info)
        return
    why = error.contents.message.decode("utf-8", "replace").rstrip(".") if error else "no reason given"
    library.hs_free_compile_error(error)
    raise HyperscanError(why)


class Scanner:
    """A database in memory, for the compiler's own questions; the edge has its own."""

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._database = _compile(expressions)
        self._scratch = ctypes.c_void_p()
        code = _library().hs_alloc_scratch(self._database, ctypes.byref(self._scratch))
        if code != _SUCCESS:
            raise HyperscanError(f"no memory to scan with (hs_alloc_scratch: {code})")

    def numbers(self, value: bytes) -> set[int]:
        """Return the numbers of the expressions that match."""
        found: set[int] = set()

        def on_match(number: int, _start: int, _end: int, _flags: int, _context: int) -> int:
            found.add(number)
            return 0

        code = _library().hs_scan(
            self._database, value, len(value), 0, self._scratch, _ON_MATCH(on_match), None
        )
        if code not in {_SUCCESS, _SCAN_TERMINATED}:
            raise HyperscanError(f"a value can't be scanned (hs_scan: {code})")
        return found

    def close(self) -> None:
        """Give the memory back."""
        _library().hs_free_scratch(self._scratch)
        _library().hs_free_database(self._database)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _compile(expressions: Sequence[Expression]) -> ctypes.c_void_p:
    library, count = _library(), len(expressions)
    for index, expression in enumerate(expressions):
        if b"\0" in expression.pattern:
            raise HyperscanError("a pattern ends at its NUL byte; write \\x00", index)
    patterns = (ctypes.c_char_p * count)(*(expression.pattern for expression in expressions))
    flags = (ctypes.c_uint * count)(*(expression.flags for expression in expressions))
    numbers = (ctypes.c_uint * count)(*(expression.number for expression in expressions))
    database, error = ctypes.c_void_p(), ctypes.POINTER(_CompileError)()
    code = library.hs_compile_multi(
        patterns, flags, numbers, count, _MODE_BLOCK, None, ctypes.byref(database), ctypes.byref(error)
    )
    if code == _SUCCESS:
        return database
    if code != _COMPILER_ERROR or not error:
        raise HyperscanError(f"the expressions can't be compiled (hs_compile_multi: {code})")
    index, why = error.contents.expression, error.contents.message.decode("utf-8", "replace").rstrip(".")
    library.hs_free_compile_error(error)
    raise HyperscanError(why, index if index >= 0 else None)
