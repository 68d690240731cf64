"""`bartizan rules compile`, `list` and `show`: what becomes of rules under a policy's settings."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bartizan.cli.console import complain, progress_of, say
from bartizan.cli.options import DEFAULT_POLICY, DEFAULT_STATE, PolicyOption, StateOption
from bartizan.errors import BartizanError
from bartizan.policy import Waf, load_policy, resolve
from bartizan.prepare import find_state
from bartizan.render.plans import rule_settings
from bartizan.rules.compile import Compiled, compile_rules, plan_rules
from bartizan.rules.gate import Probe
from bartizan.rules.install import installed
from bartizan.rules.listing import Row, listed
from bartizan.rules.model import Link, Macro, Operator, Parts, Rule, Variable
from bartizan.rules.settings import RuleSettings, RuleSource

SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="RULES",
        help="A release's folder (with a / in it), or the name of an installed one.",
        show_default="Debian's modsecurity-crs",
    ),
]
ParanoiaOption = Annotated[
    int | None,
    typer.Option(
        "--paranoia", metavar="LEVEL", min=1, max=4, help="From 1 to 4.", show_default="the policy's, or 1"
    ),
]
BeforeOption = Annotated[
    list[Path] | None, typer.Option("--before", metavar="FILE", help="Own rules that are read before.")
]
AfterOption = Annotated[
    list[Path] | None, typer.Option("--after", metavar="FILE", help="Own rules that are read after.")
]


def compile_(
    policy: PolicyOption = None,
    source: SourceOption = None,
    paranoia: ParanoiaOption = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Compile rules as a start of the policy does, and print the folders that the edge loads.

    Without --policy it is gateway.yaml where that is, unless --source, --before or --after name other rules.
    What has not changed is not compiled again. Rules with a mistake leave what was compiled before as it is:
    the command fails, and says where.
    """
    folder = find_state(state).state
    asked, wanted = _asked(policy, source, (before, after), paranoia, folder)
    with progress_of("compiling the rules") as progress:
        made = [compile_rules(asked, each, folder / "rules" / "compiled", progress) for each in wanted]
    for each, place in zip(wanted, made, strict=True):
        say(f"the rules are ready at paranoia {each.paranoia}: {place}")


def list_(
    policy: PolicyOption = None,
    source: SourceOption = None,
    paranoia: ParanoiaOption = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    state: StateOption = DEFAULT_STATE,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the rules that are left out, and why.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all rules.")] = False,
) -> None:
    """List the rules that run at a paranoia level, and how each is woken.

    With --all also those that do not run: settled before any request, skipped by the settings, never
    matching, excluded, or set aside because Bartizan does not do what they need.
    """
    asked, (first, *_) = _asked(policy, source, (before, after), paranoia, find_state(state).state)
    compiled = plan_rules(asked, first)
    rows = listed(compiled)
    if as_json:
        typer.echo(json.dumps([row.document() for row in rows], indent=1, ensure_ascii=False))
        return
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    console.print(_table([row for row in rows if everything or row.gate]))
    counts: dict[str, int] = {}
    for row in rows:
        key = f"woken by {row.gate}" if row.gate else (row.dropped or "")
        counts[key] = counts.get(key, 0) + 1
    console.print(Text(", ".join(f"{key}: {count}" for key, count in sorted(counts.items())), style="dim"))


def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="The rule's id.")],
    policy: PolicyOption = None,
    source: SourceOption = None,
    paranoia: ParanoiaOption = None,
    before: BeforeOption = None,
    after: AfterOption = None,
    state: StateOption = DEFAULT_STATE,
) -> None:
    """Show one rule: where it is written, what it asks, and how it is woken.

    ID is the rule's number, as the audit log names it.
    """
    asked, (first, *_) = _asked(policy, source, (before, after), paranoia, find_state(state).state)
    compiled = plan_rules(asked, first)
    rule = next((rule for rule in compiled.rules.rules if rule.id == number), None)
    row = next((row for row in listed(compiled) if row.id == number), None)
    if row is None:
        complain(f"there is no rule {number}; bartizan rules list --all names them")
        raise typer.Exit(1)
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    console.print(Text(f"{row.place}: rule {row.id}, phase {row.phase}", style="bold"))
    if row.dropped:
        console.print(Text(f"does not run ({row.dropped}): {row.reason}"))
    if rule is not None:
        _show(console, rule, compiled)


