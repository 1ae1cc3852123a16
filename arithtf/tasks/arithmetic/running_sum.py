"""Sums of many operands with the running sum written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.lines import plain_line, sides
from arithtf.tasks.arithmetic.operands import Bytes, text_digits
from arithtf.tasks.arithmetic.scratchpad import Part, Pass, Scratchpad, Track
from arithtf.tasks.arithmetic.scratchpad_task import ROW, ScratchpadTask
from arithtf.tasks.arithmetic.task import Longs


@dataclass(frozen=True)
class RunningSum(ScratchpadTask):
    """Sums a + b + c + ... of any number of operands, with the running sum after each.

    An instance is BOS, the operands with "+" between them, "=", a row for every operand from the
    second on, EOS. A row is its mark "#", then the running sum with this operand added, least
    significant digit first, each digit followed by its carry but the last. All rows of k operands
    of at most L digits have L + 1 digits and as many as k - 1 has, zeros in front included: so no
    sum is too long, and every row ends with a 0. The last row is the answer.

    7+8+9 is written ^7+8+9=#51100#41200$: 15 as the digit 5, its carry 1, the digit 1, its carry 0,
    the digit 0; then 24.

    Args:
        terms: operands of the problems that are drawn. Given problems can have any number from 2.

    Raises:
        ValueError: a base that does not exist, or less than two terms.
    """

    terms: int = 3

    name = "running-sum"
    sign = "+"
    example = "1+2+3"
    last_mark = ROW

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.terms < 2:
            raise ValueError(f"expected terms >= 2, got {self.terms}")

    @property
    def arity(self) -> int:
        """Operands of the problems that are drawn."""
        return self.terms

    @property
    def prompt(self) -> tuple[str, ...]:
        """Operands from the second on, and the signs before them, have row numbers."""
        return ("bos", "a", "+", "term", "=")

    @property
    def distributions(self) -> tuple[str, ...]:
        """Uniform digits only."""
        return ("uniform",)

    def scratchpad(self) -> Scratchpad:
        """Row r adds operand r to the running sum."""
        words, base = self.vocabulary, self.base

        def add(carry: int, column: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
            carry, digit = divmod(sum(column) + carry, base)
            return carry, (digit, carry)

        mark = Pass(single=True, writes=("row",), step=lambda *_: (0, (words.id(ROW),)))
        sums = Pass(reads=("sum", "term"), writes=("sum", "carry"), ends=("sum",), step=add)
        return Scratchpad(
            segments=("row", "sum", "carry"),
            tracks={"sum": Track(operand=0), "term": Track(operand=1, each=True)},
            passes=(mark, sums),
            tail=(Part(segment="row", row="next"),),  # where a row would begin
        )

    def truth(self, *operands: int) -> int:
        """The sum."""
        return sum(operands)

    def describe_lengths(self, lengths: tuple[int, int]) -> str:
        """How many operands are drawn, of how many digits: "3 operands of 1 to 4 digits"."""
        return f"{self.terms} operands of {super().describe_lengths(lengths)}"

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A sum as a person writes it -> operands' digits, most significant first.

        Args:
            line: like "1+2+3"; spaces around operands are allowed, leading zeros are dropped.

        Raises:
            ValueError: what is wrong with the line.
        """
        parts = sides(plain_line(line), self.sign, self.example, more=True)
        return tuple(
            text_digits(p, self.base, name=f"operand {i + 1}") for i, p in enumerate(parts)
        )

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands are a problem: two or more."""
        return len(problem) >= 2

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """As many operands as are drawn, and 2, 10, 100, 1000 of them, of `length` digits each."""
        return [(length,) * terms for terms in dict.fromkeys((self.terms, 2, 10, 100, 1000))]

    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """A row's running sum."""
        return f"with operand {number + 1}", self.padded_number(row[1::2])

    def answer_text(self, tokens: Longs) -> str:
        """A row's digits, without the carries between them, as an ordinary number."""
        return self.number(self.digits(tokens)[::2].astype(np.int64))
