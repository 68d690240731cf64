"""The settings of the guards; `lua/bartizan/guards/NAME.lua` is what acts on them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bartizan.policy import values
from bartizan.policy.base import Method, Mode, Model, off_is_none
from bartizan.policy.formats import Format, Forms, word
from bartizan.policy.values import By, Cidr, Duration, File, HeaderName, Rhythm, WholeSeconds


class Rate(Model):
    """At most burst + limit x time requests in any span of time."""

    limit: Rhythm
    """How many requests are let through in a second, a minute or an hour, in the long run."""
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default_factory=lambda data: max(1, data["limit"].count // 2) if "limit" in data else 1,
        examples=[100],
    )
    """How many may come at once. Absent: half the limit's number, at least 1."""
    by: By = "address"
    """What is counted: each address, each client, or each value of a header has a count of its own. A request
    without a client or without the header is counted by its address. Clients choose what is in a header,
    so such a limit belongs beside one by address."""
    excess: Literal["refuse", "delay"] = "refuse"
    """What becomes of requests that come faster than the limit but are within the burst: `refuse` lets them
    through at once and refuses what is beyond the burst; `delay` holds them back so that they leave at the
    limit's pace, 60 s at most, and refuses what is beyond the burst."""
    mode: Mode = "enforce"
    """`enforce` refuses, `observe` decides, logs and counts but refuses nothing, `off` does nothing."""


class Concurrency(Model):
    """At most this many are forwarded at once; some more may wait for a bounded time."""

    limit: Annotated[int, Field(ge=1, le=1_000_000, examples=[50])]
    """How many requests may be forwarded at once."""
    by: By = "address"
    """What is counted, as for a rate."""
    wait: Annotated[int, Field(ge=0, le=1_000_000, examples=[10])] = 0
    """How many more may wait inside the gateway for their turn. Beyond that requests are refused at once."""
    wait_time: Annotated[Duration, Field(ge=0.001, le=60, examples=["3s"])] = 1.0
    """For how long a request may wait until it is refused."""
    mode: Mode = "enforce"
    """`enforce` refuses, `observe` decides, logs and counts but refuses nothing, `off` does nothing."""


class Addresses(Model):
    """Who may come, and who may not; a deny wins, and with an allow list all others are refused."""

    allow: tuple[Cidr, ...] = ()
    """Who may come. With an allow list (here or in files) all others are refused."""
    deny: tuple[Cidr, ...] = ()
    """Who may not come, whatever the allow list says."""
    allow_files: tuple[File, ...] = Field(default=(), examples=["lists/partners.txt"])
    """Files of further entries for the allow list: one to a line, `#` begins a comment. They are read at the
    start and at a reload."""
    deny_files: tuple[File, ...] = Field(default=(), examples=["lists/blocked.txt"])
    """Files of further entries for the deny list, in the same form. Lists are compiled once and shared by all
    workers; a million entries are fine."""
    mode: Mode = "enforce"
    """`enforce` refuses, `observe` decides, logs and counts but refuses nothing, `off` does nothing."""

    @model_validator(mode="after")
    def _says_something(self) -> "Addresses":
        if not (self.allow or self.deny or self.allow_files or self.deny_files):
            raise ValueError("names no address; give allow, deny, allow_files or deny_files")
        return self


def _audience(value: str) -> str:
    # It stands in WWW-Authenticate, so it must be plain (RFC 9110 section 5.5).
    if not re.fullmatch(r"[\x20-\x7e]+", value):
        raise ValueError("is not an audience; write printable ASCII characters, as tokens name it")
    return value


def _scope(value: str) -> str:
    if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", value):  # RFC 6749 section 3.3
        raise ValueError(
            "is not a scope; one scope has no spaces, quotes or backslashes: [users:read, users:write]"
        )
    return value


class Auth(Model):
    """What a token must be for this route."""

    issuer: Annotated[str, Field(examples=["tokendealer"])]
    """Whose tokens are taken: the name of one of the `issuers`."""
    audience: Annotated[str, AfterValidator(_audience), Field(examples=["data"])]
    """What a token's `aud` must name, so that tokens for other services don't pass."""
    scopes: tuple[Annotated[str, AfterValidator(_scope)], ...] = Field(default=(), examples=["users:read"])
    """What a token's `scope` must hold, all of it. Absent: no scope is asked for."""
    mode: Mode = Field(default="enforce", json_schema_extra={"enum": ["enforce", "observe"]})
    """`enforce` refuses, `observe` decides, logs and counts, and lets requests without a good token through,
    without `X-Client-Id` and `X-Scopes`. There is no `off`: a public route says `auth: none`."""


def _cors_origin(value: str) -> str:
    if value == "*":
        return value
    parts = values.split_url(value)
    if parts.path or parts.query or parts.fragment:
        raise ValueError(
            "is not an origin; write scheme, host and port only, such as https://app.example.com"
        )
    return value.lower()


Origin = Annotated[
    str,
    AfterValidator(_cors_origin),
    Format("origin", "scheme, host and port only", ("https://app.example.com",), r"^(\*$|https?://)"),
]


class Cors(Model):
    """Which pages of other origins may call the route; preflight is answered at the edge."""

    origins: Annotated[tuple[Origin, ...], Field(min_length=1)]
    """The pages' origins: scheme, host and port as a browser sends them in `Origin`; `"*"` alone means
    any."""
    methods: tuple[Method, ...] = Field(default=(), examples=["GET"])
    """The methods that a preflight allows. Absent: the route's."""
    headers: tuple[HeaderName, ...] = Field(default=(), examples=["Authorization"])
    """The request header fields that a preflight allows, beside those that are always allowed. A page that
    sends a token needs `Authorization` here."""
    expose: tuple[HeaderName, ...] = ()
    """The response header fields that the page may read, beside those that it always may."""
    credentials: bool = False
    """Whether the page may send cookies and other credentials of the browser."""
    max_age: Annotated[WholeSeconds, Field(ge=0, le=86400, examples=["1h"])] = 600.0
    """For how long a browser may remember the answer to a preflight, in whole seconds."""

    @model_validator(mode="after")
    def _no_open_credentials(self) -> "Cors":
        if "*" in self.origins and len(self.origins) > 1:
            raise ValueError('lists "*" beside other origins; "*" alone means any')
        if self.credentials and "*" in self.origins:
            raise ValueError(
                'allows credentials to any origin ("*"); name the origins that may send credentials'
            )
        return self


def _auth(value: Any) -> Any:
    if value == "none":
        return None
    if isinstance(value, dict):
        return value
    raise ValueError(
        "is no decision; write auth: none for a public route, or {issuer: ..., audience: ..., scopes: [...]}"
    )


def _one_or_more(value: Any) -> Any:
    value = off_is_none(value)
    if value == ():
        raise ValueError("is an empty list; write off if nothing is meant to be limited")
    return (value,) if isinstance(value, dict) else value


OFF = word("off")
Rates = Annotated[tuple[Rate, ...] | None, BeforeValidator(_one_or_more), Forms((OFF,), one_for_list=True)]
Concurrencies = Annotated[
    tuple[Concurrency, ...] | None, BeforeValidator(_one_or_more), Forms((OFF,), one_for_list=True)
]
AddressLists = Annotated[Addresses | None, BeforeValidator(off_is_none), Forms((OFF,))]
CrossOrigin = Annotated[Cors | None, BeforeValidator(off_is_none), Forms((OFF,))]
Decision = Annotated[Auth | None, BeforeValidator(_auth), Forms((word("none"),))]
