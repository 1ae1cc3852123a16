"""A row of a scratchpad with all that stands in it, as a machine whose ways are walked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from arithtf.certify.verify.bounds import Below, Part, explore
from arithtf.certify.verify.contexts import ABSENT, Ints, NotDerivable
from arithtf.certify.verify.rows import Bools, Rows
from arithtf.certify.verify.walk import Key, Machine, reaching
from arithtf.tasks.arithmetic.scratchpad import Where

_FIRST, _LATER, _ENDED, _OVER = range(4)  # column to come: the first, another, none yet, none


class Kind(NamedTuple):
    """Where a row stands.

    Args:
        above: the row above, as flags (begins a turn, ends one); None in the first row of all.
        begins, ends: it is the first or the last one of a turn.
        last: it is the last one of all.
        nths: the rows of a turn that it can be.
    """

    above: tuple[bool, bool] | None
    begins: bool
    ends: bool
    last: bool
    nths: range

    def where(self, *, first: bool, last: bool) -> Where:
        """Of a column."""
        return Where(self.begins, self.ends, self.last, first, last)


def kinds(repeat: int, turns: int | None) -> Iterator[Kind]:
    """All that there are, for any number of turns or this one."""
    for last in (False, True):
        if repeat == 1:
            if last or turns != 1:
                yield Kind(None, True, True, last, range(1))
            if turns != 1:
                yield Kind((True, True), True, True, last, range(1))
            continue
        if not last:
            yield Kind(None, True, False, False, range(1))
            yield Kind((False, True), True, False, False, range(1))
            if repeat > 2:
                yield Kind((True, False), False, False, False, range(1, 2))
            if repeat > 3:
                yield Kind((False, False), False, False, False, range(2, repeat - 1))
        yield Kind((repeat == 2, False), False, True, last, range(repeat - 1, repeat))


class Strip:
    """The machine of a kind of row: its columns, then an empty one in which single passes write.

    Args:
        rows: the automaton of the rows.
        kind: where the row stands.
        bounds: of X by Y, for every row of a turn and digit of the changed single track.
        phi: what states carry, where rows add; else None.
    """

    def __init__(
        self, rows: Rows, kind: Kind, bounds: Mapping[tuple[int, int], int | None], phi: Ints | None
    ) -> None:
        self.rows, self.kind, pad = rows, kind, rows.pad
        self.track = pad.tracks[rows.x]
        self.shift = self.track.moves if kind.begins else 0  # of its columns over the row above
        digits = range(ABSENT, rows.base)
        symbols = [*product(digits, digits, (0, 1)), (ABSENT, ABSENT, 2)]
        x, y, place = np.array(symbols, np.int64).T
        size = rows.base**2
        letters = np.maximum(x, 0) * rows.base + np.maximum(y, 0) + place * size
        right = rows.right
        if phi is not None:
            right = right & (phi[rows.next] == 0) & (rows.tokens[rows.replaced] == 0)
        starts, below = self._starts(bounds)
        states, shapes = self._shapes(symbols)
        parts = [
            Part(_with_ends(rows.next, right), letters),
            Part(below, letters),
            Part(shapes, np.arange(len(symbols))),
        ]
        found, after = explore(parts, starts)
        self.phase = np.array([phase for phase, _, _ in states])[found[:, 2]]
        self.state = found[:, 0]
        after = reaching(after, self.phase == _OVER)
        used = (after >= 0).any(axis=0)
        self.x, self.y, self.place = x[used], y[used], place[used]
        self.letters = (letters % size)[used]
        self.outputs: dict[Key, Ints] = {}
        self.singles: dict[Key, Ints] = {}
        self.machine = Machine(after[:, used], len(starts), self.outputs, self.singles)

    def _starts(self, bounds: Mapping[tuple[int, int], int | None]) -> tuple[Ints, Ints]:
        """First states [N, 3] of the three automata, and the table of the second, comparisons."""
        rows, kind = self.rows, self.kind
        digits = rows.digit(rows.changed) if rows.changed else np.zeros(len(rows.states), np.int64)
        chosen: dict[int, int] = {}
        free = rows.base + 1  # larger than any bound
        for (nth, digit), k in bounds.items():
            if nth in kind.nths:
                chosen[digit] = max(chosen.get(digit, 0), free if k is None else k)
        tables, begins, count = [], {}, 0
        for k in set(chosen.values()):
            below = Below(rows.base, None if k == free else k)
            table = _with_ends(below.table, below.holds[below.table])
            tables.append(np.where(table < 0, -1, table + count))
            begins[k], count = count, count + len(table)
        found = [
            (start, begins[chosen[digit]], 0)
            for start, digit in enumerate(digits[: rows.starts].tolist())
            if digit in chosen and not self._zero_on_top(start)
        ]
        return np.array(found, np.int64), np.concatenate(tables)

    def _zero_on_top(self, start: int) -> bool:
        """Whether a last row reads a 0 that would be the leading one of several digits."""
        rows, pad = self.rows, self.rows.pad
        above = self.kind.last and self.kind.above is not None
        return above and any(
            pad.single(name) and track.moves > 0 and rows.digit(name)[start] == 0
            for name, track in pad.tracks.items()
            if track.operand is not None and track.operand == pad.turns
        )

    def _shapes(
        self, symbols: Sequence[tuple[int, int, int]]
    ) -> tuple[list[tuple[int, int, int]], Ints]:
        """How operands begin and end: states (phase, X, Y), and their table."""
        states, number, table = [(_FIRST, _FIRST, _FIRST)], {(_FIRST, _FIRST, _FIRST): 0}, []
        for state in states:  # grows while it is walked
            row = []
            for symbol in symbols:
                after = self._follow(state, symbol)
                if after is not None and after not in number:
                    number[after] = len(number)
                    states.append(after)
                row.append(-1 if after is None else number[after])
            table.append(row)
        return states, np.array(table, np.int64)

    def _follow(
        self, state: tuple[int, int, int], symbol: tuple[int, int, int]
    ) -> tuple[int, int, int] | None:
        (phase, x_before, y_before), (x, y, place) = state, symbol
        pad, first, last = self.rows.pad, phase == _FIRST, symbol[2] == 1
        if place == 2:
            return (_OVER, _OVER, _OVER) if phase >= _ENDED else None
        if phase >= _ENDED or (first and last) or (last and y != ABSENT):
            return None
        if pad.columns is not None and not last and y == ABSENT:
            return None
        x_after, y_after = _FIRST, _number(y_before, y, may_be_zero=not pad.divides)
        if self.kind.above is None and self.track.operand is not None and self.track.moves == 0:
            x_after = _number(x_before, x)
            fits = x_after >= 0 and (x == ABSENT or not last)
        elif self.kind.above is None:
            fits = (x != ABSENT) == (first and self.track.operand is not None)
        else:
            fits = (x == ABSENT) == (self.shift > 0 and last)
        if pad.columns is None and last and x > 0:  # step 2 of `bounds`
            fits = False
        if not fits or y_after < 0:
            return None
        return (_ENDED, _OVER, _OVER) if last else (_LATER, x_after, y_after)

    def output(self, key: Key) -> Key:
        """Make an output or a single of the machine, if it is not made yet; see `_made`."""
        if key[0] != "token" and key not in self.outputs and key not in self.singles:
            made = self._made(key)
            (self.outputs if made.ndim == 2 else self.singles)[key] = made
        return key

    def _made(self, key: Key) -> Ints:
        """Tokens of a key.

        * ("x",), ("y",): digits of operands that are read. ("above", segment): digits of X that the
          row above wrote, if its token is of this segment.
        * ("own", pass, number, segment): what the row writes, in this segment, or None: in any; a
          flag behind that: in the last column alone, or in the others.
        * ("digit", track): the digit of a single track, at first. ("single", pass, number): what a
          single pass before the columns writes. ("end", pass, number): what the last column holds.
        """
        rows, state, kind = self.rows, self.state, self.kind
        shape = self.machine.after.shape
        first = np.broadcast_to((self.phase == _FIRST)[:, None], shape)
        if key[0] == "y":
            return np.broadcast_to(self.y, shape)
        if key[0] in ("x", "above"):
            fresh = np.full(shape, kind.above is None) | (first & (self.shift < 0))
            ours = fresh if key[0] == "x" else ~fresh & self._of_segment(key[1])
            return np.where(ours, self.x, ABSENT)
        if key[0] == "digit":
            return rows.digit(key[1])[state]
        if key[0] == "single":
            return rows.endings[key[1:]][state]
        if key[0] == "end":
            return rows.guessed(*key[1:])[state]
        p, i, segment, *only = key[1:]
        one = rows.pad.passes[p]
        name = one.writes[i]
        if one.single:
            there = (self.phase == _ENDED)[:, None] & (self.place == 2)
            named = segment in (None, rows.pad.segment(name, kind.where(first=True, last=True)))
            return np.where(there & named, rows.endings[p, i][state][:, None], ABSENT)
        tokens = rows.tokens[p, i][state[:, None], self.letters]
        last = np.broadcast_to(self.place == 1, shape)
        there = (self.place < 2) & (~last | (name in one.names(last=True)))
        there = there & (last == only[0]) if only else there
        for begins, ends in product((False, True), repeat=2):
            its = rows.pad.segment(name, kind.where(first=begins, last=ends))
            if segment not in (None, its) and not (begins and ends):
                there = there & ((first != begins) | (last != ends))
        return np.where(there, tokens, ABSENT)

    def _of_segment(self, segment: str) -> Bools:
        """Where the row above wrote X in this segment."""
        assert self.kind.above is not None
        pad, flags = self.rows.pad, product((False, True), repeat=2)
        where = (Where(*self.kind.above, False, first, last) for first, last in flags)
        named = np.array([pad.segment(self.rows.x, w) == segment for w in where]).reshape(2, 2)
        if self.shift == 0:
            first = (self.phase == _FIRST).astype(np.int64)
            last = (self.place == 1).astype(np.int64)
            return named[first[:, None], last]
        # The first column of the row above is below this row, or its second one; the last one is
        # this row's last but one, or beyond it.
        known = named[0] if self.shift > 0 else named[:, 0]
        if known[0] != known[1]:
            raise NotDerivable(f"{segment!r} in the row above ends at no fixed place of this row")
        return np.full(self.machine.after.shape, known[0])


def _with_ends(table: Ints, holds: Bools) -> Ints:
    """A table with letters of a last column, which only follow where `holds`, and of none."""
    stay = np.arange(len(table))[:, None]
    return np.concatenate([table, np.where(holds, table, -1), stay], axis=1)


def _number(before: int, digit: int, *, may_be_zero: bool = True) -> int:
    """How an operand's digits go on: no leading zeros; -1 if they cannot."""
    if digit == ABSENT:
        return _OVER if before in (_LATER, _OVER) else -1
    if before == _OVER:
        return -1
    return _LATER if digit or (before == _FIRST and may_be_zero) else _ENDED
