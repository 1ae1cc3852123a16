"""The covering set of sums shows exactly the contexts that occur: brute force over small ones."""

import itertools
from functools import cache

import numpy as np
import pytest

from arithtf import _core
from arithtf.certify.contexts import collect
from arithtf.certify.cover import covering_set
from arithtf.certify.cover.columns import column_reach
from arithtf.certify.cover.transducers import rule_automaton
from arithtf.tasks import Addition

WINDOWS = [(1, 0), (0, 0), (1, 1), (2, 0), (2, 1)]


@pytest.fixture(scope="module")
def all_sums(naive):
    """Every small sum, laid out by definition; the same for all windows."""

    @cache
    def laid_out(base, digits, padded, reverse):
        problems = itertools.combinations_with_replacement(range(base**digits), 2)
        return naive.layout(list(problems), naive.aligned(reverse), base, padded, reverse)

    return laid_out


def problems_of(found, base):
    digits, offsets = found
    values = [
        sum(int(d) * base**k for k, d in enumerate(digits[i:j][::-1]))
        for i, j in itertools.pairwise(offsets)
    ]
    return list(zip(values[::2], values[1::2], strict=True))


def sums(levels, windows, base=10, padded=False, reverse=False):
    """Digits and offsets of the covering set of addition."""
    task = Addition(base, "padded" if padded else "natural", reverse)
    found = covering_set(task, levels, windows)
    return found.digits, found.offsets


def covered(naive, levels, windows, **options):
    base, padded = options.get("base", 10), options.get("padded", False)
    reverse = options.get("reverse", False)
    found = sums(levels, windows, base, padded, reverse)
    problems = problems_of(found, base)
    lengths = [(j - i) for i, j in itertools.pairwise(found[1])]
    assert lengths == [
        len(np.base_repr(v, base)) if v < 2**60 else n
        for n, v in zip(lengths, itertools.chain(*problems), strict=True)
    ], "operands have leading zeros"
    batches = [
        naive.layout(list(group), levels, base, padded, reverse)
        for _, group in itertools.groupby(problems, key=lambda p: max(p).bit_length() // 8)
    ]
    return collect(batches, windows, 1)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("base", "digits"), [(2, 7), (3, 4), (4, 3)])
def test_the_covering_set_equals_brute_force(
    naive, all_sums, window, padded, reverse, base, digits
):
    levels = naive.aligned(reverse)
    known = covered(naive, levels, [window], base=base, padded=padded, reverse=reverse)
    brute = collect([all_sums(base, digits, padded, reverse)], [window], 1)
    assert known.missing(brute) == 0
    columns = sum(window) + 1  # a column that makes the carry, the window, a column that ends
    if digits >= max(columns, 2) + 2:
        assert brute.missing(known) == 0
        assert len(brute) == len(known)


@pytest.mark.parametrize("padded", [False, True])
def test_unfolded_forms_are_covered(naive, padded):
    """Operands with different offsets: a and b are told apart, so nothing may be folded."""
    place = naive.place
    key = {"a": place(right=1, offset=1), "b": place(right=1), "answer": place(left=1)}
    levels = naive.coupling(naive.level("shifted", key, {"answer": place(left=1)}))
    problems = list(itertools.product(range(2**6), repeat=2))
    brute = collect([naive.layout(problems, levels, 2, padded)], [(1, 1)], 1)
    known = covered(naive, levels, [(1, 1)], base=2, padded=padded)
    assert known.missing(brute) == 0
    assert brute.missing(known) == 0


@pytest.mark.parametrize("slope", [1, -1, 2])
def test_separators_slopes_and_levels_are_covered(naive, slope):
    """Separators seen from the first columns, a second level, any common slope."""
    place = naive.place
    operand = place(right=slope, offset=5)
    key = {
        "a": operand,
        "b": operand,
        "answer": place(left=slope, offset=5),
        "+": place(offset=6),
        "=": place(offset=5),
    }
    query = {"answer": place(left=slope, offset=5)}
    alone = naive.level("alone", {"a": operand}, query)
    levels = naive.coupling(naive.level("mixed", key, query), alone)
    windows = [(2, 0), (0, 1)] if slope > 0 else [(0, 2), (1, 0)]
    problems = list(itertools.product(range(2**7), repeat=2))
    brute = collect([naive.layout(problems, levels, 2)], windows, 1)
    known = covered(naive, levels, windows, base=2)
    assert known.missing(brute) == 0
    assert brute.missing(known) == 0


@pytest.mark.parametrize("padded", [False, True])
def test_the_decimal_covering_set_shows_what_small_and_long_sums_show(naive, padded):
    levels, rng = naive.aligned(), np.random.default_rng(5)
    small = [tuple(map(int, rng.integers(0, 1000, 2))) for _ in range(4000)]
    small += itertools.combinations_with_replacement(range(100), 2)
    long = [
        tuple(int(rng.integers(1, 9)) * 10**n + int(rng.integers(0, 10**n)) for n in pair)
        for pair in rng.integers(1, 18, (1000, 2))
    ]
    known = covered(naive, levels, [(1, 0)], padded=padded)
    for problems in (small, long):
        brute = collect([naive.layout(problems, levels, 10, padded)], [(1, 0)], 1)
        assert known.missing(brute) == 0


