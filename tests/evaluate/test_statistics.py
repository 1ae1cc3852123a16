"""Intervals against their definitions, in exact arithmetic."""

import math
from fractions import Fraction

import pytest

from arithtf.evaluate import clopper_pearson, wilson


def at_most(most, count, p):
    p = Fraction(p)
    return sum(math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(most + 1))


@pytest.mark.parametrize(
    ("hits", "count"), [(5, 20), (0, 7), (7, 7), (1, 100), (63, 64), (50, 100)]
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_clopper_pearson_leaves_the_tails(hits, count, level):
    low, high = clopper_pearson(hits, count, level)
    tail = (1 - level) / 2
    if hits == count:
        assert high == 1
    else:
        assert float(at_most(hits, count, high)) == pytest.approx(tail, rel=1e-6)
    if hits == 0:
        assert low == 0
    else:
        assert float(1 - at_most(hits - 1, count, low)) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize(("hits", "count"), [(5, 20), (0, 7), (7, 7), (999, 1000)])
@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959963984540054), (0.99, 2.5758293035489004)])
def test_wilson_ends_are_z_deviations_away(hits, count, level, z):
    for end in wilson(hits, count, level):
        if end not in (0, 1):
            deviation = abs(hits / count - end) / math.sqrt(end * (1 - end) / count)
            assert deviation == pytest.approx(z, rel=1e-9)
    low, high = wilson(hits, count, level)
    assert low <= hits / count <= high
    assert (low == 0) == (hits == 0)
    assert (high == 1) == (hits == count)


def test_no_trials_say_nothing():
    assert wilson(0, 0) == (0, 1)
    assert clopper_pearson(0, 0) == (0, 1)


@pytest.mark.parametrize("interval", [wilson, clopper_pearson])
def test_impossible_counts_are_refused(interval):
    with pytest.raises(ValueError, match="hits"):
        interval(3, 2)
    with pytest.raises(ValueError, match="level"):
        interval(1, 2, 1.0)
