"""Products that contain every local context of multiplication's work, at every size.

What a query sees (coupling `work`, at most one token a level) and what therefore occurs:

| token to come | query token | sees |
|---|---|---|
| digit i of row j | carry c of digit i - 1 (separator if i = 0) | x = a_i, d = b_j, s (if j > 0) |
| carry i of row j | the digit | the same, at difference -1 |
| separator of row j | last carry of the row before; "=" for j = 0 | b_j |
| "=" before the product | last carry of the last row | nothing |
| digit k of the product | digit k - 1; "=" for k = 0 | final digit k, "=" |
| EOS | last digit of the product | "=" |

s is a digit of what the rows before have left: in row j that is S = floor(a * B / base^j), where B
are the last j digits of b.

Which (x, d, s, c) occur. Row j > 0 with d = b_j runs a transducer over the columns (x, s) of (a,
S), least significant first: c starts at 0 and becomes floor((x * d + s + c) / base). If a >= 1
then S < a, as B < base^j. Conversely, whatever digits the columns below the top one hold, put a
column x = 1, s = 0 on top: then S < a, and for j = n (n digits of a) the number B = ceil(S *
base^n / a) gives that S, since a < base^n makes the steps of a * B / base^n smaller than one; B <
base^n, since S <= a - 1. So there is a product with these columns in row n, where b_n = d and b is
continued by a 1 if d = 0. Hence exactly those (x, d, s, c) occur for which c can be reached from 0
under d by columns of any digits, and (x, d, s) after a separator for all digits. (a = 0 and
columns that are the top ones add nothing: a query does not see whether its column is the top one.)
In row 0 the same holds with s = 0: b may be the one digit d, or a 1 and d = 0.

Which others occur: the last carry of a row is every t < base - 1 for (base - 1) * (t + 1), and
base - 1 in row 1 of (base^2 - 1)^2; the next digit of b is free (again continued by a 1 if it is
0). With b = 1 two adjacent digits of the product are those of a, which are free.

The tests check both halves on all products of few digits in small bases, and that these products
hold exactly the contexts of the table above.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from arithtf.tasks.batch import Operands, int_digits
from arithtf.tasks.columns import WindowLike, finite_windows
from arithtf.tasks.coupling import Coupling, Level
from arithtf.tasks.work import WORK_WINDOWS, work

Column = tuple[int, int]


def multiplication_cover(
    coupling: Coupling, windows: Sequence[WindowLike], *, base: int
) -> Operands:
    """Products that contain every local context of any product.

    A coupling of fewer levels or narrower windows than `work` shows a part of what `work` shows,
    so the same products contain all that it shows.

    Args:
        coupling: levels of `work`, in any order.
        windows: one finite window per level, not wider than in WORK_WINDOWS.
        base: number base.

    Returns:
        The products, those of little work first.

    Raises:
        ValueError: another level or a wider window, for which nothing is proved.
    """
    for level, (back, ahead) in zip(
        coupling.levels, finite_windows(windows, coupling.levels), strict=True
    ):
        most = _proved_window(level)
        if back > most[0] or ahead > most[1]:
            raise ValueError(
                f"level {level.name!r}: the contexts of multiplication are enumerated for windows "
                f"up to {most}, got {(back, ahead)}; use couplings.WORK_WINDOWS"
            )
    problems = {*_rows(base), *_first_rows(base), *_ends(base)}
    ordered = sorted(problems, key=lambda p: (len(int_digits(p[1], base)), p))
    return Operands.from_ints(ordered, base=base)


def _proved_window(level: Level) -> tuple[int, int]:
    for known, window in zip(work().levels, WORK_WINDOWS, strict=True):
        if replace(known, name=level.name, start=level.start) == level:
            return window
    raise ValueError(
        f"level {level.name!r} is none of couplings.work: local contexts of multiplication are "
        "enumerated for that coupling only"
    )


def carries(base: int, digit: int, *, first_row: bool) -> dict[int | None, list[Column]]:
    """Carries that can occur in a row, with the shortest columns (x, s) that lead to each.

    Args:
        base: number base.
        digit: the multiplier's digit d.
        first_row: nothing is left by rows before, s = 0.

    Returns:
        Carry -> columns, least significant first; None is the beginning of the row, before any.
    """
    paths: dict[int | None, list[Column]] = {None: []}
    queue: list[int | None] = [None]
    for carry in queue:
        for x in range(base):
            for s in range(1 if first_row else base):
                after = (x * digit + s + (carry or 0)) // base
                if after not in paths:
                    paths[after] = [*paths[carry], (x, s)]
                    queue.append(after)
    return paths


def _rows(base: int) -> Iterator[tuple[int, int]]:
    """For every (x, d, s, c) that occurs a product with it in row n."""
    for digit in range(base):
        for path in carries(base, digit, first_row=False).values():
            for x in range(base):
                for s in range(base):
                    columns = [*path, (x, s), (1, 0)]
                    a = _number([column[0] for column in columns], base)
                    left = _number([column[1] for column in columns], base)
                    power = base ** len(columns)
                    below = -(-left * power // a)
                    yield a, below + power * _at_top(digit, base)


def _first_rows(base: int) -> Iterator[tuple[int, int]]:
    """The same for row 0."""
    for digit in range(base):
        for path in carries(base, digit, first_row=True).values():
            for x in range(base):
                a = _number([*(column[0] for column in path), x, 1], base)
                yield a, _at_top(digit, base)


def _ends(base: int) -> Iterator[tuple[int, int]]:
    """Products with every last carry before every digit of the multiplier, and at the end."""
    largest = base - 1
    for digit in range(base):
        yield largest, digit
        yield base * largest + largest, base * largest + largest
        yield digit, 1
        for carry in range(base):
            yield base**2 + base * digit + carry, 1
            a, b, size = largest, carry + 1, 1
            if carry == largest:
                a, b, size = base * largest + largest, base * largest + largest, 2
            yield a, b + base**size * _at_top(digit, base)


def _at_top(digit: int, base: int) -> int:
    """A digit as the leading ones of a number: 0 needs a 1 before it."""
    return digit or base


def _number(digits: Sequence[int], base: int) -> int:
    value = 0
    for digit in reversed(digits):
        value = value * base + digit
    return value
