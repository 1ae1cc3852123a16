"""Covering sets of products show exactly the contexts that occur, for any coupling they accept."""

import itertools
import random

import numpy as np
import pytest

from arithtf.certify.contexts import collect, layouts
from arithtf.certify.cover import covering_set
from arithtf.certify.cover.products import Seen, product_covering_set, seen_cells
from arithtf.tasks import Coupling, Level, Multiplication, Operands, Place

CELL = {"left": 1, "cell": 1}
COLUMN = ("high", "low", "sum", "final", "carry")
ABOVE = Place(**CELL, row_stride=1)
ENDS = (
    Level(name="b", key={"b": Place(right=1)}, query={"row": Place(row=1)}),
    Level(
        name="product",
        key={"final": Place(left=1, row=1), "=": Place(offset=-1)},
        query={"answer": Place(left=1), "end": Place(offset=-1)},
    ),
)
SHOWN = [
    ({"a": Place(right=1)}, Place(left=1)),
    ({"a": Place(right=1, offset=1)}, Place(left=1)),
    ({"a": Place(right=-2)}, Place(left=-2)),
    ({"b": Place(right=1)}, Place(row=1)),
    ({"row": Place(row=1)}, Place(row=1)),
    ({"row": Place(row=1, offset=1)}, Place(row=1)),
    ({"row": Place(cell=1)}, Place(**CELL)),
    ({"sum": Place(**CELL, row_stride=1, offset=-1)}, Place(**CELL)),
    ({"sum": ABOVE, "=": Place(offset=-3)}, Place(**CELL)),
    *[({name: Place(**CELL)}, Place(**CELL)) for name in COLUMN],
    *[({name: Place(**CELL, offset=1)}, Place(**CELL)) for name in ("high", "low", "carry")],
    *[
        ({name: Place(index=1, offset=before)}, Place(index=1))
        for name in (*COLUMN, "row")
        for before in (1, 2, 3, 4)
    ],
    ({"=": Place()}, Place()),
    ({"*": Place(), "=": Place(offset=1)}, Place()),
]
"""Keys and the query for them, in forms of which some are accepted for every query."""


def accepted(level, window=(0, 0)):
    try:
        seen_cells(Coupling("one", (level,)), [window])
    except ValueError:
        return False
    return True


def mixed(seed):
    """A few levels, each of a random lookup for random queries."""
    rng = random.Random(seed)
    levels, windows = [], []
    while len(levels) < rng.randint(2, 7):
        key, query = rng.choice(SHOWN)
        queries = dict.fromkeys(rng.sample(COLUMN, rng.randint(1, 5)), query)
        level = Level(name=f"level {len(levels)}", key=key, query=queries)
        window = rng.choice([(0, 0), (0, 0), (1, 0), (0, 1)])
        if accepted(level, window):
            levels.append(level)
            windows.append(window)
    return Coupling("mixed", (*levels, *ENDS)), [*windows, (0, 0), (0, 0)]


def contexts(task, coupling, windows, operands):
    return collect(layouts(task, coupling, operands), windows, 0)


@pytest.mark.parametrize(
    ("base", "top", "seed"),
    [(2, 128, seed) for seed in range(16)] + [(3, 243, seed) for seed in range(16, 20)],
)
def test_covering_sets_of_random_couplings_equal_brute_force(base, top, seed):
    task = Multiplication(base)
    coupling, windows = mixed(seed)
    every = Operands.from_ints(itertools.product(range(top), repeat=2), base=base, arity=2)
    brute = contexts(task, coupling, windows, every)
    known = contexts(task, coupling, windows, covering_set(task, coupling, windows))
    assert known.missing(brute) == 0
    assert brute.missing(known) == 0


@pytest.mark.parametrize("seed", range(3))
def test_no_long_product_shows_anything_else(seed):
    task, rng = Multiplication(), np.random.default_rng(seed)
    coupling, windows = mixed(100 + seed)
    sizes = [(30, 30), (3, 60), (60, 3), (1, 90), (90, 1)]
    problems = [[rng.integers(1, 10, k) for k in size] for size in sizes]
    problems += [[np.full(30, 9), np.full(40, 9)], [np.array([1] + [0] * 30), np.full(30, 9)]]
    found = contexts(task, coupling, windows, Operands.from_digits(problems))
    known = contexts(task, coupling, windows, covering_set(task, coupling, windows))
    assert len(found) > 50
    assert known.missing(found) == 0


