"""Addition with every carry written out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.scratchpad import Part, Pass, Scratchpad, Track
from arithtf.tasks.arithmetic.scratchpad_task import ScratchpadTask
from arithtf.tasks.arithmetic.task import Longs


@dataclass(frozen=True)
class CarriedAddition(ScratchpadTask):
    """Sums a + b, least significant digit first, each digit between the carries in and out of it.

    57+68 is written ^57+68=05121100$: the carry 0, then 7+8+0 as 5 and the carry 1, 5+6+1 as 2
    and 1, and two columns above the operands: 1 and 0, then 0. A digit follows from one column and
    the carry before it, a carry from the same column and the digit before it. That is all there is
    to learn: of two digits and a carry there are 200, and few sums show them all.

    Raises:
        ValueError: a base that does not exist.
    """

    name = "carried-addition"
    sign = "+"
    symbols = ()
    example = "12+34"

    def scratchpad(self) -> Scratchpad:
        """One row: a carry, then for each column the digit and the carry out of it."""
        base = self.base

        def add(carry: int, column: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
            carry, digit = divmod(sum(column) + carry, base)
            return carry, (digit, carry)

        first = Pass(single=True, writes=("first",), step=lambda *_: (0, (0,)))
        sums = Pass(reads=("sum", "b"), writes=("sum", "carry"), ends=("sum",), step=add)
        return Scratchpad(
            segments=("first", "sum", "carry", "end"),
            tracks={"sum": Track(operand=0), "b": Track(operand=1, each=True)},
            passes=(first, sums),
            tail=(Part(segment="end"),),
        )

    def truth(self, *operands: int) -> int:
        """The sum."""
        return sum(operands)

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """None of the tokens are work alone: the answer's digits stand between the carries."""
        return 0

    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """There is none that begins with a mark."""
        raise ValueError("expected no rows")

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """The digits between the carries -> an ordinary number.

        Raises:
            ValueError: no digits, or a token that is not a digit.
        """
        return self.answer_text(self.written(answer_tokens))

    def answer_text(self, tokens: Longs) -> str:
        """The digits between the carries as an ordinary number."""
        return self.number(tokens[1::2])
