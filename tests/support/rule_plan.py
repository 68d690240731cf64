"""Plans for the rule engine, written by hand, and requests that are run through it.

    plan = make_plan([
        rule(1, link("ARGS|!ARGS:note", "@rx ^(a+)", capture=True, setvars=["tx.found=%{TX.1}"])),
        rule(2, link("TX:found", "@streq aaa"), disruptive="deny"),
    ])
    RuleEngine(plan).run(get("/?q=aaa"))            # → [Outcome of phase 1, of phase 2]

The gate of a rule is "always" unless one is named, so that the rule itself is what is tested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bartizan.rules.model import Link as SecLink
from bartizan.rules.model import Marker as SecMarker
from bartizan.rules.model import Rule as SecRule
from bartizan.rules.read import read_rules
from tests.support.lua import Lua

Json = dict[str, Any]

_MACRO: Final = re.compile(r"%\{([A-Za-z_]+)(?:[.:]([^}]+))?\}")
_TARGET: Final = re.compile(r"([!&]?)([A-Z_0-9]+)(?::(.+))?")
_SETVAR: Final = re.compile(r"(!?)tx\.([^=]+)(?:=([+-]?)(.*))?", re.DOTALL)


def parts(text: str) -> list[Any]:
    """Split a text into constant parts and macros."""
    found: list[Any] = []
    end = 0
    for match in _MACRO.finditer(text):
        if match.start() > end:
            found.append(text[end : match.start()])
        name, key = match[1].upper(), match[2]
        found.append({"name": name, "key": key.lower() if key and name == "TX" else key})
        end = match.end()
    if end < len(text):
        found.append(text[end:])
    return found


def target(text: str) -> Json:
    """Read one target, such as ARGS, !ARGS:x, &TX:/^a/."""
    match = _TARGET.fullmatch(text)
    assert match, text
    sign, name, selector = match.groups()
    regex = bool(selector) and selector.startswith("/") and selector.endswith("/")
    return {
        "name": name,
        "selector": selector[1:-1] if regex else selector,
        "regex": regex,
        "excluded": sign == "!",
        "count": sign == "&",
    }


def operator(text: str) -> Json:
    """Read an operator, such as !@rx ^a."""
    name, _, argument = text.lstrip("!").removeprefix("@").partition(" ")
    entries = argument.split() if name in {"pm", "ipMatch"} else []
    return {
        "name": name, "argument": parts(argument), "negated": text.startswith("!"), "entries": entries,
    }  # fmt: skip


def setvar(text: str) -> Json:
    """Read what stands behind setvar: such as tx.a=+1."""
    match = _SETVAR.fullmatch(text)
    assert match, text
    change = "!" if match[1] else match[3] or "="
    return {"key": parts(match[2]), "change": change, "value": parts("1" if match[4] is None else match[4])}


def ctl(text: str) -> Json:
    """Read what stands behind ctl: such as ruleRemoveTargetById=1;ARGS:q."""
    name, _, value = text.partition("=")
    value, semicolon, left_out = value.partition(";")
    return {"name": name, "value": value, "target": target(left_out) if semicolon else None}


def link(
    targets: str = "",
    asks: str | None = None,
    *,
    t: str = "",
    setvars: Iterable[str] = (),
    ctls: Iterable[str] = (),
    **more: Any,
) -> Json:
    """Make a link. Without `asks` it is a SecAction."""
    texts = {name: parts(more.pop(name, "")) for name in ("msg", "logdata")}
    return {
        "targets": [target(text) for text in _split(targets)],
        "operator": None if asks is None else operator(asks),
        "transformations": t.split(),
        "multi_match": False,
        "capture": False,
        "setvars": [setvar(text) for text in setvars],
        "ctls": [ctl(text) for text in ctls],
        "line": 1,
        **texts,
        **more,
    }


def _split(targets: str) -> list[str]:
    return [text for text in re.split(r"\|(?![^/]*/(?:\||$))", targets) if text]


def rule(number: int, *links: Json, gate: str = "always", **more: Any) -> Json:
    """Make a rule of phase 2 that passes."""
    return {
        "id": number, "phase": 2, "links": list(links), "disruptive": "pass", "blocks": False, "status": None,
        "severity": None, "msg": [], "tags": [], "log": True, "skip_after": None, "paranoia": None,
        "file": "test.conf", "line": number, "gate": {"kind": gate, "link": 0}, **more,
    }  # fmt: skip


@dataclass(frozen=True)
class Marker:
    """SecMarker, among the rules."""

    name: str


def make_plan(entries: Sequence[Json | Marker], gate: Json | None = None, **more: Any) -> Json:
    """Make a plan of rules and markers, in their order."""
    rules = [entry for entry in entries if not isinstance(entry, Marker)]
    phases = []
    for number in (1, 2):
        order: list[int] = []
        markers: dict[str, int] = {}
        for entry in entries:
            if isinstance(entry, Marker):
                markers[entry.name] = len(order)
            elif entry["phase"] == number:
                order.append(rules.index(entry))
        phases.append({"phase": number, "rules": order, "markers": markers})
    return {
        "format": 1, "crs": None, "settings": {"paranoia": 1, "inbound": 5, "outbound": 4}, "tx": {},
        "limits": {}, "phases": phases, "rules": rules,
        "gate": gate or {"databases": [], "chains": [[]], "patterns": [], "kinds": []}, **more,
    }  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A request. Texts are bytes, a character each."""

    target: str = "/"
    method: str = "GET"
    headers: Sequence[tuple[str, str]] = (("Host", "localhost"),)
    body: str = ""

    def source(self) -> Json:
        """Give what collect.head takes."""
        return {
            "method": self.method, "target": self.target, "protocol": "HTTP/1.1",
            "names": [name for name, _ in self.headers], "values": [value for _, value in self.headers],
            "count": len(self.headers), "address": "192.0.2.1", "port": 1234, "id": "request-1",
        }  # fmt: skip


