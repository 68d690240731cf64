"""What a rule does and says: the last argument of SecRule, SecAction and SecDefaultAction."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bartizan.rules.ctls import ctl
from bartizan.rules.macros import lowered, parts
from bartizan.rules.model import Ctl, Parts, Setvar
from bartizan.rules.names import DISRUPTIVE, PERSISTENT, SEVERITIES, known, meant
from bartizan.rules.problems import Mistake, Refusal

_PHASES: Final = {"request": 2, "response": 4, "logging": 5}
_SETVAR: Final = re.compile(r"(!?)([A-Za-z_]+)[.:]([^=]+?)(?:=([+-]?)(.*))?", re.DOTALL)


@dataclass(slots=True)
class Actions:
    """The actions of one statement.

    Attributes:
        names: every action that stands there, by the manual's spelling.
        cleared: whether t:none stands there, so that what SecDefaultAction transforms does not count.
        log: None where nothing is said.
        refused: why actions were left out of it; only where that may be.
    """

    names: list[str] = field(default_factory=list)
    id: int | None = None
    phase: int | None = None
    disruptive: str | None = None
    argument: str = ""
    status: int | None = None
    transformations: list[str] = field(default_factory=list)
    cleared: bool = False
    multi_match: bool = False
    capture: bool = False
    chained: bool = False
    setvars: list[Setvar] = field(default_factory=list)
    ctls: list[Ctl] = field(default_factory=list)
    msg: Parts = ()
    logdata: Parts = ()
    tags: list[str] = field(default_factory=list)
    severity: int | None = None
    ver: str = ""
    rev: str = ""
    log: bool | None = None
    audit_log: bool | None = None
    skip_after: str | None = None


def read_actions(read: Iterable[dict[str, Any]]) -> tuple[Actions, list[Mistake]]:
    """Return what a list of actions says, and what is wrong with it.

    Args:
        read: the list as the parser read it.
    """
    actions, mistakes = Actions(), []
    for one in read:
        try:
            _take(actions, one["act_name"], _argument(one))
        except Mistake as mistake:
            mistakes.append(mistake)
    return actions, mistakes


def _argument(read: dict[str, Any]) -> str:
    """Return the argument whole: unquoted, the parser takes it apart at the first `=`, `;` and `:`."""
    text: str = read["act_arg"]
    for sign, key in (("=", "act_arg_val"), (";", "act_arg_val_param"), (":", "act_arg_val_param_val")):
        if read[key]:
            text += sign + read[key]
    text = text.replace("\\'", "'").replace('\\"', '"')
    return text if read["act_quote"] == "quotes" else text.strip()


def _take(actions: Actions, written: str, argument: str) -> None:
    name = known("action", written)
    if name in _PLAIN and argument:
        raise Mistake(f"the action {name} takes no argument, but has {argument!r}")
    if name not in _PLAIN and name != "allow" and not argument.strip():
        raise Mistake(f"the action {name} needs an argument")
    if name in _ONCE and name in actions.names:
        raise Mistake(f"the action {name} stands there twice; take one out")
    if name in DISRUPTIVE.values() and (
        twice := [one for one in actions.names if one in DISRUPTIVE.values()]
    ):
        raise Mistake(f"the actions {twice[0]} and {name} exclude each other; take one out")
    actions.names.append(name)
    _TAKERS[name](actions, argument)


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text) or not lowest <= int(text) <= highest:
        raise Mistake(f"{name}:{text} must be a number from {lowest} to {highest}")
    return int(text)


def _id(actions: Actions, text: str) -> None:
    actions.id = _number("id", text, 1, 10**12)


def _phase(actions: Actions, text: str) -> None:
    if (phase := _PHASES.get(text.lower())) is None:
        if text not in set("12345"):
            raise Mistake(f"phase:{text} must be 1 to 5, request, response or logging")
        phase = int(text)
    actions.phase = phase


def _disruptive(name: str) -> Callable[[Actions, str], None]:
    def take(actions: Actions, text: str) -> None:
        actions.disruptive = name
        if name == "redirect":
            actions.argument = text

    return take


def _allow(actions: Actions, text: str) -> None:
    if text.lower() not in {"", "phase", "request"}:
        raise Mistake(f"allow:{text} must be allow, allow:phase or allow:request")
    actions.disruptive = f"allow:{text.lower()}" if text else "allow"


def _status(actions: Actions, text: str) -> None:
    actions.status = _number("status", text, 100, 599)


def _transformation(actions: Actions, text: str) -> None:
    name = known("transformation", text)
    if name == "none":
        actions.transformations.clear()
        actions.cleared = True
    else:
        actions.transformations.append(name)


def _setvar(actions: Actions, text: str) -> None:
    match = _SETVAR.fullmatch(text)
    if match is None or (match[1] and match[5] is not None):
        raise Mistake(f"setvar:{text} must be tx.name=value, tx.name=+1, tx.name=-1 or !tx.name")
    taken_away, collection, key, sign, value = match.groups()
    if collection.lower() in PERSISTENT:
        raise Refusal(f"setvar:{text} is refused: {PERSISTENT[collection.lower()]}")
    if collection.lower() != "tx":
        raise Mistake(f"setvar:{text} sets a member of {collection}; only those of TX can be set")
    change = "!" if taken_away else sign or "="
    # Without a value it is set to 1, as the manual says of setvar:tx.name.
    actions.setvars.append(
        Setvar(lowered(key), change, () if taken_away else parts("1" if value is None else value))
    )


def _severity(actions: Actions, text: str) -> None:
    if text.isdecimal() and len(text) == 1 and int(text) < len(SEVERITIES):
        actions.severity = int(text)
    elif text.upper() in SEVERITIES:
        actions.severity = SEVERITIES.index(text.upper())
    else:
        raise Mistake(
            f"severity:{text} must be 0 to 7 or a word{meant(text, SEVERITIES) or ' from EMERGENCY to DEBUG'}"
        )


def _log(log: bool | None, audit: bool) -> Callable[[Actions, str], None]:
    def take(actions: Actions, _text: str) -> None:
        actions.audit_log = audit
        if log is not None:
            actions.log = log

    return take


def _set(name: str, read: Callable[[str], object]) -> Callable[[Actions, str], None]:
    def take(actions: Actions, text: str) -> None:
        setattr(actions, name, read(text))

    return take


def _small(name: str) -> Callable[[Actions, str], None]:
    def take(_actions: Actions, text: str) -> None:
        _number(name, text, 0, 9)

    return take


_TAKERS: Final[dict[str, Callable[[Actions, str], None]]] = {
    **{name: _disruptive(name) for name in DISRUPTIVE.values()},
    "allow": _allow,
    "accuracy": _small("accuracy"),
    "auditlog": _log(None, audit=True),
    "capture": _set("capture", lambda _: True),
    "chain": _set("chained", lambda _: True),
    "ctl": lambda actions, text: actions.ctls.append(ctl(text)),
    "id": _id,
    "log": _log(log=True, audit=True),
    "logdata": _set("logdata", parts),
    "maturity": _small("maturity"),
    "msg": _set("msg", parts),
    "multiMatch": _set("multi_match", lambda _: True),
    "noauditlog": _log(None, audit=False),
    "nolog": _log(log=False, audit=False),
    "phase": _phase,
    "rev": _set("rev", str),
    "setvar": _setvar,
    "severity": _severity,
    "skipAfter": _set("skip_after", str),
    "status": _status,
    "t": _transformation,
    "tag": lambda actions, text: actions.tags.append(text),
    "ver": _set("ver", str),
}
_PLAIN: Final = frozenset(
    {
        "auditlog",
        "block",
        "capture",
        "chain",
        "deny",
        "drop",
        "log",
        "multiMatch",
        "noauditlog",
        "nolog",
        "pass",
    }
)
_ONCE: Final = frozenset(
    {"accuracy", "id", "logdata", "maturity", "msg", "phase", "rev", "severity", "skipAfter", "status", "ver"}
)
