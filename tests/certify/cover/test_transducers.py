"""Covering sets of column tasks show exactly the contexts that occur, as brute force finds them."""

import itertools
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from arithtf.certify import enumerate_contexts
from arithtf.certify.contexts import collect, layouts
from arithtf.certify.cover import covering_set
from arithtf.tasks import (
    Address,
    Batch,
    ColumnTask,
    Comparison,
    Copy,
    Coupling,
    Draw,
    Increment,
    Level,
    ModularAddition,
    Operands,
    Parity,
    Pass,
    Place,
    ResidueAddition,
    Reverse,
    Rule,
    Subtraction,
    TimesDigit,
    couplings,
)


def paired_columns(task):
    """Two operands that are told apart: the digits of column j have ids 2j in a and 2j + 1 in b.

    A comparison, and the first row of a difference, ask for column 2j. The second row of a
    difference looks the first one up, on a level "complement", and the sign, on a level "sign".
    """
    key = {"a": Place(right=2), "b": Place(offset=1, right=2)}
    place = Place(left=2)
    if "sign" not in task.segments.names:
        return Coupling("paired_columns", (Level(name="column", key=key, query={"answer": place}),))
    row = Place(left=1)
    levels = (
        Level(name="column", key=key, query={"difference": place, "sign": place}),
        Level(name="complement", key={"difference": row}, query={"answer": row}),
        Level(name="sign", key={"sign": Place()}, query={"answer": Place()}),
    )
    return Coupling("paired_columns", levels)


@dataclass(frozen=True)
class Mixed(ColumnTask):
    """A running sum of 2a + b modulo the base, read and written in any order."""

    padded: bool = False
    reversed: bool = False
    from_left: bool = False
    base: int = field(default=3, kw_only=True)

    name = "mixed"
    sign = "+"

    def rule(self):
        def step(state, column):
            a, b = (max(digit, 0) for digit in column)
            state = (state + 2 * a + b) % self.base
            return state, state

        order = {"padded": self.padded, "reversed": self.reversed, "from_left": self.from_left}
        return Rule(passes=(Pass(step=step),), numbers=2, **order)

    def truth(self, *operands):
        raise NotImplementedError


def mixed_columns(task):
    """`paired_columns`, counted from the end that is read first."""
    end = "left" if task.reversed != task.from_left else "right"
    key = {"a": Place(**{end: 2}), "b": Place(offset=1, **{end: 2})}
    level = Level(name="column", key=key, query={"answer": Place(left=2)})
    return Coupling("mixed_columns", (level,))


# Modulo 4 or 9 in base 6 nothing is seen of a fourth digit but whether there is one.
BELOW = 2 * 6**3

# Task, coupling, windows, and digits of the longest operands that brute force needs, or a bound.
LOCAL = [
    (Comparison(2), paired_columns, [(0, 1)], 4),
    (Comparison(3), paired_columns, [(2, 1)], 4),
    (Subtraction(2), paired_columns, [(2, 1), (1, 0), (0, 0)], 5),
    (Subtraction(3), paired_columns, [(2, 1), (1, 0), (0, 0)], 4),
    (Comparison(3), couplings.lookups, [(0, 0)] * 2, 4),
    (Subtraction(2), couplings.lookups, [(0, 0)] * 7, 5),
    (Subtraction(3), couplings.lookups, [(0, 0)] * 7, 4),
    (Increment(3), couplings.lookups, [(0, 0)] * 2, 6),
    (TimesDigit(4), couplings.lookups, [(0, 0)] * 3, 5),
    (Increment(2), couplings.digit_columns, [(1, 0)], 6),
    (Increment(5), couplings.digit_columns, [(1, 1)], 5),
    (TimesDigit(3), couplings.digit_columns, [(1, 0), (0, 0)], 6),
    (TimesDigit(5), couplings.digit_columns, [(1, 0), (0, 0)], 5),
    (ModularAddition(4, base=2), couplings.modular_columns, [(1, 0), (0, 1)], 5),
    (ModularAddition(3, base=3), couplings.modular_columns, [(1, 0), (0, 1)], 4),
    (ModularAddition(2, base=4), couplings.modular_columns, [(1, 0), (0, 1)], 3),
    (ModularAddition(4, base=6), couplings.modular_columns, [(0, 0), (0, 2)], BELOW),
    (ModularAddition(9, base=6), couplings.modular_columns, [(1, 0), (0, 2)], BELOW),
    (ResidueAddition(5, base=2), couplings.from_left, [(0, 0)], 6),
    (ResidueAddition(4, base=3), couplings.from_left, [(0, 0)], 4),
    (Copy(3), couplings.from_left, [(0, 0)], 4),
    (Copy(2), couplings.from_left, [(2, 1)], 7),
    (Reverse(3), couplings.digit_columns, [(0, 0)], 4),
    (Reverse(2), couplings.digit_columns, [(1, 2)], 7),
    (Parity(), couplings.from_left, [(0, 0)], 5),
    (Parity(3), couplings.from_left, [(1, 0)], 5),
    (Mixed(padded=False, reversed=True, from_left=False), mixed_columns, [(0, 1)], 4),
    (Mixed(padded=True, reversed=False, from_left=False), mixed_columns, [(0, 1)], 4),
    (Mixed(padded=True, reversed=True, from_left=False), mixed_columns, [(2, 1)], 4),
    (Mixed(padded=True, reversed=False, from_left=True), mixed_columns, [(0, 1)], 4),
    (Mixed(padded=True, reversed=True, from_left=True), mixed_columns, [(2, 1)], 4),
]


