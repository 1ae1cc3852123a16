"""Comparison of two numbers."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.lines import plain_line
from arithtf.tasks.arithmetic.operands import Bytes, Operands
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class Comparison(ColumnTask):
    """Whether a is less than, equal to or greater than b: 57?68 is written ^57?68=<<$.

    The answer is a running comparison from the least significant column on, a token "<", "=" or ">"
    for each: what the digits so far say. Half of the problems drawn "uniform" agree in a random
    number of low digits: otherwise a comparison would be decided by the first columns read, nearly
    always.
    """

    name = "comparison"
    sign = "?"
    symbols = ("<", ">")
    example = "5<7"

    def rule(self) -> Rule:
        """One row; the state is the sign so far, and the token tells it."""
        token = self.vocabulary.id

        def step(before: str, column: tuple[int, ...]) -> tuple[str, int]:
            a, b = column
            after = "<" if a < b else ">" if a > b else before
            return after, token(after)

        row = Pass(start="=", step=step)
        return Rule(passes=(row,), numbers=2, ended=0, related=True, running=True)

    def truth(self, *operands: int) -> str:
        """The sign between them."""
        a, b = operands
        return "<" if a < b else ">" if a > b else "="

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """Like "5<7"; which of "?", "<", ">" and "=" it has is what is asked for, so any will do.

        Raises:
            ValueError: what is wrong with the line.
        """
        line = plain_line(line)
        for sign in "<>=":
            line = line.replace(sign, "?")
        return super().parse(line)

    def problem_text(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "5<7"."""
        question, _, sign = super().problem_text(operands, i).partition("=")
        return question.replace("?", sign)
