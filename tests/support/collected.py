"""What a request carries, as SecLang sees it: in the edge's Lua, and in libmodsecurity.

collect = Collect()
collect.see(Request(b"/?a=1", cookies=[b"b=2"])).arguments      # [(b"a", b"1")]
ask_library(Request(b"/?a=1"))                                  # the same of libmodsecurity, sorted
"""

from __future__ import annotations

from ctypes import string_at
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from tests.support.libmodsecurity import Rules, intervention, lib
from tests.support.lua import Lua

FORM: Final = b"application/x-www-form-urlencoded"
JSON: Final = b"application/json"

Pairs = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Request:
    """A request's parts; the media type is sent where there is a body."""

    target: bytes = b"/"
    cookies: list[bytes] = field(default_factory=list)
    body: bytes | None = None
    media_type: bytes = FORM

    def fields(self) -> Pairs:
        """Give the header fields."""
        fields = [(b"cookie", value) for value in self.cookies]
        if self.body is not None:
            fields.append((b"content-type", self.media_type))
        return fields


@dataclass(frozen=True)
class Seen:
    """What there is of a request for rules to look at."""

    arguments: Pairs
    cookies: Pairs
    malformed: bool  # URLENCODED_ERROR
    error: bool  # REQBODY_ERROR

    def ordered(self) -> Seen:
        """Give the same in an order that is the members' own: libmodsecurity has them in none."""
        return Seen(sorted(self.arguments), sorted(self.cookies), self.malformed, self.error)


@dataclass(frozen=True)
class Verdict:
    """How much of a body was read."""

    complete: str
    why: str | None
    error: str | None


_SEE: Final = """
local collect = require("bartizan.waf.collect")
local used
local function pairs_of(collection)
    local flat = {}
    for i = 1, collection.n do
        flat[2 * i - 1], flat[2 * i] = collection.names[i], collection.values[i]
    end
    return flat
end
return function(target, names, values, count, body, limits)
    used = collect.head({
        method = "POST", target = target, protocol = "HTTP/1.1",
        names = names, values = values, count = count,
    }, used)
    collect.body(used, body, limits)
    local texts, verdict = used.scalars, used.body
    return pairs_of(used.collections.ARGS), pairs_of(used.collections.REQUEST_COOKIES),
        texts.URLENCODED_ERROR, texts.REQBODY_ERROR, verdict.complete, verdict.why, verdict.error
end
"""


def _pairs(flat: Any) -> Pairs:
    texts = [text.encode("latin-1") for text in flat.values()]
    return list(zip(texts[::2], texts[1::2], strict=True))


class Collect:
    """The edge's Lua, with one transaction that is used again and again."""

    def __init__(self) -> None:
        self.lua = Lua(encoding="latin-1")
        self._see = self.lua.execute(_SEE)

    def read(self, request: Request, window: int = 131072, **limits: Any) -> tuple[Seen, Verdict]:
        """Collect what a request carries, and say how much of its body was read."""
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.fields()]
        arguments, cookies, malformed, error, *verdict = self._see(
            request.target.decode("latin-1"),
            self.lua.table([name for name, _ in fields]),
            self.lua.table([value for _, value in fields]),
            len(fields),
            None if request.body is None else request.body.decode("latin-1"),
            self.lua.table({"window": window, **limits}),
        )
        seen = Seen(_pairs(arguments), _pairs(cookies), malformed == "1", error == "1")
        return seen, Verdict(*verdict)

    def see(self, request: Request, window: int = 131072, **limits: Any) -> Seen:
        """Collect what a request carries."""
        return self.read(request, window, **limits)[0]


# Names and values leave by a redirection, in hexadecimal. A collection and that of its names hold
# their members in the same order, for they were given the same keys one after the other.
_RULES: Final = """\
SecRule REQUEST_HEADERS:Content-Type "@beginsWith application/json" \
    "id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON"
SecRule ARGS_NAMES "@unconditionalMatch" \
    "id:2,phase:2,pass,nolog,t:hexEncode,setvar:'tx.an=%{tx.an}.%{MATCHED_VAR}'"
SecRule ARGS "@unconditionalMatch" \
    "id:3,phase:2,pass,nolog,t:hexEncode,setvar:'tx.av=%{tx.av}.%{MATCHED_VAR}'"
SecRule REQUEST_COOKIES_NAMES "@unconditionalMatch" \
    "id:4,phase:2,pass,nolog,t:hexEncode,setvar:'tx.cn=%{tx.cn}.%{MATCHED_VAR}'"
SecRule REQUEST_COOKIES "@unconditionalMatch" \
    "id:5,phase:2,pass,nolog,t:hexEncode,setvar:'tx.cv=%{tx.cv}.%{MATCHED_VAR}'"
SecRule REQUEST_METHOD "@unconditionalMatch" "id:6,phase:2,nolog,redirect:\
'%{tx.an}/%{tx.av}/%{tx.cn}/%{tx.cv}/%{URLENCODED_ERROR}/%{REQBODY_ERROR}'"
"""


@lru_cache(maxsize=1)
def _rules() -> Rules:
    return Rules(_RULES)


def _members(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(".")[1:]]


def ask_library(request: Request) -> Seen:
    """Ask libmodsecurity what it sees of a request; members are sorted."""
    with _rules().transaction() as transaction:
        lib().msc_process_uri(transaction, request.target, b"POST", b"1.1")
        for name, value in request.fields():
            lib().msc_add_n_request_header(transaction, name, len(name), value, len(value))
        lib().msc_process_request_headers(transaction)
        if request.body is not None:
            lib().msc_append_request_body(transaction, request.body, len(request.body))
        lib().msc_process_request_body(transaction)
        wanted = intervention(transaction)
        assert wanted is not None
        assert wanted.url is not None
        parts = string_at(wanted.url).decode("ascii").split("/")
    names, values, cookie_names, cookie_values = (_members(part) for part in parts[:4])
    return Seen(
        list(zip(names, values, strict=True)),
        list(zip(cookie_names, cookie_values, strict=True)),
        parts[4] == "1",
        parts[5] == "1",
    ).ordered()
