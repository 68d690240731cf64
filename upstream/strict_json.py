"""One strict reading of JSON, for token parts, key sets and request bodies.

The gateway in front judges what it reads; a service that reads the same bytes differently (last of two equal
names, NaN, an infinite number) would act on something nobody judged. RFC 8259 leaves those open, so they are
refused.
"""

import json
import math
from collections.abc import Iterable
from typing import Never

MAX_DEPTH = 32


class InvalidJsonError(ValueError):
    """The text is not JSON, or JSON that two readers may read differently."""


def parse(data: bytes) -> object:
    """Read one JSON value.

    Args:
        data: the whole text, in UTF-8 without a byte order mark (RFC 8259 section 8.1).

    Returns:
        The value, of Python's own types.

    Raises:
        InvalidJsonError: malformed, not UTF-8, a name twice in one object, a number that is not finite or has
            more digits than Python reads, or nested deeper than MAX_DEPTH.
    """
    try:
        text = data.decode("utf-8")
        value: object = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except InvalidJsonError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidJsonError(f"not JSON: {type(error).__name__}") from error
    if _deeper_than(value, MAX_DEPTH):
        raise InvalidJsonError(f"nested deeper than {MAX_DEPTH}")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InvalidJsonError("a name stands twice in one object")
    return value


def _refuse_constant(name: str) -> Never:
    raise InvalidJsonError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidJsonError("a number is too large")
    return number


def _deeper_than(value: object, depth: int) -> bool:
    # Level by level: a recursive walk would itself be what a nested document attacks.
    level = [value]
    for _ in range(depth + 1):
        level = [container for container in level if isinstance(container, dict | list)]
        if not level:
            return False
        level = [inner for container in level for inner in _members(container)]
    return True


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
