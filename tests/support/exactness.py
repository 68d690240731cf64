"""Whether a rate limit let through no more than it may, by the gateway's own stamps of its decisions."""

from collections.abc import Sequence
from fractions import Fraction


def worst_excess(stamps: Sequence[int], burst: int, interval: Fraction) -> Fraction:
    """Tell by how many requests the worst span of time is above burst + rate * t.

    With p(i) = i - rate * t(i) the span from i to j has p(j) - p(i) + 1 - burst too many.

    Args:
        stamps: of what was let through, in microseconds, sorted.
        burst: of the limit.
        interval: microseconds that one request's credit takes.
    """
    worst, lowest = Fraction(-burst), None
    for index, stamp in enumerate(stamps):
        potential = index - stamp / interval
        lowest = potential if lowest is None else min(lowest, potential)
        worst = max(worst, potential - lowest + 1 - burst)
    return worst
