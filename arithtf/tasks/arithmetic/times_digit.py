"""A number times a digit."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.operands import Bytes
from arithtf.tasks.arithmetic.transducer import Pass, Rule

State = tuple[int, int]  # the digit, the carry


@dataclass(frozen=True)
class TimesDigit(ColumnTask):
    """Products of a number and a single digit, least significant digit first.

    57*6 is written ^57*6=243$. The answer has as many digits as the number, and one more if there
    is a carry: times 0 it is a row of zeros.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name = "times-digit"
    sign = "*"
    example = "1234*7"

    def rule(self) -> Rule:
        """One row: digit by digit with the carry."""

        def step(state: State, column: tuple[int, ...]) -> tuple[State, int]:
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

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test: a number of `length` digits, and a digit."""
        return [(length, 1)]

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A product like "1234*7" -> operands' digits, most significant first.

        Raises:
            ValueError: what is wrong with the line.
        """
        operands = super().parse(line)
        if operands[1].size > 1:
            raise ValueError(
                f"the second operand must be a single digit, got {operands[1].size} digits"
            )
        return operands
