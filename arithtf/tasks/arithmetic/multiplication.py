"""Multiplication with its work written out: rows of the running sum, then the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.scratchpad import Part, Pass, Scratchpad, Track, Where
from arithtf.tasks.arithmetic.scratchpad_task import ROW, ScratchpadTask


@dataclass(frozen=True)
class Multiplication(ScratchpadTask):
    """Products a * b of n and m digits, with all the work.

    An instance is BOS, a, "*", b, "=", m rows, "=", the product (n + m digits, least significant
    first, zeros in front included), EOS. Row j multiplies a by digit j of b and adds what the rows
    before have left. After its mark "#" it holds for each digit of a, least significant first, four
    tokens: the two digits of a_i * b_j, high and low; the sum of low, the high before, the running
    sum's digit and the carry; the new carry. One more sum, of the last high and carry, ends it. The
    first sum of a row is final; the others are the running sum of the next row, shifted by one.

    12*34 is written ^12*34=#088004400#060103400=8040$: row 0 begins with 2*4 = 08, the sum 8 and no
    carry, and ends with the last sum 0.

    Args:
        base: number base, 2..41.

    Raises:
        ValueError: a base that does not exist, or whose tables would be too large.
    """

    name = "multiplication"
    sign = "*"
    example = "12*34"

    def scratchpad(self) -> Scratchpad:
        """Row j adds a * b_j to the running sum from its digit j on."""
        words, base = self.vocabulary, self.base

        def multiply(
            state: tuple[int, int, int], column: tuple[int, ...]
        ) -> tuple[tuple[int, int, int], tuple[int, ...]]:
            (factor, high_before, carry), (a, above) = state, column
            high, low = divmod(a * factor, base)
            carry, digit = divmod(low + high_before + above + carry, base)
            return (factor, high, carry), (high, low, digit, carry)

        def segment(name: str, where: Where) -> str:
            unchanged = where.first_column or where.last_row  # by later rows
            return "final" if name == "sum" and unchanged else name

        mark = Pass(
            single=True,
            reads=("b",),
            writes=("row",),
            step=lambda _, column: (column[0], (words.id(ROW),)),
        )
        products = Pass(
            reads=("a", "sum"),
            writes=("high", "low", "sum", "carry"),
            ends=("sum",),  # the column above a's last digit
            start=lambda factor: (factor, 0, 0),
            step=multiply,
        )
        return Scratchpad(
            segments=("row", "high", "low", "sum", "final", "carry", "end", "answer"),
            turns=1,
            columns=0,
            tracks={"a": Track(operand=0), "b": Track(operand=1, moves=1), "sum": Track(moves=1)},
            passes=(mark, products),
            segment=segment,
            tail=(
                Part(segment="end", end=words.equals),
                Part(segment="answer", track="sum", lengths=(0, 1)),
            ),
        )

    def truth(self, *operands: int) -> int:
        """The product."""
        return operands[0] * operands[1]

    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """A row's running sum, shifted to its place, or the product."""
        if row[0] == self.vocabulary.equals:
            return "product", self.padded_number(row[1:])
        return f"row {number}", self.padded_number(np.append(row[3:-1:4], row[-1])) + " " * (
            number - 1
        )
