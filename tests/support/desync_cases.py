"""The cases of framing tricks, tests/cases/desync/, and what is expected of them.

A case has `send`, lines between which CRLF is put, and `gives`, what is to come of them in turn:

    METHOD TARGET, or [METHOD TARGET, BODY]     the service read this, and its answer came back
    400                                         the gateway refused it; `HEAD 400` one without a body, and
                                                `bare 400` one without a head
    100                                         an interim answer
    aborted                                     no answer came, and both logs say so
    given up                                    no answer came, as the client had ended the stream
    nothing                                     no answer came, as there was no request yet

or `steps`, each with these two, and `ends: true` where the client says that no more follows; or `frames` of
HTTP/2 (`tests.support.http2_frames`). `lives` says whether a request that follows on the connection is
answered; `logged` has targets as they came, where they are forwarded in another spelling; `at_once: true` has
it sent in one piece only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tests.support.refusals import load

Case = Mapping[str, Any]
Gave = int | str | tuple[str, str]

UNANSWERED: Final = "unanswered"
SILENCE: Final = "silence"  # neither an answer nor an end, which no case may bring about

_NO_ANSWER: Final = {"aborted", "given up", "nothing"}
_REPEATED: Final = re.compile(r"\{([^{}]+)\*(\d+)\}")
_REFUSED: Final = re.compile(r"(HEAD|bare) \d{3}")
# After these the gateway can't know where the next request begins, or need not.
_CLOSING: Final = (400, 413, 414, 501, 505, "aborted", "bare 400", "HEAD 400")


def cases_of(family: str) -> dict[str, Case]:
    """Return the cases of a family; in a text of theirs `{a*3}` stands for aaa."""
    return {name: _expand(case) for name, case in load(f"desync/{family}.yaml").items()}


def _expand(value: Any) -> Any:
    if isinstance(value, str):
        return _REPEATED.sub(lambda found: found[1] * int(found[2]), value)
    if isinstance(value, Mapping):
        return {name: _expand(member) for name, member in value.items()}
    return [_expand(member) for member in value] if isinstance(value, list) else value


def gives_of(case: Case) -> list[Any]:
    """Return all that a case gives, step by step."""
    return [entry for step in case.get("steps", [case]) for entry in step["gives"]]


def expected(case: Case) -> tuple[list[Gave], bool]:
    """Return what became of each request, and whether the connection lives."""
    gave: list[Gave] = []
    for entry in gives_of(case):
        if isinstance(entry, list):
            gave.append((entry[0], entry[1]))
        elif entry in _NO_ANSWER:
            gave.append(UNANSWERED)
        elif isinstance(entry, int) or _REFUSED.fullmatch(entry):
            gave.append(entry)
        else:
            gave.append((entry, ""))
    return gave, case.get("lives", "frames" in case or gives_of(case)[-1] not in _CLOSING)
