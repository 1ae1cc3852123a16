"""Products that contain every local context, for any coupling that shows cells close to the query.

In row j > 0 stand the digits of a and of S = floor(a * B / base^j), B being the last j digits of b.
If a > 0 then S < a, as B < base^j. Conversely, for a and S < a of n columns let
B = ceil(S * base^n / a); then B < base^n (as S <= a - 1 and a < base^n), and row n of any b that
continues B has this S, since a / base^n < 1 makes floor(a * B / base^n) pass over no number. If
a = 0 then S = 0. In row 0 there is no S.

So a row is a word of (digit of a, digit of S) with S < a and no 0 at the end of a, which a finite
automaton reads (`rows`). What the queries of a column see of the cells in `_CELLS` is a
function of the column, the multiplier's digit and what the column before has left, which are the
automaton's state; the words show every edge that lies in some row. A row that is the last one of
its problem (its sums are final digits) can be any but one whose digit of b is 0 (in row 0, that
one too, as b = 0); where a coupling makes a difference between sums and final digits, a word is
shown in both. What is seen outside the columns is shown by small problems, listed below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from arithtf.certify.cover.lookups import Lookup, lookups
from arithtf.certify.cover.rows import RowMachine, row_words, shortest_first
from arithtf.encodings.windows import WindowLike
from arithtf.tasks.arithmetic.operands import Operands
from arithtf.tasks.coupling import Coupling

_PLACES = {
    "a": ("left", "right"),
    "b": ("left", "right"),
    "row": ("row",),
    "answer": ("left",),
    **dict.fromkeys(("high", "low", "sum", "final", "carry"), ("left", "row")),
    **dict.fromkeys(("bos", "*", "=", "end"), ()),
}
_COLUMN = ("high", "low", "sum", "final", "carry")
"""The tokens of a column; sum and final are one cell."""

_AT = {"row": 0, "high": 1, "low": 2, "sum": 3, "final": 3, "carry": 4}
"""Where the mark and the first column's tokens stand in a row; column i's stand 4 i later."""

_LAST = {"sum": "last sum", "final": "last final"}
"""Queries for the sum beside the last column, which stands where a high digit would."""

_CELLS = {
    Lookup("a", "column", 0, 0): "a",
    Lookup("a", "column", 0, -1): "a before",
    Lookup("b", "row", 0, 0): "b",
    Lookup("row", "cell", 0, 0): "mark beside column 0",
    Lookup("sum", "cell", -1, 1): "sum above",
    Lookup("sum", "cell", -1, 0): "sum above before",
    **{Lookup(name, "cell", 0, 0): name for name in _COLUMN},
    Lookup("high", "cell", 0, -1): "high before",
    Lookup("low", "cell", 0, -1): "low before",
    Lookup("carry", "cell", 0, -1): "carry before",
}
"""What a row's queries may see, and its name here; a row's digit i + 1 stands above column i."""

_ALIKE = {
    Lookup("row", "mark", 0, 0): "mark",
    Lookup("row", "mark", 0, -1): "mark above",
    **{Lookup(name, "fixed"): name for name in ("bos", "*", "=")},
}
"""What the queries of a row all see alike, in the first row or in later ones."""

_OTHERS = {
    "row": {Lookup("b", "row", 0, 0), *_ALIKE},
    "end": {*_ALIKE},
    "answer": {
        *_ALIKE,
        Lookup("end", "fixed"),
        Lookup("final", "diagonal", 0, 0),
        Lookup("answer", "left", 0, -1),  # the query's own token
    },
}
"""What queries outside the columns may see."""


class Seen(NamedTuple):
    """What a coupling shows the queries of a row's columns.

    Args:
        cells: (query, cell of `_CELLS` or `_ALIKE`); queries are those of `_COLUMN` and `_LAST`.
        ends_differ: it makes a difference that sums are final digits in column 0 and the last row.
    """

    cells: frozenset[tuple[str, str]]
    ends_differ: bool

    def by(self, query: str) -> set[str]:
        """The cells that one kind of query sees."""
        return {name for asked, name in self.cells if asked == query}


def seen_cells(coupling: Coupling, windows: Sequence[WindowLike]) -> Seen:
    """What a coupling shows the queries of a row's columns.

    Args:
        coupling: levels of affine forms.
        windows: one finite window per level.

    Raises:
        ValueError: a query sees tokens for which nothing is proved.
    """
    found: set[tuple[str, str]] = set()
    known = _CELLS | _ALIKE
    shown = lookups(coupling, windows, _PLACES)
    for query, levels in shown.items():
        for lookup in set().union(*levels.values()):
            for asked, cell in _resolved(query, lookup):
                if _unwritten(query, cell):
                    continue
                if query in _COLUMN and cell in known:
                    found.add((asked, known[cell]))
                elif query in _COLUMN or cell not in _OTHERS.get(query, ()):
                    raise ValueError(
                        "local contexts of products are enumerated for cells of the query's column "
                        f"and the one before; {query!r} sees {_described(lookup)}"
                    )
    names = {name for _, name in found}
    ends_differ = shown.get("sum", {}) != shown.get("final", {}) or bool(names & {"sum", "final"})
    return Seen(frozenset(found), ends_differ)


def _resolved(query: str, lookup: Lookup) -> Iterator[tuple[str, Lookup]]:
    """A lookup with the kinds of query that have it, a distance in the text as one in the sheet.

    A token before the row's mark is at another place of the sheet for every number of columns, so
    the lookup stays as it is, and is refused, if a query of column 0 or the last sum reaches so far
    (in a row of one column, the last sum is the fifth token after the mark).
    """
    segment, kind, _, by = lookup
    asked = [query, _LAST[query]] if query in _LAST else [query]
    inside = query in _COLUMN and segment in _AT and -by <= _AT[query]
    if kind != "index" or by >= 0 or not inside:
        yield from ((name, lookup) for name in asked)
        return
    for name in asked:
        column, rest = divmod(
            _AT["high" if name in _LAST.values() else query] + by - _AT[segment], 4
        )
        if not rest and (segment != "row" or (column == 0 and name == query)):
            yield name, Lookup(segment, "cell", 0, column)


def _unwritten(query: str, lookup: Lookup) -> bool:
    """Whether what would be seen is never written when the query is made."""
    segment, kind, row, at = lookup
    if kind == "index":
        return at >= 0
    if kind == "fixed":
        return segment == "end" and query != "answer"
    if kind == "cell":
        return row > 0 or (row == 0 and at > 0) or (segment == "final" and row < 0 < at)
    if kind == "mark":
        return segment == "row" and (at > 0 or (at == 0 and query == "row"))
    return kind == "left" and segment == query == "answer" and at >= 0


def _described(lookup: Lookup) -> str:
    where = (
        f"row {lookup.row:+}, column {lookup.at:+}" if lookup.kind == "cell" else f"{lookup.at:+}"
    )
    return f"{lookup.segment!r} by {lookup.kind} at {where}"


class _Column(NamedTuple):
    """What a column leaves for the next one; what it was made of only if that is seen."""

    high: int
    carry: int
    a: int | None
    above: int | None


class _State(NamedTuple):
    """Before a column.

    Args:
        factor: digit of b.
        before: the column before, None in column 0.
        below: whether S < a in the columns so far.
        top: whether the last digit of a is not 0.
    """

    factor: int
    before: _Column | None
    below: bool
    top: bool


def product_row(base: int, seen: Seen, *, first: bool) -> RowMachine:
    """A row of multiplication; columns are (digit of a, digit of S or None in the first row)."""
    symbols = list(product(range(base), [None] if first else range(base)))
    names = {name for _, name in seen.cells}
    keeps_a = bool(names & {"a before", "low before"})
    keeps_above = "sum above before" in names
    shows = {query: sorted(seen.by(query)) for query in (*_COLUMN, *_LAST.values())}

    def sum_of(state: _State, symbol: tuple[int, int | None]) -> int:
        (x, s), before = symbol, state.before
        return x * state.factor % base + (s or 0) + (before.high + before.carry if before else 0)

    def step(state: _State, symbol: tuple[int, int | None]) -> _State:
        (x, s), (factor, _, below, _) = symbol, state
        left = _Column(
            x * factor // base,
            sum_of(state, symbol) // base,
            x if keeps_a else None,
            s if keeps_above else None,
        )
        return _State(factor, left, below if x == (s or 0) else (s or 0) < x, x > 0)

    def shown(state: _State, symbol: tuple[int, int | None] | None) -> Iterator[object]:
        factor, before = state.factor, state.before
        cells: dict[str, object] = {"b": factor, "mark beside column 0": before is None}
        if before is not None:
            cells |= {
                "high before": before.high,
                "carry before": before.carry,
                "a before": before.a,
                "sum above before": before.above,
                "low before": (before.a or 0) * factor % base,
            }
        own: object = before and before.carry
        # The last row's sums are final digits, but it is no row of 0; column 0's are in all rows.
        where = seen.ends_differ and (factor > 0, before is None)

        def asked(query: str) -> tuple[object, ...]:
            return query, where, own, *(cells.get(name) for name in shows[query])

        if symbol is not None:
            x, s = symbol
            cells |= {"a": x, "sum above": s}
            for query, token in (("high", x * factor // base), ("low", x * factor % base)):
                yield asked(query)
                cells[query] = own = token
        for query in _LAST:
            yield asked(query if symbol else _LAST[query])
        if symbol is not None:
            cells["sum"] = cells["final"] = own = sum_of(state, symbol) % base
            yield asked("carry")

    starts = [_State(d, None, first, False) for d in range(base)]
    return RowMachine(starts, symbols, step, lambda s: s.below and s.top, shown)


@lru_cache(maxsize=16)
def product_covering_set(base: int, seen: Seen) -> Operands:
    """Products that contain every local context of any product.

    Args:
        base: of the digits.
        seen: see `seen_cells`.
    """
    problems = {*_product_ends(base), *_zeros(base)}
    for word in row_words(product_row(base, seen, first=True)):
        (a, _), d = word.numbers(base), word.start.factor
        problems.update([(a, d), (a, base + d)] if seen.ends_differ else [(a, _at_top(d, base))])
    for word in row_words(product_row(base, seen, first=False)):
        (a, left), d = word.numbers(base), word.start.factor
        power = base ** len(word.columns)
        b = -(-left * power // a)
        problems.add((a, b + power * _at_top(d, base)))
        if seen.ends_differ:
            problems.add((a, b + power * (base + d)))
    return shortest_first(problems, base, 2)


def _product_ends(base: int) -> Iterator[tuple[int, int]]:
    """Products with every last digit of a row before every digit of b, and at the end.

    (base - 1) * (t + 1) = t * base + base - 1 - t ends its row with t < base - 1, and (base^2 - 1)
    squared its last row with base - 1; b is continued by any digit. With b = 1 two adjacent digits
    of the product are those of a.
    """
    largest = base - 1
    for digit in range(base):
        yield largest, digit
        yield digit, 1
        for last in range(base):
            yield base**2 + base * digit + last, 1
            a, b, size = largest, last + 1, 1
            if last == largest:
                a, b, size = base * largest + largest, base * largest + largest, 2
            yield a, b
            yield a, b + base**size * _at_top(digit, base)


def _zeros(base: int) -> Iterator[tuple[int, int]]:
    """Products of 0 with every digit of b in the first row and a later one, last or not."""
    for digit in range(base):
        for b in (digit, base + digit, digit * base + 1, base**2 + digit * base + 1):
            yield 0, b


def _at_top(digit: int, base: int) -> int:
    """A digit as the leading ones of a number: 0 needs a 1 before it."""
    return digit or base
