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

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name = "subtraction"
    sign = "-"
    symbols = ("+",)
    example = "7-12"

    def rule(self) -> Rule:
        """Two rows: a - b with the sign at its end, and its absolute value."""
        words, base = self.vocabulary, self.base

        def subtract(borrow: int, column: tuple[int, ...]) -> tuple[int, int]:
            rest = max(column[0], 0) - max(column[1], 0) - borrow
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
        return Rule(passes=(difference, answer), numbers=2)

    def truth(self, *operands: int) -> int:
        """The difference."""
        return operands[0] - operands[1]

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """The difference is work; the sign and the absolute value are the answer."""
        return answer_tokens.size // 2

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> an ordinary number with its sign.

        Raises:
            ValueError: tokens that are not digits, a sign and as many digits.
        """
        tokens = self.written(answer_tokens)
        length = tokens.size // 2
        if tokens.size % 2 == 0 or length == 0:
            raise ValueError("expected digits, a sign and as many digits")
        text = self.answer_text(tokens[length:])
        self.digits(tokens[:length])
        return text

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

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """The difference with its sign and the absolute value, digits above each other's columns.

        Raises:
            ValueError: there are none.
        """
        tokens, words = self.written(answer_tokens), self.vocabulary
        signs = np.flatnonzero(np.isin(tokens, [words.id("+"), words.id("-")]))
        first = int(signs[0]) if signs.size else tokens.size
        difference, sign, rest = np.split(tokens, [first, first + 1])
        width = max(difference.size, rest.size)
        return [
            f"difference      {words.text(difference[::-1]):>{width}}",
            f"sign            {words.text(sign):>{width}}",
            f"absolute value  {words.text(rest[::-1]):>{width}}",
        ]
