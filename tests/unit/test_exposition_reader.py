"""tests/support/exposition.py: what no scraper would take is refused, or its users would prove nothing."""

from typing import Final

import pytest

from tests.support.exposition import parse

GOOD: Final = (
    "# HELP a_total How many.\n"
    "# TYPE a_total counter\n"
    'a_total{route="GET \\"x\\\\",b="c"} 3\n'
    'a_total{route="other",b="c"} 4\n'
    "# HELP t A time.\n"
    "# TYPE t histogram\n"
    't_bucket{le="0.5"} 1\n'
    't_bucket{le="+Inf"} 2\n'
    "t_sum 0.75\n"
    "t_count 2\n"
    "# HELP g A gauge.\n"
    "# TYPE g gauge\n"
    "g -1.5e3\n"
)


def test_what_is_good_is_read() -> None:
    families = parse(GOOD)
    assert families["a_total"].value() == 7
    assert families["a_total"].value(route='GET "x\\') == 3
    assert families["a_total"].labels("route") == {'GET "x\\', "other"}
    assert families["t"].value("_count") == 2
    assert families["g"].value() == -1500


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("g -1.5e3\n", "g -1.5e3"),
        ("g -1.5e3", "g"),
        ("g -1.5e3", "g nil"),
        ("g -1.5e3", "g  1"),
        ("g -1.5e3", "h 1"),
        ("g -1.5e3", "\ng 1"),
        ("g -1.5e3", 'g{a="1",a="2"} 1'),
        ("g -1.5e3", 'g{a="1} 1'),
        ("g -1.5e3", "g{a=1} 1"),
        ("g -1.5e3", "g 1\ng 2"),
        ("# TYPE g gauge", "# TYPE g thing"),
        ("# HELP g A gauge.\n", ""),
        ("# HELP g A gauge.\n# TYPE g gauge\ng ", "# HELP a_total Again.\n# TYPE a_total counter\na_total "),
        ('a_total{route="other"', 'a_total {route="other"'),
        ('"other"', '"GET \\"x\\\\"'),
        ("} 4", "} -4"),
        ("counter", "gauge"),
        ('t_bucket{le="0.5"} 1', 't_bucket{le="0.5"} 3'),
        ('t_bucket{le="+Inf"} 2\n', ""),
        ('t_bucket{le="+Inf"} 2', 't_bucket{le="0.1"} 2'),
        ("t_count 2", "t_count 3"),
        ("t_sum 0.75\n", ""),
    ],
)
def test_what_is_not_is_refused(old: str, new: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises((AssertionError, KeyError)):
        parse(GOOD.replace(old, new))
