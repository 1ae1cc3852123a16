"""Addition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from arithtf.tasks.arithmetic.column_task import ColumnTask
from arithtf.tasks.arithmetic.task import Longs
from arithtf.tasks.arithmetic.transducer import Pass, Rule


@dataclass(frozen=True)
class Addition(ColumnTask):
    """Sums a + b, the answer least significant digit first: 57+68 is written ^57+68=521$.

    Args:
        format: "natural" (operands as written, without leading zeros) or "padded" (both
            zero-padded to the longer one, the answer to one digit more).
        reverse_operands: operands least significant digit first. The answer always is.

    Raises:
        ValueError: a base or format that does not exist.
    """

    format: Literal["natural", "padded"] = "natural"
    reverse_operands: bool = False

    name = "addition"
    sign = "+"
    example = "12+34"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in ("natural", "padded"):
            raise ValueError(f"format must be 'natural' or 'padded', got {self.format!r}")

    def rule(self) -> Rule:
        """One row: the digit of each column's sum; the state is the carry."""
        padded = self.format == "padded"
        row = Pass(
            step=lambda carry, column: divmod(carry + sum(column), self.base),
            finish=lambda carry: (carry,) if carry or padded else (),
        )
        way = {"padded": padded, "reversed": self.reverse_operands}
        return Rule(passes=(row,), numbers=2, ended=0, symmetric=True, **way)

    def truth(self, *operands: int) -> int:
        """The sum."""
        return sum(operands)

    def answer_text(self, tokens: Longs) -> str:
        """An ordinary number; the natural format has no zeros in front."""
        number = super().answer_text(tokens)
        if self.format == "natural" and len(number) < tokens.size:
            raise ValueError("the answer has a leading zero; the natural format writes none")
        return number
