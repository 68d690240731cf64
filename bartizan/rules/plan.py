"""The plan that the edge runs: what is left of the rules, and the gate that wakes them.

`plan.json` names the databases that lie beside it. Numbers are places in the plan's own lists, from 0; the
number of a pattern in a database is its place in `patterns` plus 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bartizan.rules.gate import COLLECTIONS, Gate, Kind, Probe
from bartizan.rules.hyperscan import Expression
from bartizan.rules.model import Ctl, Link, Macro, Operator, Parts, Rule, Setvar, Variable
from bartizan.rules.patterns import PLAIN, plain
from bartizan.rules.reachable import Reachable
from bartizan.rules.settings import RuleSettings

FORMAT: Final = 1
MATCH_LIMIT: Final = 100_000
_PLAIN: Final = "-plain"
_DECODED: Final = "-decoded"
# They make garbage of ordinary words: it is asked only what is asked after them, in a database of its own.
_DECODERS: Final = frozenset({"base64Decode", "base64DecodeExt", "hexDecode", "sqlHexDecode"})
_PARANOIA: Final = "paranoia-level/"

Json = dict[str, Any]


@dataclass(slots=True)
class Database:
    """What one Hyperscan database is made of.

    Attributes:
        name: of its file, without the ending.
        numbers: of the patterns that it stands for.
    """

    name: str
    expressions: list[Expression] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Plan:
    """A plan that is not written yet.

    Attributes:
        document: what plan.json says.
        databases: what lies beside it.
        rules: the rules of the plan, in its order.
        gates: how each is woken.
        patterns: for each pattern number less 1 the place of its rule.
    """

    document: Json
    databases: list[Database]
    rules: list[Rule]
    gates: list[Gate]
    patterns: list[tuple[int, int]]


def make_plan(reached: Reachable, gates: Sequence[Gate], settings: RuleSettings, version: str | None) -> Plan:
    """Put a plan together."""
    rules = list(reached.rules)
    builder = _Gates(rules, gates)
    places = iter(range(len(rules)))
    phases = [
        {"phase": phase.number, "rules": [next(places) for _ in phase.rules], "markers": phase.markers}
        for phase in reached.phases
    ]
    document = {
        "format": FORMAT,
        "crs": version,
        "settings": {
            "paranoia": settings.paranoia,
            "inbound": settings.inbound,
            "outbound": settings.outbound,
        },
        "tx": dict(sorted(reached.tx.items())),
        "limits": {"match": MATCH_LIMIT},
        "phases": phases,
        "rules": [_rule(rule, gate) for rule, gate in zip(rules, gates, strict=True)],
        "gate": builder.document(),
    }
    return Plan(document, builder.databases, rules, list(gates), builder.patterns)


class _Gates:
    """Numbers the patterns, and tells each kind what is asked of its values."""

    def __init__(self, rules: Sequence[Rule], gates: Sequence[Gate]) -> None:
        self._rules = rules
        self.patterns: list[tuple[int, int]] = []
        self._chains: dict[tuple[str, ...], int] = {(): 0}
        self._asked: dict[Kind, list[tuple[int, Probe, int | None]]] = {}
        self._expressions: dict[int, list[Expression]] = {}
        for place, gate in enumerate(gates):
            for probe in gate.probes:
                number = self._number(place, probe) if probe.patterns is not None else None
                for kind in probe.kinds:
                    self._asked.setdefault(kind, []).append((place, probe, number))
        self._kinds = {kind: self._questions(kind) for kind in self._all_kinds()}
        self.databases = self._databases()

    def _number(self, place: int, probe: Probe) -> int:
        self.patterns.append((place, self._chain(probe.chain)))
        number = len(self.patterns)
        expressions = probe.patterns.expressions if probe.patterns else ()
        self._expressions[number] = [Expression(number, *one) for one in expressions]
        return number

    def _chain(self, names: tuple[str, ...]) -> int:
        return self._chains.setdefault(names, len(self._chains))

    def _all_kinds(self) -> list[Kind]:
        """Return the kinds; a named member is asked what all members are asked, unless it is left out there.

        Headers that rules leave out by name (Cookie, Referer) have a kind, too: they are in most requests.
        """
        general = {Kind(kind.collection) for kind in self._asked}
        left_out = {
            Kind(variable.name, (variable.selector or "").lower())
            for rule in self._rules
            for link in rule.links
            for variable in link.variables
            if variable.excluded and variable.name == "REQUEST_HEADERS" and not variable.regex
        }
        return sorted(general | set(self._asked) | {kind for kind in left_out if kind.selector})

    def _questions(self, kind: Kind) -> list[tuple[int, Probe, int | None]]:
        asked = list(self._asked.get(Kind(kind.collection), ()))
        if kind.selector:
            asked = [one for one in asked if not _excludes(self._rules[one[0]].links[one[1].link], kind)]
            asked += self._asked.get(kind, ())
        return asked

    def _databases(self) -> list[Database]:
        """Return for each family of kinds the database of all values and that of plain ones, if not empty."""
        families: dict[str, set[int]] = {}
        for kind, asked in self._kinds.items():
            for _, probe, number in asked:
                if number is not None:
                    families.setdefault(_database_name(kind, probe.chain), set()).add(number)
        found: list[Database] = []
        for name, numbers in families.items():
            whole = Database(
                name, [one for number in sorted(numbers) for one in self._expressions[number]], numbers
            )
            small = [
                Expression(one.number, pattern, one.flags)
                for one in whole.expressions
                if (pattern := plain(one.pattern)) is not None
            ]
            found += [whole, Database(name + _PLAIN, small, {one.number for one in small})]
        return [database for database in found if database.expressions]

    def document(self) -> Json:
        """Return the plan's member `gate`."""
        kinds = [self._kind(kind, asked) for kind, asked in self._kinds.items()]
        return {
            "databases": [
                {"file": f"{database.name}.hs", "patterns": len(database.expressions)}
                for database in self.databases
            ],
            "plain": sorted(PLAIN),
            "chains": [list(names) for names in self._chains],
            "patterns": [{"rule": place, "chain": chain} for place, chain in self.patterns],
            "kinds": kinds,
        }

    def _is_decoded(self, number: int) -> bool:
        chain = self.patterns[number - 1][1]
        return any(place == chain and _decodes(names) for names, place in self._chains.items())

    def _places(self, name: str, numbers: list[int]) -> tuple[int | None, int | None]:
        """Return which databases hold some of the patterns for all values, and for plain ones."""
        found: dict[str, int] = {
            database.name: at
            for at, database in enumerate(self.databases)
            if not database.numbers.isdisjoint(numbers)
        }
        return found.get(name), found.get(name + _PLAIN)

    def _kind(self, kind: Kind, asked: Iterable[tuple[int, Probe, int | None]]) -> Json:
        numbers = sorted({number for _, _, number in asked if number is not None})
        database, small = self._places(kind.family, numbers)
        decoded, decoded_small = self._places(kind.family + _DECODED, numbers)
        used = {
            number for at in (database, decoded) if at is not None for number in self.databases[at].numbers
        }
        direct = [
            {"rule": place, "chain": self._chain(probe.chain)}
            | ({"operator": _operator(probe.operator)} if probe.operator else {"link": probe.link})
            for place, probe, number in asked
            if number is None and not probe.present
        ]
        chains = {self.patterns[number - 1][1] for number in numbers} | {each["chain"] for each in direct}
        own = sorted({self.patterns[number - 1][1] for number in numbers if self._is_decoded(number)})
        parts = [{"chains": own, "database": decoded, "plain": decoded_small}] if own else []
        return {
            "collection": kind.collection,
            "selector": kind.selector or None,
            "database": database,
            "plain": small,
            "parts": parts,
            "chains": sorted(chains),
            "accepts": None if used <= set(numbers) else numbers,
            "direct": direct,
            "always": sorted({place for place, probe, _ in asked if probe.present}),
        }


