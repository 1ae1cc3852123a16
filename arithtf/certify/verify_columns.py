"""All local contexts of the column tasks, written down case by case. Python and NumPy alone.

Each function goes through what can stand in the columns that a query sees, and works the next token
out as one does by hand. Nothing here is shared with the enumeration that a certificate is made with
(`arithtf.tasks.column_cover`): there real problems are found that contain every context.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from arithtf.certify.verify_derived import ABSENT, Derived, NotDerivable

Json = dict[str, Any]
Row = tuple[int, ...]  # query token, right next token, then a token or ABSENT for every slot
Slot = tuple[int, int]  # level, id difference
Pair = tuple[int, int]
PAD, BOS, EOS, EQUALS, SYMBOL = range(5)  # tokens, counted from the first that is no number


def derived(rows: Iterable[Row], slots: list[Slot], control: int) -> Derived:
    """Contexts, each once; tokens in slots of one place are in ascending order."""
    table = np.array(sorted(set(rows)), np.int64)
    for slot in set(slots):
        at = [2 + k for k, other in enumerate(slots) if other == slot]
        table[:, at] = np.sort(table[:, at], axis=1)
    order = sorted(range(len(slots)), key=slots.__getitem__)  # as a certificate's hash has them
    slots, table = [slots[k] for k in order], table[:, [0, 1, *(2 + k for k in order)]]
    table = np.unique(table, axis=0)
    levels, differences = (np.array(part, np.int64) for part in zip(*slots, strict=True))
    return Derived(
        table[:, 0], table[:, 1], table[:, 2:], differences, control + BOS, levels=levels
    )


def require(
    coupling: Json, windows: list[list[int]], levels: list[Json], wanted: list[list[int]]
) -> None:
    """Check that ids and windows are those that a derivation is for."""
    tables = [{side: level[side] for side in ("key", "query")} for level in coupling["levels"]]
    plain = all(
        not level.get("period") and not level.get("randomized") for level in coupling["levels"]
    )
    if tables != levels or not plain or [list(window) for window in windows] != wanted:
        raise NotDerivable(
            f"contexts of this task are derived independently for the windows {wanted} and the "
            f"recipe's coupling only, got {windows} and {coupling['name']!r}"
        )


def _answer(**form: int) -> Json:
    return {"answer": form}


def _digit(segment: str, *rows: str, before: int = 0, side: str = "right") -> Json:
    """A level on which rows (the answer if none is named) look up one digit of a segment."""
    key = {"offset": before, side: 1} if before else {side: 1}
    return {"key": {segment: key}, "query": {row: {"left": 1} for row in rows or ("answer",)}}


def _may_follow(before: int, digit: int, first: bool) -> bool:
    """Whether a number can have this digit (or none) above that one, the `first` if it is."""
    if before == ABSENT:
        return digit == ABSENT
    return digit != ABSENT or before != 0 or first


def _pairs(base: int) -> Iterator[Pair]:
    digits = range(ABSENT, base)
    return ((a, b) for a in digits for b in digits)


def derive_subtraction(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Digits of a - b with the borrow, the sign, and the digits again or their complement."""
    first, written = ("difference", "sign"), _digit("difference", side="left")
    levels = [_digit(side, *first, before=k) for k in (0, 1) for side in "ab"]
    levels += [written, _digit("difference", before=1, side="left")]
    require(coupling, windows, [*levels, {"key": {"sign": {}}, "query": _answer()}], [[0, 0]] * 7)
    base = task["base"]
    signs = {1: base + SYMBOL, 0: base + SYMBOL + 1}
    rows: list[Row] = [(*row, *[ABSENT] * 3) for row in _differences(base, signs)]
    for row in _absolutes(base, signs):
        rows.append((*row[:2], *[ABSENT] * 4, *row[2:]))
    return derived(rows, [(level, 0) for level in (2, 3, 0, 1, 5, 4, 6)], base)


def _differences(base: int, signs: dict[int, int]) -> Iterator[Row]:
    """(query, next, digits of the column before, digits of the column) of the first row."""

    def column(pair: Pair, borrow: int) -> int:
        return max(pair[0], 0) - max(pair[1], 0) - borrow

    for pair in _pairs(base):
        if ABSENT not in pair:
            yield (base + EQUALS, column(pair, 0) % base, ABSENT, ABSENT, *pair)
    for before in _pairs(base):
        for first in (True, False):
            if max(before) == ABSENT or (first and ABSENT in before):
                continue
            for borrow in (0,) if first else (0, 1):
                value = column(before, borrow)
                for pair in _pairs(base):
                    if not all(_may_follow(x, y, first) for x, y in zip(before, pair, strict=True)):
                        continue
                    after = int(value < 0)
                    last = pair == (ABSENT, ABSENT)
                    following = signs[after] if last else column(pair, after) % base
                    yield (value % base, following, *before, *pair)


def _absolutes(base: int, signs: dict[int, int]) -> Iterator[Row]:
    """(query, next, difference's digit before, its digit, sign) of the second row."""
    eos, digits = base + EOS, range(base)
    for digit in digits:
        yield (signs[0], digit, ABSENT, digit, signs[0])
        yield (signs[1], -digit % base, ABSENT, digit, signs[1])
    for before in digits:
        for digit in (*digits, ABSENT):
            ended = digit == ABSENT
            yield (before, eos if ended else digit, before, digit, signs[0])
            # While all digits so far are 0 the complement's are too; then 10 - d once, then 9 - d.
            for zeros in (True, False):
                written = -before % base if zeros else base - 1 - before
                still = zeros and before == 0
                if ended and still:
                    continue  # a difference of 0 is not negative
                following = -digit % base if still else base - 1 - digit
                yield (written, eos if ended else following, before, digit, signs[1])