def get(request_target: str, **headers: str) -> Request:
    """Make a GET request; an underscore in a header's name is a hyphen."""
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Request(request_target, headers=[("Host", "localhost"), *fields])


def form(body: str, request_target: str = "/") -> Request:
    """Make a request with a form."""
    fields = (("Host", "localhost"), ("Content-Type", "application/x-www-form-urlencoded"))
    return Request(request_target, "POST", fields, body)


@dataclass(frozen=True)
class Outcome:
    """What the engine says of a phase."""

    matches: list[Json]
    disruptive: Json | None = None
    finished: bool = False
    detection_only: bool = False
    processor: str | None = None
    force_body: bool | None = None
    body_access: bool | None = None
    score: int = 0
    tx: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def ids(self) -> list[int]:
        """The rules that matched, in order."""
        return [match["rule"] for match in self.matches]


class RuleEngine:
    """An engine, in a LuaJIT of its own unless one is given."""

    def __init__(
        self,
        plan: Json | str,
        read_file: Callable[[str], bytes] | Path | None = None,
        *,
        gateless: bool = False,
        lua: Lua | None = None,
    ) -> None:
        self.lua = lua or Lua(encoding="latin-1")
        self._module = self.lua.require("bartizan.waf.engine")
        self.collect = self.lua.require("bartizan.waf.collect")
        # The text of a plan is UTF-8, and the engine sees its bytes.
        text = plan if isinstance(plan, str) else json.dumps(plan, ensure_ascii=False)
        make = self.lua.execute("""
            local json, engine = require("bartizan.json"), require("bartizan.waf.engine")
            return function(text, read_file, gateless)
                local plan = assert(json.decode(text, json.OWN_FILE))
                local ok, made = pcall(engine.new, plan, read_file, { gateless = gateless })
                if not ok then return nil, made end
                return made
            end
        """)
        if isinstance(read_file, Path):
            folder = read_file
            read = lambda name: (folder / name).read_bytes()  # noqa: E731
        else:
            read = read_file or (lambda _name: None)
        made = make(text.encode(), read, gateless)
        if isinstance(made, tuple):
            raise ValueError(made[1])  # noqa: TRY004 -- nil and a sentence
        self.engine = made

    def begin(self, request: Request) -> Any:
        """Collect a request's head."""
        return self.collect.head(self.lua.table(request.source()))

    def phase(self, transaction: Any, number: int, *, enforcing: bool = False) -> Outcome:
        """Run the rules of one phase."""
        outcome = self.lua.python(self._module.run(self.engine, transaction, number, enforcing))
        for name in ("matches", "tx"):
            outcome[name] = outcome[name] or type(outcome[name])()
        outcome["tx"] = outcome["tx"] or {}
        known = Outcome.__dataclass_fields__
        assert set(outcome) <= set(known), outcome
        return Outcome(**outcome)

    def run(self, request: Request, *, enforcing: bool = False) -> list[Outcome]:
        """Run phase 1, read the body, and run phase 2 unless phase 1 ends the request."""
        transaction = self.begin(request)
        outcomes = [self.phase(transaction, 1, enforcing=enforcing)]
        first = outcomes[0]
        if not (first.finished or (enforcing and first.disruptive)):
            limits = {
                "window": 131072, "processor": first.processor, "force": first.force_body,
                "access": first.body_access,
            }  # fmt: skip
            limits = {name: value for name, value in limits.items() if value is not None}
            self.collect.body(transaction, request.body, self.lua.table(limits))
            outcomes.append(self.phase(transaction, 2, enforcing=enforcing))
        return outcomes

    def last(self, request: Request, *, enforcing: bool = False) -> Outcome:
        """Run a request and give the outcome of the last phase that ran."""
        return self.run(request, enforcing=enforcing)[-1]


def read_plan(*paths: Path, **more: Any) -> Json:
    """Make a plan of files of SecLang, in which every rule is always evaluated."""
    entries = [
        Marker(entry.name) if isinstance(entry, SecMarker) else _as_plan(entry)
        for entry in read_rules(paths, paths).entries
    ]
    return make_plan(entries, **more)


def _as_plan(entry: SecRule) -> Json:
    more = {
        name: getattr(entry, name)
        for name in ("phase", "disruptive", "argument", "status", "severity", "log", "skip_after")
    }
    return rule(entry.id, *map(_link_as_plan, entry.links), tags=list(entry.tags), **more)


def _link_as_plan(each: SecLink) -> Json:
    asked = each.operator
    return {
        "targets": [asdict(variable) for variable in each.variables],
        "operator": asked and {
            "name": asked.name, "argument": _as_parts(asked.argument), "negated": asked.negated,
            "entries": list(asked.entries),
        },
        "transformations": list(each.transformations), "multi_match": each.multi_match,
        "capture": each.capture, "line": 1, "msg": _as_parts(each.msg), "logdata": _as_parts(each.logdata),
        "setvars": [
            {"key": _as_parts(item.key), "change": item.change, "value": _as_parts(item.value)}
            for item in each.setvars
        ],
        "ctls": [
            {"name": item.name, "value": item.value, "target": item.target and asdict(item.target)}
            for item in each.ctls
        ],
    }  # fmt: skip


def _as_parts(texts: Iterable[Any]) -> list[Any]:
    return [part if isinstance(part, str) else asdict(part) for part in texts]
