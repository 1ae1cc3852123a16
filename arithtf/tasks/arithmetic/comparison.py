"""Comparison of two numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.operands import Bytes, Operands
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class Comparison(ColumnTask):
    """Whether a is less than, equal to or greater than b.

    The answer is a running comparison from the least significant column on, a token "<", "=" or ">"
    for each: what the digits so far say. The last one is the result: 57?68 is written ^57?68=<<$.
    Half of the problems drawn "uniform" agree in a random number of low digits: otherwise a
    comparison would be decided by the first columns read, nearly always.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name = "comparison"
    sign = "?"
    symbols = ("<", ">")
    example = "5<7"

    def rule(self) -> Rule:
        """One row; the state is the sign of a - b so far, and the token tells it."""
        words = self.vocabulary
        token = {-1: words.id("<"), 0: words.equals, 1: words.id(">")}

        def step(before: int, column: tuple[int, ...]) -> tuple[int, int]:
            a, b = (max(digit, 0) for digit in column)
            after = before if a == b else (1 if a > b else -1)
            return after, token[after]

        return Rule(passes=(Pass(step=step),), numbers=2, related=True)

    def truth(self, *operands: int) -> str:
        """The sign between them."""
        a, b = operands
        return "<" if a < b else ">" if a > b else "="

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A comparison -> operands' digits, most significant first.

        Args:
            line: like "5<7"; the sign between the operands, one of "?", "<", ">" and "=", is what
                is asked for and does not matter.

        Raises:
            ValueError: what is wrong with the line.
        """
        for sign in "<>=":
            line = line.replace(sign, "?")
        return super().parse(line)

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """All tokens but the last are work."""
        return answer_tokens.size - 1

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> "<", "=" or ">".

        Raises:
            ValueError: a token that is not one of these.
        """
        words, tokens = self.vocabulary, self.written(answer_tokens)
        wrong = np.flatnonzero(~np.isin(tokens, [words.id("<"), words.equals, words.id(">")]))
        if wrong.size:
            token = words.token_text(int(tokens[wrong[0]]))
            raise ValueError(f"the running comparison has {token!r} where <, = or > was expected")
        return words.token_text(int(tokens[-1]))

    def problem_text(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "5<7"."""
        question, _, sign = super().problem_text(operands, i).partition("=")
        return question.replace("?", sign)
