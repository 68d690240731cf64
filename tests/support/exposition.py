"""A strict reader of Prometheus text (exposition format 0.0.4): what a scraper would refuse, it refuses.

families = parse(text)
families["bartizan_requests_total"].value(route="GET /", status="2xx")
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final

Labels = tuple[tuple[str, str], ...]

_NAME: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP: Final = re.compile(rf"# HELP ({_NAME}) ((?:[^\\]|\\[\\n])+)")
_TYPE: Final = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_SAMPLE: Final = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)')
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN")


@dataclass
class Family:
    """A metric.

    Attributes:
        kind: counter, gauge or histogram.
        help: what it is for.
        samples: by the sample's name and its labels, in their order.
    """

    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, suffix: str = "", **labels: str) -> float:
        """Return the sum of the samples that have these labels, and perhaps others."""
        wanted = set(labels.items())
        return sum(
            value
            for (name, found), value in self.samples.items()
            if name.endswith(suffix) and wanted <= set(found)
        )

    def labels(self, name: str) -> set[str]:
        """Return every value of a label."""
        return {value for _, found in self.samples for key, value in found if key == name}


def parse(text: str) -> dict[str, Family]:
    """Read a whole answer.

    Raises:
        AssertionError: it is not what the format says; the message has the line.
    """
    assert text.endswith("\n"), "the last line must end, too"
    families: dict[str, Family] = {}
    helped = meaning = ""
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            found = _HELP.fullmatch(line)
            assert found, line
            helped, meaning = found.groups()
            assert helped not in families, f"samples of one metric must stand together: {line}"
        elif line.startswith("# TYPE "):
            found = _TYPE.fullmatch(line)
            assert found, line
            current = found[1]
            assert current == helped, f"no help: {line}"
            families[current] = Family(found[2], meaning)
        else:
            _sample(line, current, families)
    for name, family in families.items():
        if family.kind == "histogram":
            _check_histogram(name, family)
    return families


def _sample(line: str, current: str, families: dict[str, Family]) -> None:
    found = _SAMPLE.fullmatch(line)
    assert found, f"no sample: {line!r}"
    name, labels, number = found.groups()
    family = families[current]
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert name in {current + suffix for suffix in suffixes}, f"not of {current}: {line}"
    assert (family.kind == "counter") == current.endswith("_total"), f"a counter ends in _total: {current}"
    assert _NUMBER.fullmatch(number), f"no number: {line}"
    value = float(number.replace("Inf", "inf"))
    assert family.kind == "gauge" or value >= 0, f"less than nothing: {line}"
    key = name, _labels(labels or "", line)
    assert key not in family.samples, f"twice: {line}"
    family.samples[key] = value


def _labels(text: str, line: str) -> Labels:
    labels: list[tuple[str, str]] = []
    position = 0
    while position < len(text):
        found = _LABEL.match(text, position)
        assert found, f"no label at {text[position:]!r}: {line}"
        value = re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), found[2])
        labels.append((found[1], value))
        position = found.end()
    assert len({name for name, _ in labels}) == len(labels), f"a label twice: {line}"
    return tuple(labels)


def _check_histogram(name: str, family: Family) -> None:
    """Buckets are cumulative, end in +Inf, and that one is the count."""
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            (bound,) = [text for label, text in labels if label == "le"]
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(bound.replace("Inf", "inf")), value))
    for labels, buckets in series.items():
        bounds, counts = [bound for bound, _ in buckets], [count for _, count in buckets]
        assert bounds == sorted(set(bounds)), f"{name}{labels}: {bounds}"
        assert counts == sorted(counts), f"{name}{labels} is not cumulative: {counts}"
        assert bounds[-1] == math.inf, f"{name}{labels} has no +Inf"
        assert family.samples[f"{name}_count", labels] == counts[-1]
        assert family.samples[f"{name}_sum", labels] >= 0
    assert {labels for sample, labels in family.samples if sample == f"{name}_count"} == set(series)
