"""Subtraction with sign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.task import Longs
from arithtf.tasks.arithmetic.transducer import Pass, Rule

State = tuple[int, bool, int]  # borrow, "the difference is negative", carry of the complement


@dataclass(frozen=True)
class Subtraction(ColumnTask):
    """Differences a - b with their sign: 57-68 is written ^57-68=98-11$.

    The digits of |a - b| depend on which operand is larger, which no query at the units can know.
    So first a - b is written digit by digit, least significant first and borrowing, as many digits
    as the longer operand has: if a borrow is left over, they are the complement of b - a. What is
    left over is written as the sign, "+" or "-", which every later query sees. The answer is these
    digits again, or their complement.
    """

    name = "subtraction"
    sign = "-"
    symbols = ("+",)
    example = "7-12"

    def rule(self) -> Rule:
        """Two rows: a - b with the sign at its end, and its absolute value."""
        words, base = self.vocabulary, self.base

        def subtract(borrow: int, column: tuple[int, ...]) -> tuple[int, int]:
            rest = column[0] - column[1] - borrow
            return int(rest < 0), rest % base

        def absolute(state: State, column: tuple[int, ...]) -> tuple[State, int]:
            borrow, negative, carry = state
            borrow, digit = subtract(borrow, column)
            if not negative:
                return (borrow, negative, 0), digit
            carry, digit = divmod(base - 1 - digit + carry, base)
            return (borrow, negative, carry), digit

        difference = Pass(
            row="difference",
            end="sign",
            step=subtract,
            finish=lambda borrow: (words.id("-" if borrow else "+"),),
        )
        answer = Pass(start=lambda borrow: (0, bool(borrow), borrow), step=absolute)
        return Rule(passes=(difference, answer), numbers=2, ended=0)

    def truth(self, *operands: int) -> int:
        """The difference."""
        return operands[0] - operands[1]

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """The difference is work; the sign and the absolute value are the answer."""
        return answer_tokens.size // 2

    def answer_text(self, tokens: Longs) -> str:
        """The sign and the absolute value as an ordinary number.

        Raises:
            ValueError: no sign, or tokens after it that are no digits.
        """
        words, sign = self.vocabulary, tokens[0]
        if sign not in (words.id("+"), words.id("-")):
            raise ValueError(f"expected a sign, got {words.token_text(int(sign))!r}")
        number = self.number(tokens[1:])
        if sign == words.id("+"):
            return number
        if number == "0":
            raise ValueError("the answer is a negative zero")
        return f"-{number}"
