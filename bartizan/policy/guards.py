"""The settings of the guards; `lua/bartizan/guards/NAME.lua` is what acts on them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bartizan.policy import values
from bartizan.policy.base import Method, Mode, Model, off_is_none
from bartizan.policy.values import By, Cidr, Duration, File, HeaderName, Rhythm


class Rate(Model):
    """At most burst + limit x time requests in any span of time."""

    limit: Rhythm
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default_factory=lambda data: max(1, data["limit"].count // 2) if "limit" in data else 1,
        description="how many may come at once; absent: half the limit",
    )
    by: By = "address"
    excess: Literal["refuse", "delay"] = "refuse"
    mode: Mode = "enforce"


class Concurrency(Model):
    """At most this many are forwarded at once; some more may wait for a bounded time."""

    limit: Annotated[int, Field(ge=1, le=1_000_000)]
    by: By = "address"
    wait: Annotated[int, Field(ge=0, le=1_000_000)] = Field(default=0, description="how many more may wait")
    wait_time: Annotated[Duration, Field(ge=0.001, le=60)] = Field(
        default=1.0, description="for at most so long"
    )
    mode: Mode = "enforce"


class Addresses(Model):
    """Who may come, and who may not; a deny wins, and with an allow list all others are refused."""

    allow: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()
    allow_files: tuple[File, ...] = ()
    deny_files: tuple[File, ...] = ()
    mode: Mode = "enforce"

    @model_validator(mode="after")
    def _says_something(self) -> "Addresses":
        if not (self.allow or self.deny or self.allow_files or self.deny_files):
            raise ValueError("names no address; give allow, deny, allow_files or deny_files")
        return self


def _scope(value: str) -> str:
    if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", value):  # RFC 6749 section 3.3
        raise ValueError(
            "is not a scope; one scope has no spaces, quotes or backslashes: [users:read, users:write]"
        )
    return value


class Auth(Model):
    """What a token must be for this route."""

    issuer: str
    audience: Annotated[str, Field(min_length=1)]
    scopes: tuple[
        Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")], ...
    ] = ()  # RFC 6749 section 3.3
    mode: Mode = "enforce"


def _cors_origin(value: str) -> str:
    if value == "*":
        return value
    parts = values.split_url(value)
    if parts.path or parts.query or parts.fragment:
        raise ValueError(
            "is not an origin; write scheme, host and port only, such as https://app.example.com"
        )
    return value.lower()


class Cors(Model):
    """Which pages of other origins may call the route; preflight is answered at the edge."""

    origins: Annotated[tuple[Annotated[str, AfterValidator(_cors_origin)], ...], Field(min_length=1)]
    methods: tuple[Method, ...] = Field(default=(), description="absent: the route's methods")
    headers: tuple[HeaderName, ...] = ()
    expose: tuple[HeaderName, ...] = ()
    credentials: bool = False
    max_age: Annotated[Duration, Field(ge=0, le=86400)] = 600.0

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


Rates = Annotated[tuple[Rate, ...] | None, BeforeValidator(_one_or_more)]
Concurrencies = Annotated[tuple[Concurrency, ...] | None, BeforeValidator(_one_or_more)]
AddressLists = Annotated[Addresses | None, BeforeValidator(off_is_none)]
CrossOrigin = Annotated[Cors | None, BeforeValidator(off_is_none)]
Decision = Annotated[Auth | None, BeforeValidator(_auth)]
