"""All local contexts of the column tasks, written down case by case. Python and NumPy alone.

Each function goes through what can stand in the columns that a query sees, and works the next token
out as one does by hand. Nothing here is shared with the enumeration that a certificate is made with
(`arithtf.tasks.column_cover`): there real problems are found that contain every context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from arithtf.certify.verify_addition import ABSENT, Derived, NotDerivable

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


def derive_strings(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Copy and reverse: the digit at the query's place, whatever stood before."""
    side = {"right": 1} if task["task"] == "reverse" else {"left": 1}
    require(coupling, windows, [{"key": {"a": side}, "query": _answer(left=1)}], [[0, 0]])
    base = task["base"]
    digits, before = range(base), [*range(base), base + EQUALS]
    rows = [(q, d, d) for q in before for d in digits]
    rows += [(q, base + EOS, ABSENT) for q in digits]
    return derived(rows, [(0, 0)], base)


def derive_parity(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Running parity: the parity before, from the query token, and the digit."""
    level = {"key": {"a": {"left": 1}}, "query": _answer(left=1)}
    require(coupling, windows, [level], [[0, 0]])
    base = task["base"]
    rows = [
        (q, (p + d) % 2, d) for q, p in ((base + EQUALS, 0), (0, 0), (1, 1)) for d in range(base)
    ]
    rows += [(q, base + EOS, ABSENT) for q in (0, 1)]
    return derived(rows, [(0, 0)], base)


def derive_increment(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """One more: carry 1 into the units."""
    require(coupling, windows, [_digit("a"), _digit("a", before=1)], [[0, 0]] * 2)
    base, rows = task["base"], []
    for digit in range(base):
        rows.append((base + EQUALS, (digit + 1) % base, ABSENT, digit))
    for before in range(base):
        for carry in (0, 1):  # a carry of 0 enters only above the units
            written, after = (before + carry) % base, (before + carry) // base
            for digit in range(base):
                rows.append((written, (digit + after) % base, before, digit))
            if before or carry:
                rows.append((written, 1 if after else base + EOS, before, ABSENT))
    rows.append((1, base + EOS, ABSENT, ABSENT))  # after the digit that the last carry made
    return derived(rows, [(1, 0), (0, 0)], base)


def _comparisons(base: int, ends: dict[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """(query token, next token, a's digit, b's digit) of a running comparison.

    Args:
        base: number base.
        ends: the token that ends the row, by the sign of a - b.
    """
    less, more = ends[-2], ends[2]
    token = {-1: less, 0: base + EQUALS, 1: more}
    for sign, query in token.items():
        for a, b in _pairs(base):
            if a == b == ABSENT:
                yield query, ends[sign], a, b
                continue
            x, y = max(a, 0), max(b, 0)
            yield query, token[sign if x == y else (1 if x > y else -1)], a, b


def derive_comparison(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Running comparison: the comparison before, from the query token, and both digits."""
    require(coupling, windows, [_digit("a"), _digit("b")], [[0, 0]] * 2)
    base = task["base"]
    eos, less, more = base + EOS, base + SYMBOL + 1, base + SYMBOL + 2
    rows = _comparisons(base, {-1: eos, 0: eos, 1: eos, -2: less, 2: more})
    return derived(rows, [(0, 0), (1, 0)], base)


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


def derive_times_digit(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Digit by digit with every carry that can be."""
    levels = [_digit("a"), _digit("a", before=1), {"key": {"b": {}}, "query": _answer()}]
    require(coupling, windows, levels, [[0, 0]] * 3)
    base, rows = task["base"], []
    for factor in range(base):
        carries = {0}
        while more := {(d * factor + c) // base for d in range(base) for c in carries} - carries:
            carries |= more
        for digit in range(base):
            rows.append((base + EQUALS, digit * factor % base, ABSENT, digit, factor))
        for before in range(base):
            for carry in carries:
                after, written = divmod(before * factor + carry, base)
                for digit in range(base):
                    rows.append((written, (digit * factor + after) % base, before, digit, factor))
                if before or not carry:  # the number 0 is the only one that ends in front with 0
                    rows.append((written, after or base + EOS, before, ABSENT, factor))
                if before and after:
                    rows.append((after, base + EOS, ABSENT, ABSENT, factor))
    return derived(rows, [(1, 0), (0, 0), (2, 0)], base)


def derive_modular(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Sums of the last columns, up to the mark that "=" is: digits, or a running residue."""
    base, modulus = task["base"], task["modulus"]
    if modulus < 2 or pow(base, modulus.bit_length(), modulus):
        raise NotDerivable(f"the modulus {modulus} divides no power of {base}")
    columns, own = 1, 0
    while base**columns % modulus:
        columns += 1
    while modulus % base ** (own + 1) == 0:
        own += 1
    column = {"key": {"a": {"right": 1}, "b": {"right": 1}}, "query": _answer(left=1)}
    stop = {"key": {"=": {"offset": columns}}, "query": _answer(left=1)}
    if columns <= own + 1:
        require(coupling, windows, [column, stop], [[1, 0], [0, 1]])
        slots = [(0, -1), (0, -1), (0, 0), (0, 0), (1, 0), (1, 1)]
        rows = _modular_rows(base, modulus // base ** (columns - 1), columns)
        return derived(rows, slots, base)
    far = columns - own
    require(coupling, windows, [column, stop], [[0, 0], [0, far]])
    slots = [(0, 0), (0, 0), *((1, d) for d in range(far + 1))]
    residue = modulus // base**own
    control = max(base, residue, 2 * base if own else 0)
    return derived(_running_rows(base, residue, own, columns, control), slots, control)


def _running_rows(base: int, residue: int, own: int, columns: int, control: int) -> Iterator[Row]:
    """A column's sum below column `own`, from there on the residue of what stands above.

    What has been written before a column goes with what each operand's digit there was: ABSENT,
    0 for a zero that the number cannot end with, 1 for any other.
    """

    def write(before: int, pair: Pair, j: int) -> int:
        total = max(pair[0], 0) + max(pair[1], 0)
        if j <= own:
            total += 1 if j and before >= base else 0
            return total if j < own else total % residue
        return (before + total * base ** (j - own)) % residue

    before = {(control + EQUALS, (1, 1))}
    for j in range(columns + 1):
        mark = tuple(
            control + EQUALS if columns - j == d else ABSENT for d in range(columns - own + 1)
        )
        after = set()
        for token, lasts in before:
            for pair in _pairs(base):
                if not all(_may_follow(x, y, False) for x, y in zip(lasts, pair, strict=True)):
                    continue
                if j == 0 and ABSENT in pair:
                    continue
                ended = j == columns or pair == (ABSENT, ABSENT)
                following = control + EOS if ended else write(token, pair, j)
                yield (token, following, *pair, *mark)
                if not ended:
                    first, second = (min(d, 1) if j else 1 for d in pair)
                    after.add((following, (first, second)))
        before = after


def _modular_rows(base: int, top: int, kept: int) -> Iterator[Row]:
    def write(total: int, column: int) -> int:
        return total % (top if column == kept - 1 else base)

    def add(pair: Pair, carry: int) -> int:
        return max(pair[0], 0) + max(pair[1], 0) + carry

    pairs, eos = list(_pairs(base)), base + EOS
    for j in range(kept + 1):
        mark = tuple(base + EQUALS if kept - j == d else ABSENT for d in (0, 1))
        if j == 0:
            for pair in pairs:
                if ABSENT not in pair:
                    written = write(add(pair, 0), 0)
                    yield (base + EQUALS, written, ABSENT, ABSENT, *pair, *mark)
            continue
        if j > 1:  # after the digit that the last carry made
            yield (1, eos, *[ABSENT] * 4, *mark)
        first = j == 1
        for before in pairs:
            if max(before) == ABSENT or (first and ABSENT in before):
                continue
            for carry in (0,) if first else (0, 1):
                total = add(before, carry)
                after = total // base
                for pair in pairs:
                    if not all(_may_follow(x, y, first) for x, y in zip(before, pair, strict=True)):
                        continue
                    if j == kept or (pair == (ABSENT, ABSENT) and not after):
                        following = eos
                    else:
                        following = write(add(pair, after), j)
                    yield (write(total, j - 1), following, *before, *pair, *mark)


def derive_residue(task: Json, coupling: Json, windows: list[list[int]]) -> Derived:
    """Horner's rule from every residue that can be."""
    level = {"key": {"a": {"left": 1}, "b": {"left": 1}}, "query": _answer(left=1)}
    require(coupling, windows, [level], [[0, 0]])
    base, modulus = task["base"], task["modulus"]
    control, digits = max(base, modulus), range(base)
    residues = {(a + b) % modulus for a in digits for b in digits if a + b}
    while (
        more := {(base * r + s) % modulus for r in residues for s in range(2 * base - 1)} - residues
    ):
        residues |= more
    before = [(control + EQUALS, 0), *((r, r) for r in residues)]
    rows = [
        (q, (base * r + a + b) % modulus, a, b) for q, r in before for a in digits for b in digits
    ]
    rows += [(r, control + EOS, ABSENT, ABSENT) for r in residues | {0}]
    return derived(rows, [(0, 0), (0, 0)], control)


COLUMN_DERIVATIONS: dict[str, Callable[[Json, Json, list[list[int]]], Derived]] = {
    "copy": derive_strings,
    "reverse": derive_strings,
    "parity": derive_parity,
    "increment": derive_increment,
    "comparison": derive_comparison,
    "subtraction": derive_subtraction,
    "times-digit": derive_times_digit,
    "modular-addition": derive_modular,
    "residue-addition": derive_residue,
}
"""Independent enumerations by task name: (task, coupling, windows) -> contexts."""
