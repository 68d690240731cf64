"""Gates of rules that capture a word and then ask whether it is on a list.

    SecRule REQUEST_HEADERS_NAMES "@rx ^.*$" "capture,setvar:'tx.name_%{tx.0}=/%{tx.0}/',chain"
        SecRule TX:/^name_/ "@within /proxy/ /expect/"

The first question says yes to everything. But the rule matches only if what was captured, with what is set
around it, lies within the list: these are few texts, and the first pattern with them in the place of its
group is a condition.
"""

import re
from typing import Final

from bartizan.rules import hyperscan
from bartizan.rules import regex as regexes
from bartizan.rules import regex_parts as parts
from bartizan.rules.constants import Constants, text_of
from bartizan.rules.model import Link, Macro, Rule, Setvar
from bartizan.rules.patterns import RX, Patterns, Taken, taken

_MOST: Final = 400


def through_capture(at: int, number: int, rules: list[Rule], tx: dict[str, str]) -> Patterns | None:
    """Return what a value must contain so that a link's capture passes the next link; None: not known.

    Args:
        at: which rule.
        number: which of its links captures.
        rules: all of them, for what they set.
        tx: the variables of TX that every request begins with.
    """
    links = rules[at].links
    if number + 1 >= len(links) or not links[number].capture:
        return None
    link, following = links[number], links[number + 1]
    pattern, listed = _text_asked(link, "rx"), _text_asked(following, "within")
    if pattern is None or listed is None or set(following.transformations) - {"lowercase"}:
        return None
    setvar = _looked_at(at, link, following, rules, tx)
    if setvar is None:
        return None
    match setvar.value:
        case (str(before), Macro("TX", str(key)), str(after)) if key.isdigit():
            caseless = bool(following.transformations)
            return _condition(pattern, int(key), _between(listed, before, after), caseless=caseless)
    return None


def _text_asked(link: Link, name: str) -> str | None:
    """Return the argument of a link that asks an operator of a name, not negated and without macros."""
    operator = link.operator
    if operator is None or operator.name != name or operator.negated:
        return None
    return text_of(operator.argument)


def _looked_at(at: int, link: Link, following: Link, rules: list[Rule], tx: dict[str, str]) -> Setvar | None:
    """Return the setvar that alone makes what the next link looks at."""
    target = following.variables[0]
    if len(following.variables) != 1 or (
        target.name != "TX"
        or target.selector is None
        or target.excluded
        or target.count
        or len(link.setvars) != 1
    ):
        return None
    setvar = link.setvars[0]
    if setvar.change != "=":
        return None
    known = Constants(tx)
    for place, rule in enumerate(rules):
        for other in rule.links:
            for each in other.setvars:
                if place != at or each is not setvar:
                    known.forget(each.key)
    if target.regex:
        begins = re.fullmatch(r"\^(\w+)", target.selector)
        mine = (
            isinstance(setvar.key[0], str) and begins and setvar.key[0].lower().startswith(begins[1].lower())
        )
        return setvar if mine and known.none_selected(target) else None
    mine = text_of(setvar.key) == target.selector.lower()
    return setvar if mine and known.value(target.selector) is None else None


def _condition(pattern: str, capture: int, texts: list[str], *, caseless: bool) -> Patterns | None:
    try:
        parsed = regexes.parse(pattern)
    except regexes.NotUnderstoodError:
        return None
    inside = _group(parsed, capture)
    if inside is not None:
        texts = [text for text in texts if inside.fullmatch(text)]
    if not texts or len(texts) > _MOST:
        return None
    flags = RX | (hyperscan.CASELESS if caseless else 0)
    expressions: list[tuple[bytes, int]] = []
    for text in texts:
        # Of the whole match the anchors around it hold for the text, too.
        made = parts.with_capture(parsed, capture, text) if capture else parts.with_whole(parsed, text)
        condition = made and taken(str(parts.weakened(made)), flags)
        if not condition:
            return None
        expressions.append((condition, flags))
    return Patterns(tuple(expressions), Taken.CONDITION)


def _group(parsed: regexes.Regex, capture: int) -> re.Pattern[str] | None:
    """Return a group as Python understands it, where it is as simple as a class that repeats."""
    for sequence in parsed.branches:
        for item in sequence:
            if capture and item.capture == capture and item.branches is not None:
                text = regexes.written(item.branches)
                if re.fullmatch(r"\[\^?[\w.\-\"';\\s]+\][*+]?", text):
                    return re.compile(text, re.DOTALL | re.ASCII)
    return None


def _between(listed: str, before: str, after: str) -> list[str]:
    """Return every text that lies within a list if it has `before` and `after` around it."""
    found: dict[str, None] = {}
    begins = [match.end() for match in re.finditer(f"(?={re.escape(before)})", listed)]
    for begin in begins:
        start = begin + len(before)
        for match in re.finditer(f"(?={re.escape(after)})", listed[start:]):
            found[listed[start : start + match.start()]] = None
            if len(found) > 20 * _MOST:
                return []
    return list(found)
