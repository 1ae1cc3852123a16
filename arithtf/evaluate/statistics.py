"""Intervals for shares."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def _check(hits: int, count: int, level: float) -> None:
    if not 0 <= hits <= count:
        raise ValueError(f"expected 0 <= hits <= count, got {hits} of {count}")
    if not 0 < level < 1:
        raise ValueError(f"expected a confidence level between 0 and 1, got {level}")


def wilson(hits: int, count: int, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share (Wilson 1927; Brown, Cai, DasGupta 2001, eq. 4).

    Args:
        hits: successes.
        count: trials; none at all leaves (0, 1).
        level: two-sided confidence.

    Raises:
        ValueError: hits outside 0 .. count, or a level outside (0, 1).
    """
    _check(hits, count, level)
    if count == 0:
        return Interval(0.0, 1.0)
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = hits / count
    centre = share + z2 / (2 * count)
    spread = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count * count)))
    scale = 1 + z2 / count
    # The ends are exact where every trial went one way; the formula leaves a rounding error.
    low = 0.0 if hits == 0 else (centre - spread) / scale
    high = 1.0 if hits == count else (centre + spread) / scale
    return Interval(low, high)


def clopper_pearson(hits: int, count: int, level: float = 0.95) -> Interval:
    """The exact interval of Clopper and Pearson (1934), by bisection on the binomial tail.

    Args, Raises: as `wilson`.
    """
    _check(hits, count, level)
    tail = (1 - level) / 2
    high = 1.0 if hits == count else _share_with_tail(hits, count, tail)
    # At least `hits` successes are at most `count - hits` misses.
    low = 0.0 if hits == 0 else 1 - _share_with_tail(count - hits, count, tail)
    return Interval(low, high)


def _share_with_tail(most: int, count: int, tail: float) -> float:
    """The share p at which P(at most `most` successes of `count`) is `tail`."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _at_most(most, count, middle) > tail:
            low = middle
        else:
            high = middle


def _at_most(most: int, count: int, p: float) -> float:
    """P(X <= most) for X binomial."""
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(count + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * log_p + (count - k) * log_q
        for k in range(most + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
