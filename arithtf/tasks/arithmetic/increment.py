"""a + 1."""

from __future__ import annotations

from dataclasses import dataclass

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class Increment(ColumnTask):
    """a + 1, least significant digit first: 129 is written ^129=031$."""

    name = "increment"
    example = "129+1"
    frame = ("", "+1")

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