def _decodes(chain: tuple[str, ...]) -> bool:
    return not _DECODERS.isdisjoint(chain)


def _database_name(kind: Kind, chain: tuple[str, ...]) -> str:
    return kind.family + (_DECODED if _decodes(chain) else "")


def _excludes(link: Link, kind: Kind) -> bool:
    """Say whether a link leaves out a named member, under each name of the collection that it looks at."""
    names = {
        variable.name
        for variable in link.variables
        if not variable.excluded and COLLECTIONS.get(variable.name) == kind.collection
    }
    excluded = {
        variable.name
        for variable in link.variables
        if variable.excluded and not variable.regex and (variable.selector or "").lower() == kind.selector
    }
    return names <= excluded


def _rule(rule: Rule, gate: Gate) -> Json:
    paranoia = [tag.removeprefix(_PARANOIA) for tag in rule.tags if tag.startswith(_PARANOIA)]
    return {
        "id": rule.id,
        "phase": rule.phase,
        "links": [_link(link) for link in rule.links],
        "disruptive": rule.disruptive,
        "argument": rule.argument or None,
        "blocks": rule.blocks,
        "status": rule.status,
        "severity": rule.severity,
        "msg": _parts(rule.links[0].msg),
        "tags": list(rule.tags),
        "log": rule.log,
        "skip_after": rule.skip_after,
        "paranoia": int(paranoia[0]) if paranoia and paranoia[0].isdigit() else None,
        "file": rule.place.path.name,
        "line": rule.place.line,
        "gate": {"kind": gate.kind} | ({"link": gate.link} if gate.link is not None else {}),
        "stirs": gate.stirs,
        "prepares": gate.prepares,
    }


def _link(link: Link) -> Json:
    return {
        "targets": [_target(variable) for variable in link.variables],
        "operator": None if link.operator is None else _operator(link.operator),
        "transformations": list(link.transformations),
        "multi_match": link.multi_match,
        "capture": link.capture,
        "setvars": [_setvar(setvar) for setvar in link.setvars],
        "ctls": [_ctl(ctl) for ctl in link.ctls],
        "msg": _parts(link.msg),
        "logdata": _parts(link.logdata),
        "line": link.place.line,
    }


def _target(variable: Variable) -> Json:
    return {
        "name": variable.name,
        "selector": variable.selector,
        "regex": variable.regex,
        "excluded": variable.excluded,
        "count": variable.count,
    }


def _operator(operator: Operator) -> Json:
    return {
        "name": operator.name,
        "argument": _parts(operator.argument),
        "negated": operator.negated,
        "entries": list(operator.entries),
    }


def _setvar(setvar: Setvar) -> Json:
    return {"key": _parts(setvar.key), "change": setvar.change, "value": _parts(setvar.value)}


def _ctl(ctl: Ctl) -> Json:
    return {
        "name": ctl.name,
        "value": ctl.value,
        "target": None if ctl.target is None else _target(ctl.target),
    }


def _parts(parts: Parts) -> list[Any]:
    return [{"name": part.name, "key": part.key} if isinstance(part, Macro) else part for part in parts]
