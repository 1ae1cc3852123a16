"""Column tasks as data: a transducer for each row of the answer, from which all else follows.

A rule says how each row of the answer is written, column by column, from a state. For addition one
row is enough: the state is the carry, a column is two digits, the token is their sum's last digit.
That is all the C++ core needs to write answers (`core_task`), all the covering set needs to hold
every local context (`arithtf.certify.cover.columns`), and all that an independent checker explores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf import _core
from arithtf.tasks.vocabulary import DigitVocabulary

ABSENT = -1
"""The digit of an operand in columns where it has ended."""

Step = Callable[[Any, tuple[int, ...]], tuple[Hashable, int]]

_NO_TOKEN = 255
_TAIL = 2  # tokens of a row's end at most: one more digit and EOS


def _nothing(_: Any) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One row of the answer: a token for every column, then what `finish` says.

    Args:
        step: state and the column's digits (ABSENT where an operand has ended) -> next state and
            the column's token.
        start: state before the first column; or a function of what came before: the last state of
            the pass before, in the first pass the single digit of a rule with `last_digit`.
        finish: last state -> tokens after the last column. In the last row at most one more digit
            (EOS follows by itself); in other rows the one token that ends the row, if `end` is set.
        row: the row's segment.
        end: segment of the row's last token, which goes on counting; None in the last row.
    """

    step: Step
    start: Hashable | Callable[[Any], Hashable] = 0
    finish: Callable[[Any], tuple[int, ...]] = _nothing
    row: str = "answer"
    end: str | None = None

    def first(self, value: Any) -> Hashable:
        """The state before the first column, after `value`."""
        return self.start(value) if callable(self.start) else self.start


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A column task.

    Args:
        passes: the rows of the answer.
        numbers: operands that are read by columns, 1 or 2.
        last_digit: one more operand follows, a single digit, which the first pass starts from.
        strings: operands are strings of digits, zeros in front count.
        from_left: columns are read most significant first (one operand, or padded ones).
        padded: operands are zero-padded to the longest.
        reversed: operands are written least significant digit first.
        limit: > 0: at most so many columns are read.
        related: half of the problems drawn "uniform" agree in a random number of low digits, which
            independent operands hardly ever do.
        symmetric: exchanging the digits of a column between the operands changes no token.
        ended: what `step` reads where an operand has ended, ABSENT or a digit: for sums 0.
        running: every token of the last row is the answer to the columns so far, and the last one
            the answer to the problem.
    """

    passes: tuple[Pass, ...]
    numbers: int = 1
    last_digit: bool = False
    strings: bool = False
    from_left: bool = False
    padded: bool = False
    reversed: bool = False
    limit: int = 0
    related: bool = False
    symmetric: bool = False
    ended: int = ABSENT
    running: bool = False

    def __post_init__(self) -> None:
        if self.ended != ABSENT:
            read = tuple(replace(row, step=_ending(row.step, self.ended)) for row in self.passes)
            object.__setattr__(self, "passes", read)

    @property
    def arity(self) -> int:
        """Number of operands."""
        return self.numbers + self.last_digit

    def columns(self, base: int) -> Iterator[tuple[int, ...]]:
        """The digits that a column can have."""
        digits = range(base) if self.padded else range(ABSENT, base)
        return (c for c in product(digits, repeat=self.numbers) if max(c) > ABSENT)


def _ending(step: Step, digit: int) -> Step:
    return lambda state, column: step(state, tuple(digit if d == ABSENT else d for d in column))


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


def tables(rule: Rule, base: int) -> tuple[Table, ...]:
    """Number the states of every pass, in the order in which they are reached."""
    before: tuple[Any, ...] = tuple(range(base)) if rule.last_digit else (0,)
    columns = list(rule.columns(base))
    result = []
    for row in rule.passes:
        number: dict[Hashable, int] = {}
        for value in before:
            number.setdefault(row.first(value), len(number))
        start = np.array([number[row.first(value)] for value in before], np.int64)
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


def _end(row: Pass, state: Hashable, eos: int) -> tuple[int, int]:
    """The digit after a row's columns (_NO_TOKEN: none) and the token that ends it.

    Raises:
        ValueError: `finish` gives more than a row can end with.
    """
    tail = row.finish(state) if row.end else (*row.finish(state), eos)
    if not 1 <= len(tail) <= _TAIL or (row.end and len(tail) > 1):
        most = "one token" if row.end else "at most one digit"
        raise ValueError(f"row {row.row!r}: expected finish to give {most}, got {tail}")
    return (tail[0] if len(tail) > 1 else _NO_TOKEN), tail[-1]


def core_task(rule: Rule, words: DigitVocabulary, signs: tuple[str, ...]) -> _core.Task:
    """A rule as tables of the C++ core.

    Args:
        rule: the rule.
        words: the task's vocabulary.
        signs: the separators between operands.

    Raises:
        ValueError: rows that a column task cannot have, or tokens that there are not.
    """
    if any((row.end is None) != (row is rule.passes[-1]) for row in rule.passes):
        raise ValueError("expected a segment `end` in every row but the last, which ends with EOS")
    passes = []
    base = words.base
    factors = [(base + 1) ** k for k in range(rule.numbers)]
    for row, table in zip(rule.passes, tables(rule, base), strict=True):
        shape = (len(table.states), (base + 1) ** rule.numbers)
        following, emitted = np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
        for (state, column), (after, token) in table.step.items():
            if not 0 <= token < words.size:
                raise ValueError(
                    f"row {row.row!r}: expected a token 0..{words.size - 1} for the state "
                    f"{table.states[state]!r} and the column {column}, got {token}; step is asked "
                    f"for every state and every column, where an operand has ended ({ABSENT}) too"
                )
            digits = [base if digit == ABSENT else digit for digit in column]
            symbol = sum(f * d for f, d in zip(factors, digits, strict=True))
            following[state, symbol], emitted[state, symbol] = after, token
        ends = np.array([_end(row, state, words.eos) for state in table.states], np.uint8)
        passes.append(
            _core.ColumnPass(
                start=table.start,
                next=following,
                emitted=emitted,
                flush=ends[:, 0].copy(),
                end=ends[:, 1].copy(),
                end_apart=row.end is not None,
            )
        )
    return _core.column_task(
        base=base,
        control=words.pad,
        arity=rule.arity,
        strings=rule.strings,
        last_digit=rule.last_digit,
        related=rule.related,
        from_left=rule.from_left,
        padded=rule.padded,
        reversed=rule.reversed,
        limit=rule.limit,
        separators=np.array([words.id(sign) for sign in signs], np.uint8),
        passes=passes,
    )
