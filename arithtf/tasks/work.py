"""The couplings of worksheets: what each token of the work is computed from.

A query sees a few named cells and nothing else, each on a level of its own: every window is (0, 0)
and at most one token of a level has a query's id. So a head has nothing to choose, and without a
sink its output is the value of that token, or exactly 0 where there is none. Two kinds of query
that look up the same cells are told apart by a mark that only one of them sees, on a level "kind".

Where cells of several rows are looked up, ids number the cells of the sheet row by row
(`Place.cell`).
"""

from __future__ import annotations

from typing import NamedTuple

from arithtf.tasks.coupling import Coupling, Level, Place

Window = tuple[int, int]
_ONE_TOKEN: Window = (0, 0)


class Work(NamedTuple):
    """A coupling and the windows that it is made for.

    Args:
        coupling: the levels.
        windows: (back, ahead) of each level.
    """

    coupling: Coupling
    windows: tuple[Window, ...]


def one_token_each(coupling: Coupling) -> Work:
    """A coupling on each level of which a query sees the one token that has its id."""
    return Work(coupling, (_ONE_TOKEN,) * len(coupling.levels))


_CELL = Place(cell=1, left=1)
_NEXT_COLUMN = Place(cell=1, left=1, offset=1)
_COLUMN = Place(left=1)
_ROW = Place(row=1)


def _work(*levels: Level) -> Work:
    return one_token_each(Coupling("work", levels))


def _kind(marks: tuple[str, ...], *second: str) -> Level:
    """Shows the row's mark to the second of two kinds of query that look up the same cells."""
    return Level(name="kind", key=dict.fromkeys(marks, _ROW), query=dict.fromkeys(second, _ROW))


def product_work() -> Work:
    """Multiplication's. Digit i of row j is written as four tokens, which see

    | token | sees |
    |---|---|
    | high (of a_i * b_j) | digit i of a, digit j of b |
    | low | the same and the row's mark |
    | sum (final in column 0 and in the last row) | low of its column; high and carry of column i - 1; digit i + 1 of the row above |
    | carry | the same and the row's mark |
    | mark of row j | digit j of b |
    | digit k of the product | the final digit k; "=" |

    The last sum of a row, in column n, sees a high and a carry only.
    """  # noqa: E501
    equals = Place(offset=-1)
    multiplicand = Level(
        name="multiplicand",
        key={"a": Place(right=1), "=": equals},
        query={"high": _COLUMN, "low": _COLUMN, "answer": equals},
    )
    multiplier = Level(
        name="multiplier",
        key={"b": Place(right=1)},
        query=dict.fromkeys(("row", "high", "low"), _ROW),
    )
    addends = {
        "low": {"low": _CELL},
        "high before": {"high": _NEXT_COLUMN},
        "row above": {"sum": Place(cell=1, pitch=1, left=1, offset=-1)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    added = dict.fromkeys(("final", "sum", "carry"), _CELL)
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    product = Level(name="product", key={"final": Place(row=1, left=1)}, query={"answer": _COLUMN})
    return _work(multiplicand, multiplier, *columns, product, _kind(("row",), "low", "carry"))


def sum_work() -> Work:
    """The running sum's.

    Digit i of row r sees digit i of operand r and of the sum so far, and the carry; its carry sees
    the same and the row's mark. The mark of row r sees the sign before operand r.
    """
    added = dict.fromkeys(("sum", "carry"), _CELL)
    addends = {
        "sum so far": {"a": Place(pitch=1, right=1), "sum": Place(cell=1, pitch=1, left=1)},
        "operand": {"term": Place(cell=1, right=1)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    sign = Level(name="sign", key={"+": _ROW}, query={"row": _ROW})
    return _work(*columns, sign, _kind(("row",), "carry"))


def quotient_work(base: int) -> Work:
    """Long division's, of base - 1 trials for each digit of the dividend.

    | token | sees |
    |---|---|
    | borrow of column i | digit i of the divisor and of the remainder so far, the borrow before |
    | digit of the remainder | these digits, and the row's last borrow |
    | its borrow | the same and the row's mark |
    | count | the row's last borrow, the count of the row above, the row's mark |
    | mark of a row | the count of the row above; where a digit of the quotient begins, the digit of the dividend and "=" |
    | digit of the quotient | its count; "=" |
    | digit of the remainder, copied | the digit; "/" |

    In the first trial of a digit the remainder so far is that of the row above, one column further,
    and in column 0 the next digit of the dividend.
    """  # noqa: E501
    trials = base - 1
    borrows = ("first borrow", "borrow", "flag")
    digits = ("first digit", "trial", "left", "rest", "top")
    taken = ("first taken", "taken")
    counts = ("count", "digit")
    cells = (*borrows, *digits, *taken)
    equals, over = Place(offset=-1), Place(offset=-2)
    copied = Place(offset=-2, left=-1)  # below -1, which the mark after the quotient asks for
    below = Place(cell=1, pitch=1, left=1)
    first = ("first mark", "end", "first borrow", "first digit", "first taken")
    dividend = Level(
        name="dividend",
        key={"a": Place(left=trials), "=": equals},
        query={**dict.fromkeys(first, _ROW), "answer": equals},
    )
    divisor = Level(
        name="divisor",
        key={"b": Place(right=1), "=": equals, "/": over},
        query={
            **dict.fromkeys(cells, _COLUMN),
            **dict.fromkeys(("first mark", "end"), equals),
            "remainder": over,
        },
    )
    remainder = Level(
        name="remainder",
        key={
            **dict.fromkeys(("first digit", "trial"), below),
            "left": Place(cell=1, pitch=1, left=1, offset=1),
        },
        query=dict.fromkeys(cells, _CELL),
    )
    flag = Level(
        name="last borrow",
        key={"flag": _ROW},
        query=dict.fromkeys((*digits, *taken, *counts), _ROW),
    )
    counted = Level(
        name="count",
        key={"count": Place(row=1, offset=1)},
        query=dict.fromkeys((*counts, "mark"), _ROW),
    )
    answer = Level(
        name="answer",
        key={"digit": _ROW, "rest": copied},
        query={"answer": Place(row=1, left=-trials), "remainder": copied},
    )
    kind = _kind(("first mark", "mark"), *taken, *counts)
    return _work(dividend, divisor, remainder, flag, counted, answer, kind)
