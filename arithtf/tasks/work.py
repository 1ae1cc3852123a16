"""The couplings of worksheets: what each token of the work is computed from.

A query sees a few named cells and nothing else. Where cells of several rows are looked up, ids
number the cells of the sheet row by row (`Place.cell`), doubled, so that two kinds of query that
want the same cells can ask at different differences, 0 and -1, and tell themselves apart. Every
token that a query needs stands on a level of its own: a head that can see one token has nothing to
choose, and without a sink "nothing seen" is exactly 0. But a softmax over one token does not feel
its difference either, so the second kind of query sees its row's mark as well.
"""

from __future__ import annotations

from typing import NamedTuple

from arithtf.tasks.coupling import Coupling, Level, Place

Window = tuple[int, int]


class Work(NamedTuple):
    """A coupling and the windows that it is made for.

    Args:
        coupling: the levels.
        windows: (back, ahead) of each level.
    """

    coupling: Coupling
    windows: tuple[Window, ...]


_CELL = Place(cell=2, left=2)
_CELL_AFTER = Place(cell=2, left=2, offset=1)  # of another kind of query for the same cells
_NEXT_COLUMN = Place(cell=2, left=2, offset=2)


def _kind(marks: tuple[str, ...], *second: str) -> Level:
    """Shows the row's mark to the second of two kinds of query that look up the same cells."""
    row = Place(row=1)
    return Level(name="kind", key=dict.fromkeys(marks, row), query=dict.fromkeys(second, row))


def product_work() -> Work:
    """Multiplication's. Digit i of row j is written as four tokens, which see

    | token | sees |
    |---|---|
    | high, low (of a_i * b_j) | digit i of a, digit j of b; low at differences -1 |
    | sum (final in column 0 and in the last row) | low of its column; high and carry of column i - 1; digit i + 1 of the row above |
    | carry | the same at difference -1 |
    | mark of row j | digit j of b |
    | digit k of the product | the final digit k; "=" |

    The last sum of a row, in column n, sees a high and a carry only.
    """  # noqa: E501
    multiplicand = Level(
        name="multiplicand",
        key={"a": Place(right=2), "=": Place(offset=-5)},
        query={"high": Place(left=2), "low": Place(left=2, offset=1), "answer": Place(offset=-5)},
    )
    multiplier = Level(
        name="multiplier",
        key={"b": Place(right=2)},
        query={"row": Place(row=2), "high": Place(row=2), "low": Place(row=2, offset=1)},
    )
    addends = {
        "low": {"low": _CELL},
        "high before": {"high": _NEXT_COLUMN},
        "row above": {"sum": Place(cell=2, pitch=2, left=2, offset=-2)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    added = {"final": _CELL, "sum": _CELL, "carry": _CELL_AFTER}
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    product = Level(
        name="product", key={"final": Place(row=1, left=1)}, query={"answer": Place(left=1)}
    )
    kind = _kind(("row",), "low", "carry")
    coupling = Coupling("work", (multiplicand, multiplier, *columns, product, kind))
    return Work(coupling, (*[(1, 0)] * 6, (0, 0), (0, 0)))


def sum_work() -> Work:
    """The running sum's.

    Digit i of row r sees digit i of operand r and of the sum so far, and the carry; its carry sees
    the same at difference -1. The mark of row r sees the sign before operand r.
    """
    added = {"sum": _CELL, "carry": _CELL_AFTER}
    addends = {
        "sum so far": {"a": Place(pitch=2, right=2), "sum": Place(cell=2, pitch=2, left=2)},
        "operand": {"term": Place(cell=2, right=2)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    sign = Level(name="sign", key={"+": Place(row=1)}, query={"row": Place(row=1)})
    kind = _kind(("row",), "carry")
    return Work(Coupling("work", (*columns, sign, kind)), (*[(1, 0)] * 3, (0, 0), (0, 0)))


def quotient_work(base: int) -> Work:
    """Long division's, of base - 1 trials for each digit of the dividend.

        | token | sees |
        |---|---|
        | borrow of column i | digit i of the divisor and of the remainder so far, the borrow before |
        | digit of the remainder | these digits, and the row's last borrow |
    | its borrow | the same, the last borrow at difference -1 |
        | count | the row's last borrow at difference -1, the count of the row above |
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
    cells = (*borrows, *digits, *taken)
    row, column = Place(row=1), Place(left=1)
    mark, over = Place(offset=-5), Place(offset=-7)
    copied = Place(offset=-10, left=-1)
    dividend = Level(
        name="dividend",
        key={"a": Place(left=trials), "=": mark},
        query={
            **dict.fromkeys(
                ("first mark", "end", "first borrow", "first digit", "first taken"), row
            ),
            "answer": mark,
        },
    )
    divisor = Level(
        name="divisor",
        key={"b": Place(right=1), "=": mark, "/": over},
        query={
            **dict.fromkeys(cells, column),
            **dict.fromkeys(("first mark", "end"), mark),
            "remainder": over,
        },
    )
    below = Place(cell=2, pitch=2, left=2)
    remainder = Level(
        name="remainder",
        key={
            **dict.fromkeys(("first digit", "trial"), below),
            "left": Place(cell=2, pitch=2, left=2, offset=2),
        },
        query=dict.fromkeys(cells, _CELL),
    )
    flag = Level(
        name="last borrow",
        key={"flag": Place(row=2)},
        query={
            **dict.fromkeys(digits, Place(row=2)),
            **dict.fromkeys((*taken, "count", "digit"), Place(row=2, offset=1)),
        },
    )
    counted = Level(
        name="count",
        key={"count": Place(row=1, offset=1)},
        query=dict.fromkeys(("count", "digit", "mark"), row),
    )
    answer = Level(
        name="answer",
        key={"digit": row, "rest": copied},
        query={"answer": Place(row=1, left=-trials), "remainder": copied},
    )
    kind = _kind(("first mark", "mark"), *taken, "count", "digit")
    levels = (dividend, divisor, remainder, flag, counted, answer, kind)
    return Work(Coupling("work", levels), (*[(0, 0)] * 3, (1, 0), *[(0, 0)] * 3))
