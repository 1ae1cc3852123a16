"""Column tasks: how far a windowed query reaches, and words that contain everything it can meet.

A column task is a finite automaton that reads one column (for addition: the operands' digits of
equal significance) at a time, least significant first, and writes one answer token a column.

Why a cover is complete. Let every key form of a column segment and the query form of the answer
have the same slope g on a level. The id of column k's token minus the id asked for at column j is
then o + g (k - j): which columns a query at j sees depends on k - j only, and is bounded by the
window, say j - past .. j + future. A separator has one constant id, so it is seen only by queries
j <= J for some J; `past` is at least J + 1, so that for those j the beginning of the word lies
among the columns j - past .. j and tells j itself. The query token is the answer token of column
j - 1, so `past` is at least 1, unless the label left of column j tells it. The answer tokens of the
columns j - past .. j are functions of the automaton's label (the carry) left of column j - past and
of the symbols since. Hence the local context at j, and its target, are functions of that label, of
the symbols of the columns j - past .. j + future, and of where the word begins and ends among them.
For j + future inside the word this is an edge of the graph of csrc/cover.h; for all later queries
(near the end of the word, the last carry, EOS) the columns from j - past on are among the last
past + future ones, so it is a function of the node in which the word ends. The walks contain every
edge and every such end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.encodings.windows import Window, WindowLike, finite_windows
from arithtf.tasks.coupling import Coupling, Level, Place


class ColumnAutomaton(NamedTuple):
    """A column task as a finite automaton.

    Args:
        transitions: int32 [states, symbols], the next state, or -1 where the symbol cannot follow.
        labels: int32 [states], all of a state that answers can depend on (for addition the carry).
        start: the state before the first column.
        accepting: bool [states], where a word may end.
    """

    transitions: NDArray[np.int32]
    labels: NDArray[np.int32]
    start: int
    accepting: NDArray[np.bool_]


class Reach(NamedTuple):
    """Columns a query depends on, left and right of its own, and the level that sees furthest."""

    past: int
    future: int
    level: str


def column_reach(
    coupling: Coupling,
    windows: Sequence[WindowLike],
    aligned: Mapping[str, str],
    *,
    rows: Sequence[tuple[str, str | None]] = (("answer", None),),
    knows_column: bool = False,
    knows_last: bool = False,
) -> Reach:
    """How many columns around its own a query of the answer can depend on.

    Args:
        coupling: the coupling; its levels are checked for being column-aligned.
        windows: one finite window per level.
        aligned: for every operand segment the form that counts columns: "right" where it is read
            from its last digit on, "left" where it is read from its first.
        rows: the answer's rows in order: a row's segment, written a token a column, and the segment
            of its last token where that is apart.
        knows_column: the automaton's label says how many columns were read, so that queries that
            see separators need no further columns to know their own.
        knows_last: the automaton's label says which token was written last, or that none was.

    Returns:
        The reach; at least one column of the past, because the query token is the answer before,
        unless the label tells it.

    Raises:
        ValueError: a level for which local contexts are not the same in every column; the message
            names level and segment.
    """
    reach = Reach(0 if knows_last else 1, 0, "the query token")
    segments = [segment for row in rows for segment in row if segment is not None]
    aligned = {**aligned, **{row: "left" for row, _ in rows}}
    pairs = finite_windows(windows, coupling.levels)
    for level, window in zip(coupling.levels, pairs, strict=True):
        _check_level(level)
        for at, segment in enumerate(segments):
            query = level.query.get(segment)
            if query is None:
                continue
            _check_form(level, f"query form of {segment!r}", query, "left", query.left)
            for seen, place in level.key.items():
                if seen in segments[at + 1 :]:
                    continue  # not written yet
                low, high = _extent(level, seen, place, query, window, aligned.get(seen))
                if knows_column and seen not in aligned:
                    low = max(low, 0)
                high = min(high, -1) if seen == segment else high
                if low <= high and (-low > reach.past or high > reach.future):
                    reach = Reach(max(reach.past, -low), max(reach.future, high), level.name)
    return reach


def _check_level(level: Level) -> None:
    if level.period:
        raise ValueError(
            f"level {level.name!r} has period {level.period}: ids that repeat make distant columns"
            " look near, so local contexts do not enumerate; use a level without a period"
        )
    if level.randomized:
        raise ValueError(
            f"level {level.name!r} has randomized ids: id differences are not fixed by the columns;"
            " use affine forms"
        )


def _check_form(level: Level, what: str, place: Place, slope: str, value: int) -> None:
    others = {"left": place.left, "right": place.right, "index": place.index}
    others.pop(slope)
    used = [name for name, coefficient in others.items() if coefficient]
    if used or getattr(place, slope) != value:
        raise ValueError(
            f"level {level.name!r}: the {what} must be offset + {value} * {slope} and nothing else"
            f" to be aligned with the answer's columns, got {place}"
        )


def _extent(
    level: Level, segment: str, place: Place, query: Place, window: Window, slope: str | None
) -> tuple[int, int]:
    """Columns, relative to the query's, whose tokens of `segment` it sees (low > high: none)."""
    back, ahead = window
    step = query.left
    shift = place.offset - query.offset
    if slope is None:  # a separator: seen up to some column; those queries must know their column
        if place.index:
            raise ValueError(
                f"level {level.name!r}: the key form of {segment!r} must not use index, got {place}"
            )
        if step == 0:
            return 0, 0
        last = (shift + back) // step if step > 0 else (ahead - shift) // -step
        return (-(last + 1), 0) if last >= 0 else (0, -1)
    if step == 0:
        raise ValueError(
            f"level {level.name!r}: the answer's query form does not move with the column, so a"
            f" query sees all of segment {segment!r}; give it left=1 (and {segment!r} {slope}=1)"
        )
    _check_form(level, f"key form of {segment!r}", place, slope, step)
    first, second = (-back - shift, ahead - shift) if step > 0 else (shift - ahead, shift + back)
    return -(-first // abs(step)), second // abs(step)
