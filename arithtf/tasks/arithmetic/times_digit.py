"""A number times a digit."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class TimesDigit(ColumnTask):
    """Products of a number and a single digit: 57*6 is written ^57*6=243$.

    The answer has as many digits as the number, and one more if there is a carry: times 0 it is a
    row of zeros.
    """

    name = "times-digit"
    sign = "*"
    example = "1234*7"

    def rule(self) -> Rule:
        """One row; the state is the digit and the carry."""

        def step(state: tuple[int, int], column: tuple[int, ...]) -> tuple[tuple[int, int], int]:
            factor, carry = state
            carry, digit = divmod(column[0] * factor + carry, self.base)
            return (factor, carry), digit

        row = Pass(
            start=lambda factor: (factor, 0),
            step=step,
            finish=lambda state: (state[1],) if state[1] else (),
        )
        return Rule(passes=(row,), last_digit=True)

    def truth(self, *operands: int) -> int:
        """The product."""
        return operands[0] * operands[1]