def everything(task, longest):
    """Every problem whose operands have at most so many digits, or are below BELOW."""
    base = task.base
    if isinstance(task, Copy | Reverse | Parity):
        words = (
            word for n in range(1, longest + 1) for word in itertools.product(range(base), repeat=n)
        )
        return Operands.from_digits(([word] for word in words), arity=1)
    if longest == BELOW:  # both operands have the same ids
        pairs = itertools.combinations_with_replacement(range(BELOW), 2)
        return Operands.from_ints(pairs, base=base)
    below = base**longest
    sides = [range(below)] * (task.arity - isinstance(task, TimesDigit))
    if isinstance(task, TimesDigit):
        sides.append(range(base))
    return Operands.from_ints(itertools.product(*sides), base=base, arity=task.arity)


def collected(task, coupling, windows, operands):
    return collect(layouts(task, coupling, operands), windows, 1)


def case_name(number):
    task, make, windows, _ = LOCAL[number]
    return f"{task.name}-{task.base}-{make.__name__}-{windows[0]}"


@pytest.fixture(scope="module")
def known():
    """What the covering set of a case shows."""

    @cache
    def shown(number):
        task, make, windows, _ = LOCAL[number]
        coupling = make(task)
        return collected(task, coupling, windows, covering_set(task, coupling, windows))

    return shown


@pytest.mark.parametrize("number", range(len(LOCAL)), ids=case_name)
def test_the_covering_set_equals_brute_force(known, number):
    task, make, windows, longest = LOCAL[number]
    brute = collected(task, make(task), windows, everything(task, longest))
    assert known(number).missing(brute) == 0, "contexts that occur are not in it"
    assert brute.missing(known(number)) == 0, "it has contexts that short problems have not"
    assert known(number).conflicts() == []


def test_rows_that_see_each_other_are_covered():
    """A row that sees the tokens of the one above: they are keys on the same level."""
    task = Subtraction(2)
    column = Place(left=1)
    key = {"a": Place(right=1), "difference": column, "sign": Place(offset=-1)}
    query = {"difference": column, "sign": column, "answer": column}
    coupling = Coupling("rows", (Level(name="rows", key=key, query=query),))
    for windows in ([(1, 0)], [(0, 1)]):
        brute = collected(task, coupling, windows, everything(task, 7))
        found = collected(task, coupling, windows, covering_set(task, coupling, windows))
        assert found.missing(brute) == 0
        assert brute.missing(found) == 0


@pytest.mark.parametrize(
    ("task", "make", "windows"),
    [
        (Comparison(), paired_columns, [(0, 0)]),
        (Subtraction(), paired_columns, [(0, 1), (1, 0), (0, 0)]),
        (Subtraction(), paired_columns, [(2, 1), (0, 0), (0, 0)]),
        (Increment(), couplings.digit_columns, [(0, 0)]),
        (TimesDigit(), couplings.digit_columns, [(0, 0), (0, 0)]),
        (ModularAddition(1000), couplings.modular_columns, [(0, 0), (0, 1)]),
        (ModularAddition(500), couplings.modular_columns, [(1, 0), (0, 0)]),
        (ModularAddition(8), couplings.modular_columns, [(0, 0), (0, 0)]),
        (ModularAddition(400), couplings.modular_columns, [(0, 0), (0, 1)]),
        (Comparison(), couplings.operand_columns, [(0, 0)]),
    ],
)
def test_windows_too_small_conflict(task, make, windows):
    if make is couplings.operand_columns:  # a and b cannot be told apart
        level = Level(
            name="column",
            key={"a": Place(right=1), "b": Place(right=1)},
            query={"answer": Place(left=1)},
        )
        coupling = Coupling("same", (level,))
    else:
        coupling = make(task)
    assert enumerate_contexts(task, coupling, windows).conflicts


@pytest.mark.parametrize("lengths", [(3, 9), (30, 40)])
@pytest.mark.parametrize("number", range(len(LOCAL)), ids=case_name)
def test_random_problems_show_nothing_else(known, number, lengths):
    task, make, windows, _ = LOCAL[number]
    for distribution in task.distributions:
        if distribution == "chain":
            continue
        draw = Draw(lengths, 100, distribution)
        batch = Batch.of(task.sample(Address(1, "all", 0), draw), make(task))
        assert known(number).missing(collect([batch], windows, 1)) == 0


def test_what_cannot_be_covered_is_refused():
    task = Subtraction()
    good = paired_columns(task)
    with pytest.raises(ValueError, match="infinite window"):
        covering_set(task, good, [None, (1, 0), (0, 0)])
    with pytest.raises(ValueError, match="too large to enumerate"):
        covering_set(task, good, [(20, 1), (1, 0), (0, 0)])
    left = Level(name="left", key={"a": Place(left=2)}, query=good.levels[0].query)
    with pytest.raises(ValueError, match="key form of 'a' must be offset"):
        covering_set(task, Coupling("bad", (left,)), [(2, 1)])
    shifted = {**good.levels[0].query, "difference": Place(right=2)}
    with pytest.raises(ValueError, match="is being written"):
        covering_set(task, Coupling("bad", (Level(name="x", key={}, query=shifted),)), [(2, 1)])


def test_operands_of_covering_sets_are_numbers():
    for task, make, windows, _ in LOCAL:
        operands = covering_set(task, make(task), windows)
        assert task.answer(operands)
        sizes = [max(d.size for d in problem) for problem in operands]
        assert sizes == sorted(sizes) or isinstance(task, ResidueAddition)
        assert np.diff(operands.offsets).min() >= 1
