"""The action ctl: what a rule changes for the rest of its request."""

import re
from typing import Final

from bartizan.rules.model import Ctl
from bartizan.rules.names import known
from bartizan.rules.problems import Mistake
from bartizan.rules.targets import one_target

_IDS: Final = re.compile(r"\d+(?:\s*-\s*\d+)?")
_CHOICES: Final = {
    "auditEngine": ("On", "Off", "RelevantOnly"),
    "forceRequestBodyVariable": ("On", "Off"),
    "parseXmlIntoArgs": ("On", "Off", "OnlyArgs"),
    "requestBodyAccess": ("On", "Off"),
    "requestBodyProcessor": ("URLENCODED", "JSON", "MULTIPART", "XML"),
    "responseBodyAccess": ("On", "Off"),
    "ruleEngine": ("On", "Off", "DetectionOnly"),
}


def ctl(text: str) -> Ctl:
    """Read a ctl action.

    Args:
        text: as in `ruleRemoveTargetById=942100;ARGS:comment`.

    Raises:
        Refusal: it is deliberately not done.
        Mistake: there is no such ctl, or it can't become that.
    """
    written, sign, value = text.partition("=")
    name, value = known("ctl", written.strip()), value.strip()
    if not sign or not value:
        raise Mistake(f"ctl:{name} needs a value: ctl:{name}={_example(name)}")
    if name in _CHOICES:
        for choice in _CHOICES[name]:
            if choice.lower() == value.lower():
                return Ctl(name, choice)
        raise Mistake(f"ctl:{name}={value} must be one of {', '.join(_CHOICES[name])}")
    if name.startswith("ruleRemoveTarget"):
        value, _, written = value.partition(";")
        if not written.strip():
            raise Mistake(
                f"ctl:{name}={value} does not say what to leave out; write ctl:{name}={_example(name)}"
            )
        return Ctl(name, _ids(name, value.strip()), one_target(written.strip()))
    if name == "auditLogParts" and not re.fullmatch(r"[+-]?[A-KZa-kz]+", value):
        raise Mistake(f"ctl:{name}={value} must be letters of parts, such as +E")
    if name == "requestBodyLimit" and not re.fullmatch(r"\d{1,12}", value):
        raise Mistake(f"ctl:{name}={value} must be a number of bytes")
    return Ctl(name, _ids(name, value))


def _ids(name: str, value: str) -> str:
    if name.endswith("ById"):
        if not _IDS.fullmatch(value):
            raise Mistake(
                f"ctl:{name}={value} must name a rule's id or a range of ids, such as 942100 or 942100-942199"
            )
        return "".join(value.split())
    return value


def _example(name: str) -> str:
    if name in _CHOICES:
        return _CHOICES[name][0]
    what = "942100" if name.endswith("ById") else "attack-sqli" if name.endswith("ByTag") else "text"
    what = {"auditLogParts": "+E", "requestBodyLimit": "131072"}.get(name, what)
    return f"{what};ARGS:comment" if name.startswith("ruleRemoveTarget") else what
