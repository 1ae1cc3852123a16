"""Which tokens have an id that a query asks for: one equation between their places, solved.

Let i be a column (an index from the left), r one from the right, j a row, t an index in the text,
N the columns of a row and w = N + 2 the row stride; primes are the key's. Forms are affine, but for
the product j w. Their difference is A w + B, where B holds no w:

1. If A is not 0 throughout, B is (0 or 1) i' - (0 or 1) i - c with |c| <= 2. Columns are below N,
   so |B| < w, and A w + B = 0 says A = 0 and B = 0: an equation of rows and one of columns.
2. Else it is one equation, of few kinds that have the same solutions, relative to the query, on
   scratchpads of every size; where only one side has slopes, none of them negative, its value is at
   least 0, and there is no solution for a value below.

Every other equation is refused. One instance: in row 1 of 12 * 34 (N = 3, w = 5) the query for the
sum in column 1 has the id 1 + 1 * 5 = 6. The sum in column i' of row j' has the id i' - 1 +
(j' + 1) 5: that is 6 for i' = 2, j' = 0 alone, the digit above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd
from typing import NamedTuple

Form = Mapping[str, int]


class Relation(NamedTuple):
    """What is true of key and query where the ids differ by what is asked for.

    Args:
        kind: "column": i' = i + by; "digit": r' = i + by; "by row": r' = j + by; "turn": s i' =
            j + by with s = `every`; "diagonal": i' + j' = i + by; "back": j' = j + by - every i;
            "index": t' = t + by; "at column": i = by, whatever the key's place; "all": always;
            "unknown": another equation.
        by: see `kind`.
        row: j' = j + row; None: nothing is said of the key's row.
        only_row: the query's row; None: any.
        every: see `kind`.
    """

    kind: str
    by: int = 0
    row: int | None = None
    only_row: int | None = None
    every: int = 0


def relation(
    asks: Form,
    has: Form,
    query: Sequence[str],
    key: Sequence[str],
    difference: int,
    *,
    within: bool = False,
) -> Relation | None:
    """The relation of key and query whose ids differ by `difference`; None: there is none.

    Args:
        asks, has: forms of the query and the key.
        query, key: which of left, right and row are not always 0 there.
        difference: key id minus query id.
        within: both are in columns of rows, or of operands no longer than these.
    """
    a, h = _slopes(asks, query), _slopes(has, key)
    value = asks.get("offset", 0) + difference - has.get("offset", 0)
    stride = asks.get("row_stride", 0) - has.get("row_stride", 0)
    sides = [*h.values(), *(-slope for slope in a.values()), *([-stride] if stride else [])]
    # No place is negative, so neither is their sum if no side is.
    if not sides or (value < 0 < min(sides)) or (max(sides) < 0 < value):
        return Relation("all") if value == 0 else None
    if "cell" in a or "cell" in h or stride:
        if not within:
            return Relation("unknown")
        return _with_stride(a, h, value, stride)
    common = gcd(*sides) * (-1 if max([*a.values(), *h.values()]) < 0 else 1)
    if value % common:
        return None
    value //= common
    a, h = ({name: slope // common for name, slope in form.items()} for form in (a, h))
    if a == {"left": 1} and not h:
        return Relation("at column", -value)
    return _one_equation(a, h, value)


def _one_equation(a: Form, h: Form, value: int) -> Relation:
    kinds = {
        "column": ({"left": 1}, {"left": 1}),
        "digit": ({"left": 1}, {"right": 1}),
        "by row": ({"row": 1}, {"right": 1}),
        "diagonal": ({"left": 1}, {"left": 1, "row": 1}),
        "index": ({"index": 1}, {"index": 1}),
    }
    for kind, both in kinds.items():
        if both == (a, h):
            return Relation(kind, value)
    if a == h == {"row": 1}:
        return Relation("all", row=value)
    if a == {"row": 1} and set(h) == {"left"}:
        return Relation("turn", value, every=h["left"])
    if set(a) == {"back"} and h == {"row": 1}:
        return Relation("back", value, every=a["back"])
    return Relation("unknown")


def _with_stride(a: Form, h: Form, value: int, stride: int) -> Relation | None:
    """Step 1: the equation of rows, h_cell j' = a_cell j + stride, and that of columns."""
    known = {"left", "right", "cell"}
    if not ({*a, *h} <= known and {*a.values(), *h.values()} <= {1} and abs(value) <= 2):
        return Relation("unknown")
    row, only = None, None
    if "cell" in h:
        if "cell" not in a:
            return Relation("unknown")
        row = stride
    elif "cell" in a:
        only = -stride
    else:
        return None  # the stride alone is not 0
    sides = [name for name in ("left", "right") if name in h]
    if len(sides) == 1 and "left" in a:
        return Relation("column" if sides == ["left"] else "digit", value, row, only)
    if sides:
        return Relation("unknown")
    if "left" in a:
        return Relation("at column", -value, row, only)
    return Relation("all", row=row, only_row=only) if value == 0 else None


def _slopes(form: Form, places: Sequence[str]) -> dict[str, int]:
    """Factors that are not 0 of places that are not always 0."""
    known = {*places, "index", *(["cell"] if "row" in places else [])}
    return {name: slope for name, slope in form.items() if slope and name in known}
