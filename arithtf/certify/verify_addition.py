"""All local contexts of addition, derived from how one adds by hand. NumPy alone.

The query that writes answer digit j sees columns j - back .. j + ahead. Before the first column it
can tell apart, only the carry and whether each operand still goes on matter; from there on all
digits are tried, column by column. Nothing here is shared with the enumeration that a certificate
is made with: there real sums are found that contain every context, here contexts are written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ABSENT = -1
ENDED, MAY_END, GOES_ON = 0, 1, 2  # GOES_ON: its last digit was 0, which cannot be the leading one
MOST_ROWS = 12_000_000
TASK_FIELDS = {"task", "base", "format", "reverse_operands"}
LEVEL_FIELDS = {"name", "key", "query", "period", "start", "shared_start", "randomized"}


class NotDerivable(ValueError):
    """There is no independent derivation for this task, coupling or window."""


@dataclass(frozen=True)
class Derived:
    """N contexts.

    Args:
        query: [N], the query's token.
        target: [N], the right next token.
        slots: [N, W], visible tokens, ABSENT where there is none.
        differences: [W], id difference of each slot; equal ones are neighbours.
        bos: token of the sinks.
        levels: [W], level of each slot; None: all are on the only one. Slots of one level are
            neighbours.
    """

    query: Ints
    target: Ints
    slots: Ints
    differences: Ints
    bos: int
    levels: Ints | None = None


def _answers_seen(task: dict[str, Any], coupling: dict[str, Any]) -> bool:
    """Whether a query by columns sees the digits already written, too.

    Raises:
        NotDerivable: the coupling is not by columns: a digit's id is its significance.
    """
    operand = {"left": 1} if task["reverse_operands"] else {"right": 1}
    answer = {"left": 1}
    if len(coupling["levels"]) == 1:
        level = coupling["levels"][0]
        plain = set(level) == LEVEL_FIELDS and not level["period"] and not level["randomized"]
        if plain and level["query"] == {"answer": answer}:
            if level["key"] == {"a": operand, "b": operand}:
                return False
            if level["key"] == {"a": operand, "b": operand, "answer": answer}:
                return True
    raise NotDerivable(
        f"coupling {coupling['name']!r} is not by columns, and the contexts of addition are "
        "derived independently for that alone"
    )


def derive_addition(
    task: dict[str, Any], coupling: dict[str, Any], windows: list[list[int]]
) -> Derived:
    """Contexts of every sum of every length.

    Args:
        task: {"base", "format", "reverse_operands"}.
        coupling: tables; only those by columns have a derivation here.
        windows: [[back, ahead]].

    Raises:
        NotDerivable: another coupling, or too many contexts.
    """
    formats = task["format"] in ("natural", "padded") and task["reverse_operands"] in (False, True)
    if set(task) != TASK_FIELDS or not formats:
        raise NotDerivable(f"the task {task} is not addition as it is derived here")
    answers_seen = _answers_seen(task, coupling)
    base, (back, ahead) = task["base"], windows[0]
    if back < 0 or ahead < 0:
        raise NotDerivable(f"the window {[back, ahead]} leaves out the column being written")
    past = max(back, 1)
    adder = _Adder(base, task["format"] == "padded")
    # j = 0 .. past from the very first column; then any later j, with any columns before.
    rows = [adder.run(-j, ahead, True) for j in range(past + 1)]
    rows.append(adder.run(-past, ahead, False))
    eos, equals = base + 2, base + 3
    offsets = range(-past, ahead + 1)
    query = np.concatenate(
        [r["answer", -1] if ("answer", -1) in r else _full(r, equals) for r in rows]
    )
    target = np.concatenate([r["target", 0] for r in rows])
    names = [("low", d) for d in offsets] + [("high", d) for d in offsets]
    names += [("answer", d) for d in offsets if d < 0 and answers_seen]
    names = sorted((name for name in names if name[1] >= -back), key=lambda name: name[1])
    columns = [np.concatenate([r.get(name, _full(r, ABSENT)) for r in rows]) for name in names]
    target = np.where(target == ABSENT, eos, target)
    slots = np.stack(columns, 1) if columns else np.empty((len(query), 0), np.int64)
    table = np.unique(np.column_stack([query, target, slots]), axis=0)
    differences = np.array([d for _, d in names], np.int64)
    return Derived(table[:, 0], table[:, 1], table[:, 2:], differences, base + 1)


Rows = dict[tuple[str, int], Ints]


def _full(rows: Rows, value: int) -> Ints:
    return np.full(len(rows["target", 0]), value)


class _Adder:
    """Addition by hand on all digits at once: every array has an entry per case."""

    def __init__(self, base: int, padded: bool) -> None:
        self.base, self.padded = base, padded
        digits = np.arange(ABSENT, base)
        a, b = np.meshgrid(digits, digits, indexing="ij")
        self.a, self.b = a.ravel(), b.ravel()

    def run(self, first: int, last: int, beginning: bool) -> Rows:
        """Cases of columns first .. last, relative to the digit being written.

        Args:
            first, last: the columns.
            beginning: column `first` is the units; otherwise any number of columns came before,
                after which either operand may have ended and there may be a carry.
        """
        if beginning:
            states = [(0, GOES_ON, GOES_ON)]
        else:
            over = (MAY_END,) if self.padded else (MAY_END, ENDED)
            states = [(carry, a, b) for carry in (0, 1) for a in over for b in over]
        carry, end_a, end_b = (np.array(part) for part in zip(*states, strict=True))
        rows: Rows = {("carry", 0): carry, ("end a", 0): end_a, ("end b", 0): end_b}
        for d in range(first, last + 1):
            rows = _unique(self._column(rows, d, beginning and d == first), self.base)
        return rows

    def _column(self, rows: Rows, d: int, units: bool) -> Rows:
        """Every case with every pair of digits that column d can have."""
        count, pairs = len(rows["carry", 0]), len(self.a)
        if count * pairs > MOST_ROWS:
            raise NotDerivable(f"more than {MOST_ROWS} cases; verify a narrower window")
        rows = {name: np.repeat(part, pairs) for name, part in rows.items()}
        a, b = np.tile(self.a, count), np.tile(self.b, count)
        keep = self._allowed(a, rows["end a", 0]) & self._allowed(b, rows["end b", 0])
        if self.padded:  # both end together
            keep &= (a == ABSENT) == (b == ABSENT)
        total = np.maximum(a, 0) + np.maximum(b, 0) + rows["carry", 0]
        # The answer has a digit here if an operand has one or something was carried; padded
        # answers have one more digit than the operands in any case.
        written = (a != ABSENT) | (b != ABSENT) | (rows["carry", 0] > 0)
        if self.padded:
            written |= rows["end a", 0] != ENDED
        digit = np.where(written, total % self.base, ABSENT)
        if d < 0:
            keep &= written
            rows["answer", d] = digit
        if d == 0:
            rows["target", 0] = digit
        after = total // self.base if d < 0 else np.zeros_like(total)
        ends = self._ends(a, b, units)
        rows |= {("carry", 0): after, ("end a", 0): ends[0], ("end b", 0): ends[1]}
        rows |= {("low", d): np.minimum(a, b), ("high", d): np.maximum(a, b)}
        return {name: part[keep] for name, part in rows.items()}

    def _allowed(self, digit: Ints, end: Ints) -> NDArray[np.bool_]:
        here = digit != ABSENT
        return np.where(end == ENDED, ~here, np.where(end == GOES_ON, here, True))

    def _ends(self, a: Ints, b: Ints, units: bool) -> tuple[Ints, Ints]:
        """Whether each operand may end after these digits."""

        def end(digit: Ints, leading: Ints) -> Ints:
            free = (
                np.full_like(digit, MAY_END) if units else np.where(leading > 0, MAY_END, GOES_ON)
            )
            return np.where(digit == ABSENT, ENDED, free)

        if self.padded:
            return end(a, np.maximum(a, b)), end(b, np.maximum(a, b))
        return end(a, a), end(b, b)


def _unique(rows: Rows, base: int) -> Rows:
    """Each case once."""
    names = sorted(rows)
    radix = base + 4  # tokens and states are -1 .. base + 2
    if radix ** len(names) < 2**62:
        code = np.zeros(len(rows[names[0]]), np.int64)
        for name in names:
            code = code * radix + (rows[name] + 1)
        _, kept = np.unique(code, return_index=True)
    else:
        _, kept = np.unique(np.stack([rows[n] for n in names], 1), axis=0, return_index=True)
    return {name: rows[name][kept] for name in names}
