"""Problems that contain every local context of a scratchpad, at every size.

For every kind of row a `RowMachine` says which words can stand in its columns, what the queries
see, and a witness turns each word into a problem in whose work that row occurs. The words a machine
admits are those that occur in some problem, no more and no less, by these invariants:

* Sum. In row r stand the digits of operand r and of the sum so far, in row 1 those of the first two
  operands; each is free. The rows have one column more than the sum can have digits, so every row
  ends with the digit 0. S is the sum so far of S + 0.
* Quotient. In the first trial for a digit stand R = base * R' + x and the divisor b, R' < b being
  the remainder so far: R < base * b; for the first digit of all R' is not there yet. After one
  trial that went well R < (base - 1) * b, and after a trial that did not, or more, R is among
  those. Conversely b + R' has the remainder R', so its digits followed by x have R; and R + b
  before the first trial leaves R for the second.

What is seen outside the rows' columns (marks, counts, ends, the copied answer) is shown by small
problems, listed below. The tests compare all with brute force in small bases, and with a second
enumeration, written down from the definitions, in base 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from arithtf.certify.cover.rows import RowMachine, row_words, shortest_first
from arithtf.encodings.windows import WindowLike, finite_windows
from arithtf.tasks.arithmetic.operands import Operands
from arithtf.tasks.coupling import Coupling


def check_shown(
    task: str, own: Coupling, coupling: Coupling, windows: Sequence[WindowLike]
) -> None:
    """Check that a coupling shows no more than the task's lookup coupling.

    A coupling of fewer of its levels shows a part of what it shows, so that what contains all
    contexts of the one contains all of the other.

    Args:
        task: its name.
        own: the lookup coupling, whose contexts are enumerated with the windows (0, 0).
        coupling: some of its levels, in any order.
        windows: one window (0, 0) per level.

    Raises:
        ValueError: another level or a wider window, for which nothing is proved.
    """
    pairs = finite_windows(windows, coupling.levels)
    for level, window in zip(coupling.levels, pairs, strict=True):
        if window != (0, 0):
            raise ValueError(
                f"level {level.name!r}: the contexts of {task} are enumerated for windows (0, 0), "
                f"got {window}; its lookup coupling needs no wider ones"
            )
        if not any(replace(k, name=level.name, start=level.start) == level for k in own.levels):
            raise ValueError(
                f"level {level.name!r} is none of the lookup coupling of {task}: local contexts "
                "are enumerated for that coupling only"
            )


class _Sum(NamedTuple):
    """Before a column: its carry (None before the first), and how the numbers go on.

    Args:
        carry: 0 or 1.
        over: which numbers have ended.
        zero: which of those that have not end in a 0 so far, so that they cannot end here.
    """

    carry: int | None
    over: tuple[bool, ...]
    zero: tuple[bool, ...]


def sum_row(base: int, *, first: bool) -> RowMachine:
    """A row of a running sum; its columns are (digit of the sum so far, digit of the operand).

    None where a number has ended; the sum so far has zeros in front but in the first row, where it
    is an operand too.
    """
    digits = [*range(base), None]
    symbols = [s for s in product(digits if first else digits[:-1], digits)]

    def step(state: _Sum, symbol: tuple[int | None, int | None]) -> _Sum | None:
        begins = state.carry is None
        for digit, over, zero in zip(symbol, state.over, state.zero, strict=True):
            if digit is None and (begins or (zero and not over)):
                return None
            if digit is not None and over:
                return None
        value = sum(digit or 0 for digit in symbol) + (state.carry or 0)
        ended = tuple(digit is None for digit in symbol)
        zeros = tuple(digit == 0 and not begins for digit in symbol)
        return _Sum(value // base, ended, zeros if first else (False, zeros[1]))

    def shown(state: _Sum, symbol: tuple[int | None, int | None] | None) -> Iterator[object]:
        if symbol is not None:
            yield *symbol, state.carry

    start = _Sum(None, (False, False), (False, False))
    return RowMachine([start], symbols, step, lambda s: not any(s.zero), shown)


@lru_cache(maxsize=16)
def sum_covering_set(base: int) -> Operands:
    """Sums of three operands that contain every local context of any sum."""
    problems = {(*word.numbers(base), 0) for word in row_words(sum_row(base, first=True))}
    for word in row_words(sum_row(base, first=False)):
        so_far, operand = word.numbers(base)
        problems.add((so_far, 0, operand))
    return shortest_first(problems, base, 3)


class _Quotient(NamedTuple):
    """Before a column of a trial.

    Args:
        kept: the row's last borrow, guessed at its beginning: the remainder is kept if it is 1.
        borrow: None before the first column.
        taken: the borrow of the column before in the subtraction, if one is made.
        room, more: of most * b - R over the columns so far, the carry and whether a digit is not 0.
        open: the divisor's last digit is 0, so that it cannot end.
        over: the divisor has ended.
    """

    kept: int
    borrow: int | None
    taken: int
    room: int
    more: bool
    open: bool
    over: bool


def quotient_row(base: int, *, trial: int, first: bool = False) -> RowMachine:
    """A trial of long division; its columns are (digit of R, digit of b or None in the last one).

    Args:
        base: of the digits.
        trial: 0 or 1, trials for this digit that went before, and well; R < (base - trial) * b.
        first: R is one digit, the dividend's first: None in later columns.
    """
    most = base - trial
    remainders = [*range(base), None] if first else range(base)
    symbols = list(product(remainders, [*range(base), None]))

    def step(state: _Quotient, symbol: tuple[int | None, int | None]) -> _Quotient | None:
        r, b = symbol
        begins = state.borrow is None
        if state.over or (b is None and (begins or state.open)):
            return None
        if first and (r is None) == begins:
            return None
        borrow = int((r or 0) < (b or 0) + (state.borrow or 0))
        if b is None and borrow != state.kept:
            return None
        room, digit = divmod(state.room + most * (b or 0) - (r or 0), base)
        return _Quotient(
            state.kept,
            borrow,
            0 if state.kept else borrow,
            room,
            state.more or digit > 0,
            b == 0,
            b is None,
        )

    def accepts(state: _Quotient) -> bool:
        return state.over and state.room >= 0 and (state.more or state.room > 0)

    def shown(state: _Quotient, symbol: tuple[int | None, int | None] | None) -> Iterator[object]:
        if symbol is not None:
            yield "borrow", *symbol, state.borrow
            yield "digit", *symbol, state.borrow is None, state.taken, state.kept

    starts = [_Quotient(kept, None, 0, 0, False, False, False) for kept in (0, 1)]
    return RowMachine(starts, symbols, step, accepts, shown)


@lru_cache(maxsize=16)
def quotient_covering_set(base: int) -> Operands:
    """Divisions that contain every local context of any division."""
    problems = set(_quotient_ends(base))
    for trial in (0, 1):
        for word in row_words(quotient_row(base, trial=trial)):
            remainder, divisor = word.numbers(base)
            before, digit = divmod(remainder + trial * divisor, base)
            problems.add(((divisor + before) * base + digit, divisor))
    for word in row_words(quotient_row(base, trial=0, first=True)):
        dividend, divisor = word.numbers(base)
        problems.add((dividend, divisor))
    return shortest_first(problems, base, 2)


def _quotient_ends(base: int) -> Iterator[tuple[int, int]]:
    """Divisions with every count before every mark, every end, every two digits of a result.

    By base - 1, numbers of two digits leave every top digit after every number of trials. By 1 the
    quotient has the dividend's digits; numbers of two digits by larger ones are remainders.
    """
    for a in range(base**2):
        for b in (1, base - 1, base**2 - 1, base**3 - 1):
            yield a, b
    for a in range(base**2, base**3):
        yield a, 1
