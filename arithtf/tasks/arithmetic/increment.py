"""a + 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.operands import Bytes, text_digits
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class Increment(ColumnTask):
    """a + 1, least significant digit first: 129 is written ^129=031$.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    name = "increment"
    example = "129+1"

    def rule(self) -> Rule:
        """One row, from the carry 1."""
        row = Pass(
            start=1,
            step=lambda carry, column: divmod(column[0] + carry, self.base),
            finish=lambda carry: (1,) if carry else (),
        )
        return Rule(passes=(row,))

    def truth(self, *operands: int) -> int:
        """One more."""
        return operands[0] + 1

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A number like "129", or "129+1" -> its digits, most significant first.

        Raises:
            ValueError: what is wrong with the line.
        """
        number, plus, one = line.partition("+")
        if plus and one.strip() != "1":
            raise ValueError(f"expected a number, or one with +1, got '+{one.strip()}'")
        return (text_digits(number, self.base),)

    def question(self, operands: Sequence[str]) -> str:
        """Like "129+1"."""
        return f"{operands[0]}+1"
