"""What is made of a regular expression that was taken apart: pieces, less of it, or what it can still match.

Each is a superset of what it stands for, or all of them together are: that is what the gate needs.
"""

import re
import warnings
from dataclasses import replace
from functools import lru_cache
from typing import Final

from bartizan.rules.regex import Branches, Item, Regex, Sequence, written

_BETWEEN: Final = frozenset({"^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z"})


def positions(branches: Branches) -> int:
    """Return how many atoms there are, repeated ones as often as they are: an automaton's states, about."""
    return sum(_times(item) * _inside(item) for sequence in branches for item in sequence)


def _inside(item: Item) -> int:
    return 1 if item.branches is None else positions(item.branches)


def _times(item: Item) -> int:
    match = re.match(r"\{(\d+)(?:,(\d+))?", item.quantifier)
    return max(1, int(match[2] or match[1])) if match else 1


def weakened(regex: Regex) -> Regex:
    """Return a regular expression that matches whatever this one does, without what Hyperscan doesn't have.

    Look-arounds go, possessive quantifiers and atomic groups become ordinary ones.
    """
    return replace(regex, branches=_weakened(regex.branches))


def _weakened(branches: Branches) -> Branches:
    return tuple(tuple(_weakened_item(item) for item in sequence if not item.looks) for sequence in branches)


def _weakened_item(item: Item) -> Item:
    quantifier = (
        item.quantifier[:-1] if len(item.quantifier) > 1 and item.quantifier[-1] == "+" else item.quantifier
    )
    if item.branches is None:
        return replace(item, quantifier=quantifier)
    text = "(?:" if item.text == "(?>" else item.text
    return Item(text, quantifier, _weakened(item.branches), item.capture)


def halves(regex: Regex) -> tuple[Regex, Regex] | None:
    """Return two regular expressions that together match the same; None where it has no alternatives to part.

    The alternatives are those of the pattern itself, or of its largest group that is not repeated and does
    not lie in one that is.
    """
    found = _parted(regex.branches)
    return found and (replace(regex, branches=found[0]), replace(regex, branches=found[1]))


def _parted(branches: Branches) -> tuple[Branches, Branches] | None:
    if len(branches) > 1:
        at = _middle([len(written((sequence,))) for sequence in branches])
        return branches[:at], branches[at:]
    sequence = branches[0]
    places = [
        (len(str(item)), place)
        for place, item in enumerate(sequence)
        if item.branches is not None
        and not item.looks
        and item.text != "(?>"
        and item.quantifier in {"", "?"}
    ]
    for _, place in sorted(places, reverse=True):
        item = sequence[place]
        if item.quantifier == "?":
            without, inside = sequence[:place] + sequence[place + 1 :], replace(item, quantifier="")
            return (without,), ((*sequence[:place], inside, *sequence[place + 1 :]),)
        parted = _parted(item.branches or ())
        if parted is not None:
            first, second = (
                ((*sequence[:place], replace(item, branches=half), *sequence[place + 1 :]),)
                for half in parted
            )
            return first, second
    return None


def cut(regex: Regex, large: int, light: int) -> Regex | None:
    """Return less of a regular expression in which one large group follows another; it matches more.

    Together the two would have as many states as one has times the pieces of the other. After the first
    group's large alternatives nothing more is asked; after its small ones all is.

    Args:
        regex: the whole.
        large: from how many atoms a group is large.
        light: up to how many atoms an alternative is small.
    """
    if len(regex.branches) != 1:
        return None
    sequence = regex.branches[0]
    groups = [
        at
        for at, item in enumerate(sequence)
        if item.branches is not None and positions(item.branches) > large
    ]
    if len(groups) < 2 or sequence[groups[0]].quantifier or sequence[groups[0]].looks:
        return None
    at = groups[0]
    group = sequence[at]
    small = tuple(branch for branch in group.branches or () if positions((branch,)) <= light)
    heavy = tuple(branch for branch in group.branches or () if positions((branch,)) > light)
    if not heavy:
        return None
    first = (*sequence[:at], replace(group, branches=heavy))
    # What begins at the value's first byte is an automaton of its own, and cheaper so.
    anchored = tuple(branch for branch in small if branch and branch[0].text in {"^", "\\A"})
    loose = tuple(branch for branch in small if branch not in anchored)
    rest = tuple(
        (*sequence[:at], replace(group, branches=some), *sequence[at + 1 :])
        for some in (anchored, loose)
        if some
    )
    return replace(regex, branches=(first, *rest))