@pytest.mark.parametrize("padded", [False, True])
def test_window_zero_conflicts_and_window_one_does_not(naive, padded):
    levels = naive.aligned()
    assert covered(naive, levels, [(1, 0)], base=4, padded=padded).conflicts() == []
    problems = problems_of(sums(levels, [(0, 0)], 4, padded), 4)
    batch = naive.layout(problems, levels, 4, padded)
    conflicts = collect([batch], [(0, 0)], 1).conflicts()
    assert conflicts
    for i, c, target, j, d, other in conflicts:
        assert naive.context_at(batch, [(0, 0)], 1, i, c) == naive.context_at(
            batch, [(0, 0)], 1, j, d
        )
        assert (batch.targets[i, c], batch.targets[j, d]) == (target, other)
        assert target != other


def test_the_covering_set_is_economical():
    for padded, folded in itertools.product([False, True], repeat=2):
        task = Addition(format="padded" if padded else "natural")
        automaton, _ = rule_automaton(task.rule(), 10, folded)
        columns, offsets, edges, ends = _core.cover(
            automaton.transitions, automaton.labels.tolist(), 0, automaton.accepting.tolist(), 1, 0
        )
        assert offsets[-1] == len(columns)
        assert len(columns) < 3 * (edges + ends)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("reach", [(0, 0), (1, 0), (1, 1), (2, 1)])
def test_random_automata_are_covered(seed, reach):
    """Every window of every accepted word (found by search) is in a walk; walks are accepted."""
    rng = np.random.default_rng(seed)
    states, symbols = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    transitions = rng.integers(-1, states, (states, symbols)).astype(np.int32)
    accepting = rng.random(states) < 0.4
    accepting[rng.integers(states)] = True
    labels = list(range(states))

    past = sum(reach)

    def windows(word):
        state, before = 0, [0]
        for symbol in word:
            state = int(transitions[state, symbol])
            before.append(state)
        padded = [-1] * past + list(word) + [-2]
        return {
            (before[max(i - past, 0)], tuple(padded[i : i + past + 1]))
            for i in range(len(padded) - past)
        }

    def words(length):
        frontier = [((), 0)]
        for _ in range(length + 1):
            yield from (word for word, state in frontier if accepting[state])
            frontier = [
                ((*word, s), int(transitions[state, s]))
                for word, state in frontier
                for s in range(symbols)
                if transitions[state, s] >= 0
            ]

    expected = set().union(*map(windows, words(7)))
    if not expected:
        with pytest.raises(ValueError, match="accepts no word"):
            _core.cover(transitions, labels, 0, accepting.tolist(), *reach)
        return
    columns, offsets, *_ = _core.cover(transitions, labels, 0, accepting.tolist(), *reach)
    found = set()
    for i, j in itertools.pairwise(offsets.tolist()):
        word, state = columns[i:j].tolist(), 0
        for symbol in word:
            state = int(transitions[state, symbol])
            assert state >= 0
        assert accepting[state]
        found |= windows(word)

    # A path of the window graph may be merged with an equal one from another state: compare what
    # the merge keeps, that is windows whose first column leads somewhere else.
    def kept(items):
        return {
            (before if w[0] < 0 or len(w) == 1 else int(transitions[before, w[0]]), w)
            for before, w in items
        }

    assert kept(expected) <= kept(found)


def test_malformed_automata_are_refused():
    good = np.array([[0, 1], [1, 0]], np.int32)
    bad = np.array([[1, 1], [2, 2], [2, 2]], np.int32)
    with pytest.raises(ValueError, match="labels are no congruence"):
        _core.cover(bad, [0, 0, 1], 0, [True] * 3, 1, 0)
    with pytest.raises(ValueError, match="transitions to states"):
        _core.cover(good + 5, [0, 1], 0, [True, True], 1, 0)
    with pytest.raises(ValueError, match="too large to enumerate"):
        _core.cover(good, [0, 1], 0, [True, True], 60, 0)
    with pytest.raises(ValueError, match="expected past in 0"):
        _core.cover(good, [0, 1], 0, [True, True], -1, 0)


def test_reach(naive):
    place, aligned = naive.place, {"a": "right", "b": "right"}
    assert column_reach(naive.aligned(), [(1, 0)], aligned)[:2] == (1, 0)
    assert column_reach(naive.aligned(), [3], aligned)[:2] == (3, 3)
    assert column_reach(naive.aligned(), [(0, 0)], aligned)[:2] == (1, 0)
    separators = naive.aligned(**{"=": place(offset=4)})
    assert column_reach(separators, [(0, 0)], aligned)[:2] == (5, 0)


def test_what_cannot_be_covered_is_refused(naive):
    place = naive.place

    def refuse(message, key=None, query=None, windows=((1, 0),), **options):
        key = key or {"a": place(right=1), "b": place(right=1), "answer": place(left=1)}
        query = query or {"answer": place(left=1)}
        levels = naive.coupling(naive.level("column", key, query, **options))
        with pytest.raises(ValueError, match=message):
            sums(levels, list(windows))

    refuse("'column' has an infinite window", windows=[None])
    refuse("one window per level", windows=[1, 1])
    refuse("'column' has period 7", period=7)
    refuse("'column' has randomized ids", randomized=100)
    refuse("key form of 'a' must be offset", key={"a": place(left=1)})
    refuse("key form of 'b' must be offset", key={"b": place(right=2)})
    refuse("key form of 'answer' must be offset", key={"answer": place(left=2)})
    refuse("key form of 'b' must be offset", key={"b": place(right=1, index=1)})
    refuse("must not use index", key={"=": place(index=1)})
    refuse("query form of 'answer' must be", query={"answer": place(index=1)})
    refuse("does not move with the column", query={"answer": place()})
    refuse("'column' makes a query depend on 8 columns before", windows=[(8, 0)])
    refuse("too large", windows=[(10**9, 0)])