def test_the_sum_beside_the_last_column_stands_where_a_high_digit_would():
    """Three tokens before a sum is a carry; three before the last sum is a low digit."""
    levels = [
        Level(name=n, key={n: Place(index=1, offset=3)}, query={"sum": Place(index=1)})
        for n in ("carry", "low")
    ]
    seen = seen_cells(Coupling("three back", tuple(levels)), [(0, 0)] * 2)
    assert seen == Seen(frozenset({("sum", "carry before"), ("last sum", "low before")}), True)


REFUSED = [
    # Over the beginning of a row, how far back a cell of the row above is depends on its length.
    ("high", {"sum": Place(index=1, offset=2)}, Place(index=1), (0, 0)),
    ("sum", {"high": Place(index=1, offset=6)}, Place(index=1), (0, 0)),
    ("carry", {"b": Place(index=1, offset=2)}, Place(index=1), (0, 0)),
    # A row of one column ends with the fifth token after its mark.
    ("row", {"high": Place(index=1, offset=5)}, Place(index=1), (0, 0)),
    # Tokens of all rows, of all columns, of the first row alone.
    ("sum", {"carry": Place(left=1)}, Place(left=1), (0, 0)),
    ("sum", {"carry": Place(row=1)}, Place(row=1), (0, 0)),
    ("sum", {"carry": Place(left=1)}, Place(**CELL), (0, 0)),
    ("sum", {"=": Place()}, Place(row=1), (0, 0)),
    ("sum", {"a": Place(right=1)}, Place(), (0, 0)),
    ("high", {"b": Place(right=1)}, Place(left=1), (0, 0)),
    # What is there, but not among what the machine's states tell.
    ("sum", {"carry": ABOVE}, Place(**CELL), (0, 0)),
    ("sum", {"a": Place(right=1)}, Place(left=1), (0, 1)),
    ("high", {"b": Place(right=1)}, Place(row=1), (1, 0)),
    ("sum", {"final": ABOVE}, Place(**CELL), (0, 0)),
    ("sum", {"low": Place(**CELL)}, Place(**CELL), (2, 0)),
    ("sum", {"low": Place(**CELL)}, Place(**CELL), (3, 0)),
    ("sum", {"row": Place(row=1)}, Place(row=1), (2, 0)),
    ("answer", {"final": Place(left=1, row=1)}, Place(left=1), (1, 0)),
    ("answer", {"a": Place(right=1)}, Place(left=1), (0, 0)),
    ("row", {"final": Place(**CELL)}, Place(**CELL), (0, 0)),
    ("end", {"b": Place(right=1)}, Place(row=1), (0, 0)),
]


@pytest.mark.parametrize(("query", "key", "asked", "window"), REFUSED)
def test_what_is_not_proved_is_refused(query, key, asked, window):
    level = Level(name="odd", key=key, query={query: asked})
    with pytest.raises(ValueError, match=r"'\w+' sees '.+'") as error:
        covering_set(Multiplication(), Coupling("odd", (level,)), [window])
    assert query in str(error.value)


def test_ids_in_cycles_are_refused():
    level = Level(name="cycle", key={"a": Place(right=1)}, query={"high": Place(left=1)}, period=3)
    with pytest.raises(ValueError, match="periodic or random"):
        covering_set(Multiplication(), Coupling("cycle", (level,)), [(0, 0)])


def test_what_is_never_written_in_time_shows_nothing():
    levels = [
        Level(name="ahead", key={"low": Place(**CELL)}, query={"sum": Place(**CELL)}),
        Level(
            name="below",
            key={"a": Place(right=1), "=": Place(offset=-2)},
            query={"high": Place(left=1), "answer": Place(offset=-2)},
        ),
    ]
    seen = seen_cells(Coupling("ahead", tuple(levels)), [(0, 2), (0, 0)])
    alone = seen_cells(Coupling("ahead", tuple(levels)), [(0, 0), (0, 0)])
    assert seen.cells == alone.cells
    assert product_covering_set(2, seen) is product_covering_set(2, alone)
