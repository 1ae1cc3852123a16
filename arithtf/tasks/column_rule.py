"""Column tasks as data: one transducer per row of the answer, from which all else follows.

A rule says how each row of the answer is written, column by column, from a state: that is enough
for the C++ core to write answers (`core_task`), and for the cover to find every local context
(`arithtf.tasks.column_cover`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf import _core

ABSENT = -1
"""The digit of an operand in columns where it has ended."""

_NO_TOKEN = 255


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One row of the answer: a token for every column, then what `finish` says.

    Args:
        row: the row's segment.
        end: segment of the row's last token, which goes on counting; None: the row's own.
        start: state before the first column, from the last state of the pass before (in the first
            pass from the last operand's digit where the rule has one, else from 0).
        step: state and the column's digits (ABSENT where an operand has ended) -> next state and
            the column's token.
        finish: last state -> (end,) or (one more digit, end); the end of the last row is EOS, and
            no other row has one more digit.
    """

    row: str
    end: str | None = None
    start: Callable[[Any], Hashable]
    step: Callable[[Any, tuple[int, ...]], tuple[Hashable, int]]
    finish: Callable[[Any], tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A column task.

    Args:
        base: of the operands' digits.
        control: the vocabulary's first token that is no digit.
        numbers: operands that are read by columns, 1 or 2.
        separators: tokens between operands.
        passes: the rows of the answer.
        digit: one more operand follows, a single digit, which the first pass starts from.
        strings: operands are strings of digits, zeros in front count.
        from_left: columns are read most significant first (one operand, or padded ones).
        padded: operands are zero-padded to the longest.
        limit: > 0: at most so many columns are read.
        related: half of the problems drawn "uniform" agree in a random number of low digits, which
            independent operands hardly ever do.
        symmetric: exchanging the digits of a column between the operands changes no token.
    """

    base: int
    control: int
    passes: tuple[Pass, ...]
    numbers: int = 1
    separators: tuple[int, ...] = ()
    digit: bool = False
    strings: bool = False
    from_left: bool = False
    padded: bool = False
    limit: int = 0
    related: bool = False
    symmetric: bool = False

    @property
    def arity(self) -> int:
        """Number of operands."""
        return self.numbers + self.digit

    def columns(self) -> Iterator[tuple[int, ...]]:
        """The digits that a column can have."""
        digits = range(self.base) if self.padded else range(ABSENT, self.base)
        return (c for c in product(digits, repeat=self.numbers) if max(c) > ABSENT)


class Table(NamedTuple):
    """A pass with its states numbered.

    Args:
        states: all that can be reached.
        start: int64 [values before], numbers of states.
        step: (number of a state, column's digits) -> (number of the next state, token).
    """

    states: tuple[Hashable, ...]
    start: NDArray[np.int64]
    step: dict[tuple[int, tuple[int, ...]], tuple[int, int]]


def tables(rule: Rule) -> tuple[Table, ...]:
    """Number the states of every pass."""
    before: tuple[Any, ...] = tuple(range(rule.base)) if rule.digit else (0,)
    columns = list(rule.columns())
    result = []
    for row in rule.passes:
        number: dict[Hashable, int] = {}
        for value in before:
            number.setdefault(row.start(value), len(number))
        start = np.array([number[row.start(value)] for value in before], np.int64)
        step = {}
        reached = list(number)
        for state in reached:  # grows while it is walked
            for column in columns:
                after, token = row.step(state, column)
                if after not in number:
                    number[after] = len(number)
                    reached.append(after)
                step[number[state], column] = (number[after], token)
        result.append(Table(tuple(reached), start, step))
        before = tuple(reached)
    return tuple(result)


def core_task(rule: Rule) -> _core.ColumnTask:
    """The rule as tables of the C++ core."""
    passes = []
    symbols = (rule.base + 1) ** rule.numbers
    factors = [(rule.base + 1) ** k for k in range(rule.numbers)]
    for row, table in zip(rule.passes, tables(rule), strict=True):
        shape = (len(table.states), symbols)
        following, emitted = np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
        for (state, column), (after, token) in table.step.items():
            digits = [rule.base if digit == ABSENT else digit for digit in column]
            symbol = sum(f * d for f, d in zip(factors, digits, strict=True))
            following[state, symbol], emitted[state, symbol] = after, token
        finish = [row.finish(state) for state in table.states]
        passes.append(
            _core.ColumnPass(
                start=table.start,
                next=following,
                emitted=emitted,
                flush=np.array([f[0] if len(f) > 1 else _NO_TOKEN for f in finish], np.uint8),
                end=np.array([f[-1] for f in finish], np.uint8),
                end_apart=row.end is not None,
            )
        )
    return _core.ColumnTask(
        base=rule.base,
        control=rule.control,
        arity=rule.arity,
        strings=rule.strings,
        last_digit=rule.digit,
        related=rule.related,
        from_left=rule.from_left,
        padded=rule.padded,
        limit=rule.limit,
        separators=np.array(rule.separators, np.uint8),
        passes=passes,
    )
