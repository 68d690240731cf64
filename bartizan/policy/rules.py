"""The rule engine's settings: which rules there are, and what of them acts on a route."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from bartizan.policy import values
from bartizan.policy.base import Mode, Model, off_is_none
from bartizan.policy.formats import Format, Forms, word
from bartizan.policy.values import File, Size

WINDOW: Final = 128 << 10
_NARROWEST: Final = 1 << 10
_WIDEST: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_KINDS: Final = ("args", "cookie", "header")
# What a SecLang selector can name; a quote, a bar or a space would be more than a name in a rule.
_MEMBER: Final = re.compile(r"[!#$%&()*+./0-9:;<=>?@A-Z\[\]^_`a-z{}~-]{1,200}", re.ASCII)


def _source(value: Any, info: ValidationInfo) -> Path | str:
    if isinstance(value, str) and value and "\0" not in value:
        if "/" in value or value.startswith("."):
            return values.read_file(value, info)
        if _NAME.fullmatch(value):
            return value
    raise ValueError(
        "is not the name of rules; write the path of a folder,"
        " or the name that `bartizan rules install` gave them"
    )


def _parameter(value: str) -> str:
    kind, colon, name = value.partition(":")
    if kind not in _KINDS or not colon or not _MEMBER.fullmatch(name):
        raise ValueError(
            "is not a parameter; write args:NAME, cookie:NAME or header:NAME, such as args:comment"
        )
    return f"{kind}:{name.lower() if kind == 'header' else name}"


def _tag(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9/_.:-]{1,100}", value, re.ASCII):
        raise ValueError("is not a tag; write one as rules have it, such as attack-sqli")
    return value


def _window(value: int) -> int:
    if not _NARROWEST <= value <= _WIDEST:
        raise ValueError("is out of range; allowed: from 1KiB to 1MiB")
    return value


_SOURCE = Format("rules", "a folder, or the name of installed rules", ("/opt/crs-4.28.0", "crs-4.28.0"))
_PARAMETER = Format(
    "parameter",
    "`args:NAME`, `cookie:NAME` or `header:NAME`",
    ("args:comment", "cookie:draft", "header:referer"),
    r"^(args|cookie|header):",
)
_TAG = Format("tag", "a tag as the rules have it", ("attack-sqli",))


class Rules(Model):
    """Which rules the rule engine runs."""

    source: Annotated[Path | str, BeforeValidator(_source), _SOURCE] | None = Field(
        default=None, examples=["/opt/crs-4.28.0"]
    )
    """A tree of the OWASP Core Rule Set, 4.x or 3.3: a folder, or the name of rules that
    `bartizan rules install` has put in the state folder. Absent: those of Debian's package
    `modsecurity-crs`."""
    before: tuple[File, ...] = Field(default=(), examples=["rules/exclusions.conf"])
    """SecLang files of your own that are read before the rules, in this order: what the rules should not look
    at (`ctl:ruleRemoveTargetById`)."""
    after: tuple[File, ...] = Field(default=(), examples=["rules/own.conf"])
    """SecLang files of your own that are read after the rules, in this order: rules of your own, and changes
    of those before (`SecRuleRemoveById`, `SecRuleUpdateTargetById`)."""
    plugins: File | None = Field(default=None, examples=["rules/plugins"])
    """A folder of plugins of the Core Rule Set: `*-config.conf`, `*-before.conf` and `*-after.conf`."""


class Thresholds(Model):
    """From which anomaly score on a request is refused."""

    inbound: Annotated[int, Field(ge=1, le=10_000, examples=[10])] = 5
    """Of requests. One critical match scores 5, an error 4, a warning 3, a notice 2."""
    outbound: Annotated[int, Field(ge=1, le=10_000, examples=[8])] = 4
    """Of answers. No rule looks at answers yet; the Core Rule Set is told all the same."""


class Exclusion(Model):
    """What a rule should not look at on this route, or which rule should not look at all."""

    parameter: Annotated[str, AfterValidator(_parameter), _PARAMETER] | None = None
    """The argument (of the query, a form, or JSON by its path: `args:json.text`), cookie or header field that
    is left out. Absent: the rule is off as a whole."""
    rule: Annotated[int, Field(ge=1, le=2**31 - 1, examples=[942100])] | None = None
    """The rule's id, as the audit log has it."""
    tag: Annotated[str, AfterValidator(_tag), _TAG] | None = None
    """A tag that the rules have: all of them."""
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, examples=["customers paste code here"]
    )
    """Why, for whoever reads the policy next."""

    @model_validator(mode="after")
    def _one_target(self) -> "Exclusion":
        if (self.rule is None) == (self.tag is None):
            raise ValueError(
                "needs exactly one of rule (an id, such as 942100) and tag (such as attack-sqli)"
            )
        return self


class Waf(Model):
    """What the rule engine does on a route."""

    paranoia: Annotated[int, Field(ge=1, le=4)] = 1
    """The paranoia level of the Core Rule Set: 1 refuses what is clearly an attack; each level above has more
    rules, and more false alarms to exclude."""
    thresholds: Thresholds = Field(default=Thresholds(), examples=[{"inbound": 10}])
    """From which anomaly score on a request is refused."""
    exclusions: tuple[Exclusion, ...] = Field(default=(), examples=[{"rule": 942100, "parameter": "args:q"}])
    """What no rule, or a rule not at all, should look at on this route."""
    window: Annotated[Size, AfterValidator(_window)] = WINDOW
    """How much of a body is inspected, from its beginning. It lies in memory meanwhile. From 1KiB to 1MiB."""
    incomplete: Literal["refuse", "pass"] = "refuse"
    """What becomes of a body that can't be inspected whole: longer than the window, of a kind that is not
    read (uploads as multipart, XML), encoded (gzip), or not well-formed. `pass` inspects what can be, and
    forwards it; a route for large uploads needs it."""
    mode: Mode = "enforce"
    """`enforce` refuses, `observe` decides, logs and counts but refuses nothing, `off` does nothing."""


RuleEngine = Annotated[Waf | None, BeforeValidator(off_is_none), Forms((word("off"),))]