def _asked(
    policy: Path | None,
    source: str | None,
    own: tuple[list[Path] | None, list[Path] | None],
    paranoia: int | None,
    state: Path,
) -> tuple[RuleSource, list[RuleSettings]]:
    """Return which rules are meant, and the settings under which, those of the first route first."""
    if policy is None and (source or any(own) or not DEFAULT_POLICY.is_file()):
        before, after = own
        rules = RuleSource(_folder(source, state), tuple(before or ()), tuple(after or ()))
        return rules, [RuleSettings(paranoia or 1)]
    if source or any(own):
        raise typer.BadParameter("a policy says which rules it has; leave --source, --before and --after out")
    judged = load_policy(policy or DEFAULT_POLICY)
    wanted = dict.fromkeys(
        rule_settings(guard.settings)
        for route in resolve(judged)
        for guard in route.plan
        if isinstance(guard.settings, Waf)
    )
    if not wanted:
        raise BartizanError(f"{policy or DEFAULT_POLICY}: no route has a waf, so no rules run")
    if paranoia is not None:
        wanted = dict.fromkeys(replace(each, paranoia=paranoia) for each in wanted)
    named = judged.rules.source
    folder = installed(named, state / "rules" / "installed") if isinstance(named, str) else named
    rules = RuleSource(folder, judged.rules.before, judged.rules.after, judged.rules.plugins)
    return rules, list(wanted)


def _folder(source: str | None, state: Path) -> Path | None:
    if source is None:
        return None
    is_path = "/" in source or source.startswith(".")
    return Path(source) if is_path else installed(source, state / "rules" / "installed")


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("id", "phase", "paranoia", "woken by", "where", "message or reason"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(
            Text(str(row.id), style="bold"),
            str(row.phase or ""),
            str(row.paranoia or ""),
            Text(f"{row.gate} ({row.how})" if row.how else row.gate or f"not: {row.dropped}"),
            Text(row.place),
            Text(row.reason or row.message),
        )
    return table


def _show(console: Console, rule: Rule, compiled: Compiled) -> None:
    place = next((at for at, kept in enumerate(compiled.plan.rules) if kept.id == rule.id), None)
    kept = rule if place is None else compiled.plan.rules[place]
    action = f"block ({kept.disruptive})" if kept.blocks else kept.disruptive
    console.print(
        f"  action: {action}   severity: {kept.severity}   tags: {', '.join(kept.tags)}", markup=False
    )
    for number, link in enumerate(kept.links, 1):
        console.print(f"  link {number} (line {link.place.line}): {_link(link)}", markup=False)
    if place is None:
        return
    gate = compiled.plan.gates[place]
    by = "" if gate.link is None else f", link {gate.link + 1}"
    console.print(f"  woken by: {gate.kind}{by}", markup=False)
    for probe in gate.probes:
        console.print(f"    {_probe(probe, kept, place, compiled)}", markup=False)


def _probe(probe: Probe, rule: Rule, place: int, compiled: Compiled) -> str:
    kinds = " ".join(
        f"{kind.collection}:{kind.selector}" if kind.selector else kind.collection for kind in probe.kinds
    )
    chain = " → ".join(probe.chain) or "as it is"
    if probe.present:
        return f"{kinds}: there at all"
    if probe.patterns is None:
        operator = probe.operator or rule.links[probe.link].operator
        return f"{kinds} ({chain}): asked itself, {_operator(operator)}"
    numbers = {
        number
        for number, (each, chain_number) in enumerate(compiled.plan.patterns, 1)
        if each == place and compiled.plan.document["gate"]["chains"][chain_number] == list(probe.chain)
    }
    where = ", ".join(
        f"{database.name}.hs" for database in compiled.plan.databases if database.numbers & numbers
    )
    return (
        f"{kinds} ({chain}): {probe.patterns.taken.value} in {where}"
        f" as {', '.join(map(str, sorted(numbers)))} ({len(probe.patterns.expressions)} expressions)"
    )


def _link(link: Link) -> str:
    targets = "|".join(map(_target, link.variables))
    chain = "".join(f" t:{name}" for name in link.transformations)
    return f"{targets} {_operator(link.operator)}{chain}{' multiMatch' if link.multi_match else ''}"


def _target(variable: Variable) -> str:
    sign = "!" if variable.excluded else "&" if variable.count else ""
    if variable.selector is None:
        return sign + variable.name
    return f"{sign}{variable.name}:{f'/{variable.selector}/' if variable.regex else variable.selector}"


def _operator(operator: Operator | None) -> str:
    if operator is None:
        return "(always)"
    argument = operator.file.name if operator.file is not None else _text(operator.argument)
    return f"{'!' if operator.negated else ''}@{operator.name} {argument}"


def _text(parts: Parts) -> str:
    def part(one: Any) -> str:
        if not isinstance(one, Macro):
            return str(one)
        return f"%{{{one.name}{'.' + one.key if one.key else ''}}}"

    return "".join(map(part, parts))