def restricted(regex: Regex, allowed: frozenset[int]) -> Regex | None:
    """Return what a regular expression can match in values that consist of some bytes only; None: nothing."""
    branches = _restricted(regex.branches, allowed)
    return replace(regex, branches=branches) if branches else None


def _restricted(branches: Branches, allowed: frozenset[int]) -> Branches:
    found = (_restricted_sequence(sequence, allowed) for sequence in branches)
    return tuple(sequence for sequence in found if sequence is not None)


def _restricted_sequence(sequence: Sequence, allowed: frozenset[int]) -> Sequence | None:
    items: list[Item] = []
    for item in sequence:
        if item.looks or (item.branches is None and _may_be(item.text, allowed)):
            items.append(item)
        elif item.branches is not None and (branches := _restricted(item.branches, allowed)):
            items.append(replace(item, branches=branches))
        elif not item.quantifier.startswith(("?", "*", "{0")):
            return None
    return tuple(items)


@lru_cache(maxsize=65536)
def _may_be(atom: str, allowed: frozenset[int]) -> bool:
    """Say whether an atom may match an allowed byte, or matches between bytes; yes if Python can't tell."""
    # To Python \v is the vertical tab alone; to PCRE it is 0x85, too.
    if atom in _BETWEEN or "[:" in atom or r"\v" in atom or not atom.isascii():
        return True
    # Whether case counts is not known here, and a negated class matches more where it does.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what Python may mean otherwise one day
            patterns = [re.compile(atom.encode(), re.DOTALL | flag) for flag in (0, re.IGNORECASE)]
    except (re.error, OverflowError):
        return True
    return any(pattern.fullmatch(bytes([byte])) for byte in allowed for pattern in patterns)


def _middle(sizes: list[int]) -> int:
    """Return where to cut so that the parts are about equal, with something in both."""
    total, before = sum(sizes), 0
    for at, size in enumerate(sizes):
        before += size
        if before * 2 >= total:
            return max(1, min(at + 1, len(sizes) - 1))
    return 1


def with_capture(regex: Regex, capture: int, text: str) -> Regex | None:
    """Return what a regular expression must match if one of its groups captured a text.

    Returns:
        None where the group is repeated, looked around for, or not there.
    """
    found, branches = _replaced(regex.branches, capture, _literally(text))
    return replace(regex, branches=branches) if found else None


def with_whole(regex: Regex, text: str) -> Regex | None:
    """Return what a regular expression must match if all that it matched is a text."""
    if len(regex.branches) != 1:
        return None
    sequence = regex.branches[0]
    first = sequence[:1] if sequence and sequence[0].text in {"^", "\\A"} else ()
    last = sequence[-1:] if len(sequence) > 1 and sequence[-1].text in {"$", "\\z"} else ()
    return replace(regex, branches=((*first, _literally(text), *last),))


def _literally(text: str) -> Item:
    return Item("(?:", branches=(tuple(Item(escaped(letter)) for letter in text),))


def _replaced(branches: Branches, capture: int, inside: Item) -> tuple[bool, Branches]:
    hit = False
    made: list[Sequence] = []
    for sequence in branches:
        items: list[Item] = []
        for item in sequence:
            made_item = item
            if item.capture == capture and not item.quantifier:
                hit, made_item = True, inside
            elif item.branches is not None and not item.quantifier and not item.looks:
                found, below = _replaced(item.branches, capture, inside)
                hit, made_item = hit or found, replace(item, branches=below)
            items.append(made_item)
        made.append(tuple(items))
    return hit, tuple(made)


def escaped(letter: str) -> str:
    """Return a character as a pattern that means just this one, byte by byte."""
    if letter.isascii() and letter.isalnum():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())
