"""Problems that contain every local context of a worksheet, at every size.

For every kind of row a `RowMachine` says which words can stand in its columns, what the queries
see, and a witness turns each word into a problem in whose work that row occurs. The words a machine
admits are those that occur in some problem, no more and no less, by these invariants:

* Product. In row j > 0 stand the digits of a and of S = floor(a * B / base^j), B being the last j
  digits of b. If a > 0 then S < a, as B < base^j. Conversely, for a and S < a of n columns let
  B = ceil(S * base^n / a); then B < base^n (as S <= a - 1 and a < base^n), and row n of any b that
  continues B has this S, since a / base^n < 1 makes floor(a * B / base^n) pass over no number.
  (a = 0 has the row of zeros, whose contexts other rows have too.) In row 0 there is no S.
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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from arithtf.tasks.batch import Operands, int_digits
from arithtf.tasks.columns import WindowLike, finite_windows
from arithtf.tasks.coupling import Coupling, Level
from arithtf.tasks.row_machine import RowMachine, Word, row_words
from arithtf.tasks.work import Work


def check_shown(task: str, work: Work, coupling: Coupling, windows: Sequence[WindowLike]) -> None:
    """Check that a coupling shows no more than the work's own.

    A coupling of fewer levels or narrower windows shows a part of what `work` shows, so that what
    contains all contexts of the one contains all of the other.

    Args:
        task: its name.
        work: the coupling whose contexts are enumerated.
        coupling: some of its levels, in any order.
        windows: one finite window per level, not wider than the work's.

    Raises:
        ValueError: another level or a wider window, for which nothing is proved.
    """
    pairs = finite_windows(windows, coupling.levels)
    for level, (back, ahead) in zip(coupling.levels, pairs, strict=True):
        most = _proved_window(task, work, level)
        if back > most[0] or ahead > most[1]:
            raise ValueError(
                f"level {level.name!r}: the contexts of {task} are enumerated for windows up to "
                f"{most}, got {(back, ahead)}; use those of the task's work()"
            )


def _proved_window(task: str, work: Work, level: Level) -> tuple[int, int]:
    for known, window in zip(work.coupling.levels, work.windows, strict=True):
        if replace(known, name=level.name, start=level.start) == level:
            return window
    raise ValueError(
        f"level {level.name!r} is none of the coupling of {task}'s work(): local contexts are "
        "enumerated for that coupling only"
    )


def _operands(problems: Iterable[tuple[int, ...]], base: int, arity: int) -> Operands:
    """The problems, those of little work first."""
    ordered = sorted(set(problems), key=lambda p: (sum(len(int_digits(x, base)) for x in p), p))
    return Operands.from_ints(ordered, base=base, arity=arity)


def _number(digits: Iterable[int | None], base: int) -> int:
    """The number of these digits, least significant first."""
    value = 0
    for digit in reversed([digit or 0 for digit in digits]):
        value = value * base + digit
    return value


class _Product(NamedTuple):
    """Before a column: the multiplier's digit, high and carry of the column before, a and S so far.

    Args:
        factor: digit d of b.
        high, carry: None before the first column.
        below: whether S < a in the columns so far.
        top: whether the last digit of a is not 0.
    """

    factor: int
    high: int | None
    carry: int | None
    below: bool
    top: bool


def product_row(base: int, *, first: bool) -> RowMachine:
    """A row of multiplication; columns are (digit of a, digit of S or None in the first row)."""
    symbols = list(product(range(base), [None] if first else range(base)))

    def step(state: _Product, symbol: tuple[int, int | None]) -> _Product:
        x, s = symbol
        low, high = x * state.factor % base, x * state.factor // base
        value = low + (state.high or 0) + (s or 0) + (state.carry or 0)
        below = state.below if x == (s or 0) else (s or 0) < x
        return _Product(state.factor, high, value // base, below or first, x > 0)

    def shown(state: _Product, symbol: tuple[int, int | None] | None) -> Iterator[object]:
        if symbol is None:
            yield "last", state.high, state.carry
            return
        x, s = symbol
        yield "high", x, state.factor, state.carry
        low, high = x * state.factor % base, x * state.factor // base
        yield "sum", low, high, state.high, s, state.carry

    starts = [_Product(d, None, None, first, False) for d in range(base)]
    return RowMachine(starts, symbols, step, lambda s: s.below and s.top, shown)


@lru_cache(maxsize=16)
def product_cover(base: int) -> Operands:
    """Products that contain every local context of any product."""

    def first_row(word: Word) -> tuple[int, int]:
        return _number([x for x, _ in word.columns], base), _at_top(word.start.factor, base)

    def later_row(word: Word) -> tuple[int, int]:
        a = _number([x for x, _ in word.columns], base)
        left = _number([s for _, s in word.columns], base)
        power = base ** len(word.columns)
        return a, -(-left * power // a) + power * _at_top(word.start.factor, base)

    problems = {
        *map(first_row, row_words(product_row(base, first=True))),
        *map(later_row, row_words(product_row(base, first=False))),
        *_product_ends(base),
    }
    return _operands(problems, base, 2)


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


def _at_top(digit: int, base: int) -> int:
    """A digit as the leading ones of a number: 0 needs a 1 before it."""
    return digit or base


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
def sum_cover(base: int) -> Operands:
    """Sums of three operands that contain every local context of any sum."""

    def operands(word: Word) -> tuple[int, int]:
        return _number([s for s, _ in word.columns], base), _number(
            [x for _, x in word.columns], base
        )

    problems = {(*operands(w), 0) for w in row_words(sum_row(base, first=True))}
    for word in row_words(sum_row(base, first=False)):
        so_far, operand = operands(word)
        problems.add((so_far, 0, operand))
    return _operands(problems, base, 3)


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
            state.kept, borrow, 0 if state.kept else borrow, room, state.more or digit > 0,
            b == 0, b is None,
        )  # fmt: skip

    def accepts(state: _Quotient) -> bool:
        return state.over and state.room >= 0 and (state.more or state.room > 0)

    def shown(state: _Quotient, symbol: tuple[int | None, int | None] | None) -> Iterator[object]:
        if symbol is not None:
            yield "borrow", *symbol, state.borrow
            yield "digit", *symbol, state.borrow is None, state.taken, state.kept

    starts = [_Quotient(kept, None, 0, 0, False, False, False) for kept in (0, 1)]
    return RowMachine(starts, symbols, step, accepts, shown)


@lru_cache(maxsize=16)
def quotient_cover(base: int) -> Operands:
    """Divisions that contain every local context of any division."""
    problems = set(_quotient_ends(base))
    for trial in (0, 1):
        for word in row_words(quotient_row(base, trial=trial)):
            remainder = _number([r for r, _ in word.columns], base)
            divisor = _number([b for _, b in word.columns], base)
            before, digit = divmod(remainder + trial * divisor, base)
            problems.add(((divisor + before) * base + digit, divisor))
    for word in row_words(quotient_row(base, trial=0, first=True)):
        problems.add((word.columns[0][0], _number([b for _, b in word.columns], base)))
    return _operands(problems, base, 2)


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
