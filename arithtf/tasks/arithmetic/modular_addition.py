"""Addition modulo divisors of a power of the base: the last digits decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.operands import int_digits
from arithtf.tasks.arithmetic.task import Longs
from arithtf.tasks.arithmetic.transducer import Pass, Rule
from arithtf.tasks.vocabulary import digit_vocabulary

MAX_RESIDUE = 240
"""Residues are tokens 0 .. MAX_RESIDUE - 1 at most: tokens are bytes."""

_State = tuple[int, int]
_Step = Callable[[_State, tuple[int, ...]], tuple[_State, int]]


@dataclass(frozen=True)
class SumModulo(ColumnTask):
    """Sums a + b modulo a number: what two tasks have in common."""

    modulus: int = 10
    base: int = field(default=10, kw_only=True)

    sign = "+"

    @property
    def example(self) -> str:
        """Like "(12+34)%101"."""
        return f"(12+34)%{self.modulus}"

    @property
    def frame(self) -> tuple[str, str]:
        """Of (12+34)%101, "(" and ")%101"."""
        return "(", f")%{self.modulus}"

    def truth(self, *operands: int) -> int:
        """The sum modulo p."""
        return sum(operands) % self.modulus


class Parts(NamedTuple):
    """A modulus p = residue * base^digits that divides base^columns, columns as small as possible.

    Args:
        columns: so many low digits of the operands decide.
        digits: so many digits of the sum are digits of the result; `residue` is no multiple of
            the base.
        residue: what is above them counts modulo this.
    """

    columns: int
    digits: int
    residue: int


@lru_cache(maxsize=64, typed=True)
def modulus_parts(modulus: int, base: int) -> Parts:
    """The parts of a modulus.

    Raises:
        ValueError: it divides no power of the base.
    """
    whole = isinstance(modulus, int) and isinstance(base, int)  # recipes are read from files
    if not whole or modulus < 2 or pow(base, modulus.bit_length(), modulus):
        raise ValueError(
            f"expected a modulus of at least 2 that divides a power of {base}, got {modulus}; "
            f"residue-addition takes any modulus from 2 to {MAX_RESIDUE}"
        )
    columns, power = 1, base
    while power % modulus:
        columns, power = columns + 1, power * base
    digits, residue = 0, modulus
    while residue % base == 0:
        digits, residue = digits + 1, residue // base
    return Parts(columns, digits, residue)


@dataclass(frozen=True)
class ModularAddition(SumModulo):
    """(a + b) modulo p, where p divides a power of the base: the last k digits decide.

    An instance is BOS, a, "+", b, "=", answer. The answer is written from the units on and ends
    after k columns at the latest, in one of two forms.

    Where p = d * base^(k-1) with d dividing the base (10, 20, 50, 100, 1000 in base 10), one column
    decides each digit but for the carry: the answer is the digits of the result, at most k, of
    which leading ones may be zero.

    For other p = q * base^j (4, 8, 25, 40, 250), several columns decide the residue modulo q, and
    it is written as it grows. The first j tokens are sums of a column, its carry included, each
    less than 2 * base: their last digits are those of the result. The token of column i >= j is
    the residue modulo q of all columns from j to i, as one token; the last one stands above the j
    digits. Where j is 0, as for 4 and 8, every token is the residue of the sum of the columns so
    far, and the last is the result.

    Args:
        modulus: any divisor of a power of the base, of the first form or with q <= 240.

    Raises:
        ValueError: a modulus that divides no power of the base, or whose residues are too many for
            tokens (256 and 625 in base 10).
    """

    modulus: int = 1000

    name = "modular-addition"

    def __post_init__(self) -> None:
        digit_vocabulary(self.base, ("+",))
        if self.values > MAX_RESIDUE:
            raise ValueError(
                f"expected a modulus whose running residues and sums of a column are at most "
                f"{MAX_RESIDUE} tokens, got {self.modulus} in base {self.base}, which needs "
                f"{self.values}"
            )

    @property
    def form(self) -> Parts:
        """The parts of the modulus."""
        return modulus_parts(self.modulus, self.base)

    @property
    def running(self) -> bool:
        """Whether the answer is a running residue; otherwise it is the result's digits."""
        return self.form.columns > self.form.digits + 1

    @property
    def values(self) -> int:
        """Numbers that are tokens: residues, and sums of a column if there are any."""
        if not self.running:
            return self.base
        return max(self.form.residue, 2 * self.base if self.form.digits else self.base)

    def rule(self) -> Rule:
        """One row of at most k columns. One more digit is the last carry of short operands."""
        running = self.running
        row = Pass(
            start=(0, 0),
            step=self._residue_step() if running else self._digit_step(),
            finish=lambda state: (1,) if state[1] == 1 and not running else (),
        )
        return Rule(
            passes=(row,),
            numbers=2,
            limit=self.form.columns,
            symmetric=True,
            ended=0,
            running=running and self.form.digits == 0,
        )

    def _digit_step(self) -> _Step:
        """States (columns read, carry); the top column counts modulo d."""
        base, columns = self.base, self.form.columns
        top = self.modulus // base ** (columns - 1)

        def step(state: _State, column: tuple[int, ...]) -> tuple[_State, int]:
            done, carry = state
            total = carry + sum(column)
            if done >= columns - 1:
                return (columns, 0), total % top
            return (done + 1, total // base), total % base

        return step

    def _residue_step(self) -> _Step:
        """States (columns read, token written); only what was written counts."""
        base, (columns, digits, residue) = self.base, self.form

        def step(state: _State, column: tuple[int, ...]) -> tuple[_State, int]:
            done, before = state
            if done >= columns:
                return state, before
            if done <= digits:  # from a column's sum only its carry goes on
                before = int(before >= base)
            after = before + sum(column) * base ** max(0, done - digits)
            if done >= digits:
                after %= residue
            return (done + 1, after), after

        return step

    def answer_text(self, tokens: Longs) -> str:
        """An ordinary number, most significant digit first.

        Raises:
            ValueError: a token that cannot stand where it does.
        """
        if not self.running or self.form.digits == 0:
            return super().answer_text(tokens)
        low, top = tokens[:-1][: self.form.digits], int(tokens[-1])
        above = tokens[self.form.digits :]
        if tokens.min() < 0 or (low >= 2 * self.base).any() or (above >= self.form.residue).any():
            raise ValueError(
                f"the answer has a residue that is not below {self.form.residue}, or a column's "
                f"sum that is not below {2 * self.base}"
            )
        return self.number(np.append(low % self.base, int_digits(top, self.base)[::-1]))
