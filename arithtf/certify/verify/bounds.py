"""Which numbers can stand in the rows of a scratchpad: bounds that are found and proved at once.

1. *A bound holds in every row.* X is the number that rows change, Y the one that they keep (see
   `rows`). For every row of a turn and every single digit that rows change, k is the least number
   of 0 .. base with X < k Y or X = 0. The k begin at what stands in the first row. All ways of the
   row's automaton are walked beside those that compare X with k Y and the X' that is left with
   K Y. Where some X' needs a larger K than the k there, it is raised, until none is: then they hold
   in all rows, whatever their number. Between turns X moves by a cell: up, floor(X' / base) < k Y
   follows from X' < base k Y; down, base X' + x < base K Y from X' < K Y, if K and Y are not 0.
2. *Or rows add.* Where every operand has a turn, each edge of the automaton keeps X' + base phi' =
   X + Y + phi for a function phi of its states. So X is the sum of the operands so far, and there
   are so many columns that the last one holds 0, and nothing is carried over it.

In products Y = a and X = S, the sum so far. In row 0 is S = 0, so k = 0. It leaves S' = d a for a
digit d of b: K = base, k = 1. From S < a follows S' = S + d a < base a, k = 1 again. So S < a.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from arithtf.certify.verify.contexts import Ints, NotDerivable
from arithtf.certify.verify.rows import Rows

LARGEST = 40_000_000
"""Entries of a table of an automaton at most."""


class Part(NamedTuple):
    """An automaton that reads along with a row's.

    Args:
        table: [states, letters], next states; -1 where a letter cannot follow.
        letters: of every symbol [A], or of every state of the row's automaton and symbol [S, A].
    """

    table: Ints
    letters: Ints


def explore(parts: Sequence[Part], starts: Ints) -> tuple[Ints, Ints]:
    """The product of automata over the same symbols; the first one's states choose letters.

    Args:
        parts: automata.
        starts: [N, parts], states to begin with.

    Returns:
        Reached states [S, parts], the starts first, and the next ones [S, A], -1 where there is
        none.

    Raises:
        NotDerivable: they are too many.
    """
    sizes = [len(part.table) for part in parts]
    if np.prod(sizes, dtype=float) > LARGEST:
        raise NotDerivable("the automaton of the rows is too large")
    number = np.full(int(np.prod(sizes)), -1, np.int64)
    code = np.unique(np.ravel_multi_index(starts.T, sizes))
    number[code] = np.arange(len(code))
    states, nexts, count = [code], [], len(code)
    while len(code):
        each = np.unravel_index(code, sizes)
        moved = []
        for part, state in zip(parts, each, strict=True):
            letters = part.letters if part.letters.ndim == 1 else part.letters[each[0]]
            moved.append(part.table[state[:, None], letters])
        there = np.logical_and.reduce([m >= 0 for m in moved])
        if there.size + count > LARGEST:
            raise NotDerivable("the automaton of the rows is too large")
        after = np.ravel_multi_index([np.where(there, m, 0) for m in moved], sizes)
        fresh = np.zeros(len(number), np.bool_)
        fresh[after[there]] = True
        code = np.flatnonzero(fresh & (number < 0))
        number[code] = count + np.arange(len(code))
        count += len(code)
        states.append(code)
        nexts.append(np.where(there, number[after], -1))
    found = np.stack(np.unravel_index(np.concatenate(states), sizes), 1)
    return found, np.concatenate(nexts)


class Below:
    """Compares two numbers, digit by digit from the least: is x < k y, or x = 0?

    Args:
        base: of the digits.
        k: the factor; None: nothing is compared.
    """

    def __init__(self, base: int, k: int | None) -> None:
        factor = k or 0
        number = {(0, False, True): 0}  # k y - x: carry, a digit is not 0; and whether x = 0
        rows = []
        for carry, some, zero in (states := list(number)):  # grows while it is walked
            row = []
            for x, y in product(range(base), repeat=2):
                after, digit = divmod(factor * y - x + carry, base)
                state = (
                    (0, False, True) if k is None else (after, some or digit > 0, zero and not x)
                )
                if state not in number:
                    number[state] = len(number)
                    states.append(state)
                row.append(number[state])
            rows.append(row)
        self.table = np.array(rows, np.int64)
        self.holds = np.array([z or c > 0 or (c == 0 and some) for c, some, z in states])


def bounds(rows: Rows) -> dict[tuple[int, int], int | None]:
    """Step 1 of the module: k for every row of a turn and digit of the changed single track.

    Returns:
        (row of the turn, digit) -> k; None: any X can stand there.
    """
    pad, base = rows.pad, rows.base
    track = pad.tracks[rows.x]
    digits = rows.digit(rows.changed) if rows.changed else np.zeros(len(rows.states), np.int64)
    first: int | None = 0
    if track.operand is not None:  # one digit, if X moves down, is below base times any Y but 0
        first = base if track.moves < 0 and pad.divides else None
    found: dict[tuple[int, int], int | None] = {(0, 0): first}
    waiting = [(0, 0)]
    while waiting:
        nth, digit = waiting.pop()
        ends = nth + 1 == pad.repeat
        starts = np.flatnonzero(digits[: rows.starts] == digit)
        for left, k in _leaves(rows, found[nth, digit], starts, track.moves if ends else 0):
            key = (0, 0) if ends else (nth + 1, left)
            if key not in found or _larger(k, found[key]):
                found[key] = k
                waiting.append(key)
    return found


def _larger(k: int | None, other: int | None) -> bool:
    return other is not None and (k is None or k > other)


def _leaves(
    rows: Rows, k: int | None, starts: Ints, moves: int
) -> Iterator[tuple[int, int | None]]:
    """What rows leave: the changed single digit, and the least k of the X that is moved."""
    base = rows.base
    symbols, written = np.arange(base**2), rows.tokens[rows.replaced]
    before, left, known = Below(base, k), rows.left(), set[int]()
    for after in range(base + 1):
        factor = after * base if moves > 0 else after
        below = Below(base, factor)
        parts = [
            Part(rows.next, symbols),
            Part(before.table, symbols),
            Part(below.table, written * base + symbols % base),
        ]
        begin = np.stack([starts, *np.zeros((2, len(starts)), np.int64)], 1)
        states, nexts = explore(parts, begin)
        row, ended, compared = (states[nexts, i] for i in range(3))
        ends = rows.right[states[:, 0]] & before.holds[ended]
        wrong = {*left[row[ends & ~below.holds[compared]]].tolist()}
        there = {*left[row[ends]].tolist()}
        for digit in there - wrong - known:
            known.add(digit)
            k = after if moves >= 0 else max(after, 1) * base
            yield digit, k if k <= base and (moves >= 0 or rows.pad.divides) else None
        if known == there:
            return
    for digit in there - known:
        yield digit, None


def carried(rows: Rows) -> Ints:
    """Step 2 of the module: phi of every state.

    Raises:
        NotDerivable: the rows do not add.
    """
    base = rows.base
    x, y = np.divmod(np.arange(base**2), base)
    left = x + y - rows.tokens[rows.replaced]
    phi = np.zeros(len(rows.states), np.int64)
    for state in range(len(phi)):  # numbered in the order in which they are reached
        after = rows.next[state]
        new = (after > state) & (after >= rows.starts)
        phi[after[new]] = (left[state, new] + phi[state]) // base
    if (left + phi[:, None] != base * phi[rows.next]).any():
        raise NotDerivable("operands have a turn each, but rows do not add them up")
    return phi
