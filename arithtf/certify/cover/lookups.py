"""What a coupling shows the queries of a scratchpad, as tokens at fixed places relative to theirs.

A query sees a key if key id minus query id is in the level's window. For one difference, with the
forms of the two segments, this is one linear equation in the places of key and query. Few kinds of
equations have the same solutions, relative to the query, on scratchpads of every size; others are
refused. Let i be a column (an index from the left), r one from the right, j a row, w the row_stride
(three more than the last column), primes the key's, and c the equation's constant:

| kind | equation | shows |
|---|---|---|
| fixed | 0 = c | the key's segment if c is 0 |
| column | r' - i = c | the key from the right |
| left | i' - i = c | the key from the left |
| row | r' - j = c | the key from the right |
| mark | j' - j = c | the keys of row j + c |
| index | t' - t = c, with indices t in the text | the token c after the one to come |
| cell | (i' + w j') - (i + w j) = c + w t, -2 <= c <= 2 | the key of row j + t, column i + c |
| diagonal | (i' + j') - i = c | the keys with i' + j' = i + c |

In "cell", i' - i - c is a multiple of w, and |i' - i| <= w - 3, so it is 0. Where only one side has
slopes, and these are not negative, its value is at least 0: the equation has no solution for a
value below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from math import gcd
from typing import NamedTuple

from arithtf.encodings.windows import WindowLike, finite_windows
from arithtf.tasks.coupling import Coupling, Level, Place

Slopes = dict[str, int]
_CELL: Slopes = {"left": 1, "cell": 1}
_MARGIN = 2  # the row_stride is one more than this above a row's last column


class Lookup(NamedTuple):
    """Tokens of one segment that a query sees.

    Args:
        segment: the key's.
        kind: of equation, see the module.
        row: t of "cell"; 0 otherwise.
        at: c.
    """

    segment: str
    kind: str
    row: int = 0
    at: int = 0


def lookups(
    coupling: Coupling, windows: Sequence[WindowLike], places: Mapping[str, Sequence[str]]
) -> dict[str, dict[tuple[int, int], set[Lookup]]]:
    """What the queries of each segment see.

    Args:
        coupling: levels of affine forms.
        windows: one finite window per level.
        places: for each segment the places that are not always 0 in it, of left, right and row.

    Returns:
        Query segment -> number of a level and key id minus query id there -> lookups.

    Raises:
        ValueError: a level on which a query sees tokens at no fixed place.
    """
    found: dict[str, dict[tuple[int, int], set[Lookup]]] = {}
    pairs = finite_windows(windows, coupling.levels)
    for number, (level, (back, ahead)) in enumerate(zip(coupling.levels, pairs, strict=True)):
        if level.period or level.randomized:
            raise ValueError(f"level {level.name!r}: {_REFUSED}; its ids are periodic or random")
        for query, key in product(level.query, level.key):
            shown = found.setdefault(query, {})
            for difference in range(-back, ahead + 1):
                if solved := _solved(level, query, key, difference, places):
                    shown.setdefault((number, difference), set()).update(solved)
    return found


_REFUSED = (
    "local contexts of a scratchpad are enumerated for tokens at fixed places beside the query"
)


def _solved(
    level: Level, query: str, key: str, difference: int, places: Mapping[str, Sequence[str]]
) -> list[Lookup]:
    """The tokens of one key segment that queries of one segment see at one difference.

    The equation is has . key's places - asks . query's places = value + rows * row_stride.
    """
    ours, theirs = level.query[query], level.key[key]
    asks, has = _slopes(ours, places[query]), _slopes(theirs, places[key])
    value = difference + ours.offset - theirs.offset
    rows = ours.row_stride - theirs.row_stride
    if divisor := gcd(*asks.values(), *has.values(), rows):
        if value % divisor:
            return []
        divisor *= -1 if min([*asks.values(), *has.values()], default=1) < 0 else 1
        value, rows = value // divisor, rows // divisor
        asks = {name: slope // divisor for name, slope in asks.items()}
        has = {name: slope // divisor for name, slope in has.items()}
    if (found := _solution(key, asks, has, rows, value, places[key])) is None:
        raise ValueError(
            f"level {level.name!r}: {_REFUSED}; {query!r} sees {key!r} at difference {difference}"
        )
    return found


def _solution(
    key: str, asks: Slopes, has: Slopes, rows: int, value: int, places: Sequence[str]
) -> list[Lookup] | None:
    """What solves the equation; None for tokens at no fixed place relative to the query."""
    if asks == _CELL and has in (_CELL, {"cell": 1}) and abs(value) <= _MARGIN:
        return [Lookup(key, "cell", rows, value)] if ("left" in has) == ("left" in places) else None
    if rows:
        return None
    if not asks and not has:
        return None if places else [Lookup(key, "fixed")] * (value == 0)
    if not (asks and has):
        slopes, sum_of_them = (has, value) if has else (asks, -value)
        return [] if sum_of_them < 0 and min(slopes.values()) > 0 else None
    kinds = {
        "column": ({"left": 1}, {"right": 1}),
        "left": ({"left": 1}, {"left": 1}),
        "index": ({"index": 1}, {"index": 1}),
        "row": ({"row": 1}, {"right": 1}),
        "mark": ({"row": 1}, {"row": 1}),
        "diagonal": ({"left": 1}, {"left": 1, "row": 1}),
    }
    return next(
        ([Lookup(key, k, 0, value)] for k, both in kinds.items() if both == (asks, has)), None
    )


def _slopes(form: Place, places: Sequence[str]) -> Slopes:
    """Factors of a form that are not 0, of places that are not."""
    known = {*places, "index", *(("cell",) if "row" in places else ())}
    return {name: factor for name, factor in asdict(form).items() if factor and name in known}
