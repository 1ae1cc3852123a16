"""Lookup couplings: a level for each token that the next one is computed from.

On each level a query sees the one token that has its id, and no other: every window is (0, 0). So a
head has nothing to choose between, and all that is left to learn is what to write; without a sink a
head's output is the value of that token, or exactly 0 where there is none. In the scratchpads two
kinds of query look up the same cells; a mark that only one of them sees, on a level "kind", tells
them apart. Where cells of several rows are looked up, ids number the cells row by row
(`Place.cell`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from arithtf.tasks.coupling import Coupling, Level, Place

if TYPE_CHECKING:
    from arithtf.tasks.arithmetic.task import ArithmeticTask


def lookups(task: ArithmeticTask) -> Coupling:
    """The lookup coupling of a task.

    Args:
        task: increment, times-digit, comparison, subtraction, multiplication, running-sum,
            carried-addition, division, or a joint task of these.

    Raises:
        ValueError: another task.
    """
    known = {
        **_COLUMN_LOOKUPS,
        "multiplication": product_lookups(),
        "running-sum": sum_lookups(),
        "carried-addition": carried_lookups(),
        "division": quotient_lookups(task.base),
    }
    if parts := getattr(task, "parts", None):
        return joined_lookups(parts)
    if task.name not in known:
        raise ValueError(f"expected one of the tasks {', '.join(known)}, got {task.name}")
    return Coupling("lookups", known[task.name])


def _lookup(segment: str, *asking: str, before: int = 0, side: str | None = "right") -> Level:
    """The token of `segment` in the column to be written, or `before` it; its only one if no side.

    Args:
        segment: what is seen.
        asking: rows whose queries see it.
        before: columns below.
        side: from which columns are counted in the segment.
    """
    key = Place() if side is None else Place(**{"offset": before, side: 1})
    query = Place() if side is None else Place(left=1)
    name = f"{segment} before" if before else segment
    return Level(name=name, key={segment: key}, query=dict.fromkeys(asking or ("answer",), query))


_FIRST = ("difference", "sign")  # the first row of a difference
_COLUMN_LOOKUPS: dict[str, tuple[Level, ...]] = {
    "increment": (_lookup("a"), _lookup("a", before=1)),
    "times-digit": (_lookup("a"), _lookup("a", before=1), _lookup("b", side=None)),
    "comparison": (_lookup("a"), _lookup("b")),
    "subtraction": (
        _lookup("a", *_FIRST),
        _lookup("b", *_FIRST),
        _lookup("a", *_FIRST, before=1),
        _lookup("b", *_FIRST, before=1),
        _lookup("difference", side="left"),
        _lookup("difference", before=1, side="left"),
        _lookup("sign", side=None),
    ),
}

_CELL = Place(cell=1, left=1)
_NEXT_COLUMN = Place(cell=1, left=1, offset=1)
_COLUMN = Place(left=1)
_ROW = Place(row=1)


def _kind(marks: tuple[str, ...], *second: str) -> Level:
    """Shows the row's mark to the second of two kinds of query that look up the same cells."""
    return Level(name="kind", key=dict.fromkeys(marks, _ROW), query=dict.fromkeys(second, _ROW))


def product_lookups() -> tuple[Level, ...]:
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
        "row above": {"sum": Place(cell=1, row_stride=1, left=1, offset=-1)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    added = dict.fromkeys(("final", "sum", "carry"), _CELL)
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    product = Level(name="product", key={"final": Place(row=1, left=1)}, query={"answer": _COLUMN})
    return (multiplicand, multiplier, *columns, product, _kind(("row",), "low", "carry"))


def sum_lookups() -> tuple[Level, ...]:
    """The running sum's.

    Digit i of row r sees digit i of operand r and of the sum so far, and the carry; its carry sees
    the same and the row's mark. The mark of row r sees the sign before operand r.
    """
    added = dict.fromkeys(("sum", "carry"), _CELL)
    addends = {
        "sum so far": {
            "a": Place(row_stride=1, right=1),
            "sum": Place(cell=1, row_stride=1, left=1),
        },
        "operand": {"term": Place(cell=1, right=1)},
        "carry": {"carry": _NEXT_COLUMN},
    }
    columns = (Level(name=name, key=key, query=added) for name, key in addends.items())
    sign = Level(name="sign", key={"+": _ROW}, query={"row": _ROW})
    return (*columns, sign, _kind(("row",), "carry"))


def carried_lookups() -> tuple[Level, ...]:
    """Those of addition with carries: a digit and its carry see the digits of their column.

    The carry sees the sign "+" as well, the end "=": so the kinds of query can be told apart.
    """
    added = dict.fromkeys(("sum", "carry"), _CELL)
    keys = {"a": Place(row_stride=1, right=1), "b": Place(cell=1, right=1)}
    columns = (Level(name=name, key={name: key}, query=added) for name, key in keys.items())
    end = Level(name="end", key={"=": Place()}, query={"end": Place()})
    return (*columns, _kind(("+",), "carry"), end)


def quotient_lookups(base: int) -> tuple[Level, ...]:
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
    below = Place(cell=1, row_stride=1, left=1)
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
            "left": Place(cell=1, row_stride=1, left=1, offset=1),
        },
        query=dict.fromkeys(cells, _CELL),
    )
    flag = Level(
        name="last borrow",
        key={"flag": _ROW},
        query=dict.fromkeys((*digits, *taken, *counts), _ROW),
    )
    count = Level(
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
    return (dividend, divisor, remainder, flag, count, answer, kind)


_JOINT_LEVELS = {
    "+": (0, 1, 2, 3, 7),
    "-": (0, 1, 2, 3, 4, 5, 6),
    "*": (0, 1, 2, 3, 4, 5, 6, 7),
    "/": (0, 1, 2, 3, 4, 6, 7),
}
"""Where the levels of a part stand in the joint coupling: a level, and a head, serves several."""


def joined_lookups(parts: Mapping[str, ArithmeticTask]) -> Coupling:
    """Several tasks' lookups side by side, and a level on which every answer token sees the sign.

    An instance is one of a single task, so levels of different tasks can share a joint level: their
    ids never meet.

    Args:
        parts: the tasks by their signs; their segments are called "<name> <segment>" here.
    """
    count = 1 + max(max(_JOINT_LEVELS[sign]) for sign in parts)
    keys: list[dict[str, Place]] = [{} for _ in range(count)]
    queries: list[dict[str, Place]] = [{} for _ in range(count)]
    signs: dict[str, Place] = {}
    asking: dict[str, Place] = {}
    for sign, part in parts.items():
        levels = lookups(part).levels
        for level, at in zip(levels, _JOINT_LEVELS[sign], strict=True):
            keys[at].update({f"{part.name} {s}": place for s, place in level.key.items()})
            queries[at].update({f"{part.name} {s}": place for s, place in level.query.items()})
        asking.update(dict.fromkeys((f"{part.name} {s}" for s in part.segments.written), Place()))
        signs[f"{part.name} {sign}"] = Place()
    joint = [
        Level(name=f"level {i}", key=key, query=query)
        for i, (key, query) in enumerate(zip(keys, queries, strict=True))
    ]
    return Coupling("joined", (*joint, Level(name="sign", key=signs, query=asking)))
