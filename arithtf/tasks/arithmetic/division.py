"""Long division with remainder, by rows of trial subtractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arithtf.tasks.arithmetic.operands import Bytes
from arithtf.tasks.arithmetic.scratchpad import Part, Pass, Scratchpad, Track, Where
from arithtf.tasks.arithmetic.scratchpad_task import ROW, ScratchpadTask
from arithtf.tasks.arithmetic.task import Longs


@dataclass(frozen=True)
class Division(ScratchpadTask):
    """Quotient and remainder of a / b, n and m digits, with all the work.

    The schoolbook's way: for each digit of a, most significant first, the remainder so far is
    shifted by one, gets this digit, and b is subtracted as often as it goes. Here every digit gets
    base - 1 rows, one trial each, so that the length of the work depends on n and m alone.

    An instance is BOS, a, "/", b, "=", the rows, "=", the quotient (n digits, least significant
    first, zeros in front included), "#", the remainder (m digits likewise), EOS. A row is its mark
    "#"; the m + 1 borrows of (remainder so far) - b, least significant first; the m + 1 digits of
    the remainder after the trial (that difference if the last borrow is 0, what it was if it is 1),
    each but the last followed by its borrow, which is 0 where nothing is subtracted; and the number
    of trials of this digit that have gone well.

    Problems drawn "uniform" have a divisor of at most as many digits as the dividend.

    Args:
        base: number base, 3..128.

    Raises:
        ValueError: a base that does not exist.
    """

    name = "division"
    sign = "/"
    example = "100/7"

    def __post_init__(self) -> None:
        if self.base < 3:
            raise ValueError(f"long division by trials needs a base of at least 3, got {self.base}")
        super().__post_init__()

    @property
    def distributions(self) -> tuple[str, ...]:
        """Without "ripple", whose problems are 99..9 / 1 and 1 / 99..9."""
        return ("uniform", "repdigit", "lopsided", "zeros", "double")

    def scratchpad(self) -> Scratchpad:
        """Row t of a digit subtracts the divisor from the remainder so far, if that goes.

        The remainder stands where the dividend does: its window begins at the dividend's first
        digit and takes in one more with every turn.
        """
        words, base = self.vocabulary, self.base

        def compare(borrow: int, column: tuple[int, ...]) -> tuple[int, tuple[int]]:
            left, divisor = column
            borrow = int(left < divisor + borrow)
            return borrow, (borrow,)

        def subtract(
            state: tuple[bool, int], column: tuple[int, ...]
        ) -> tuple[tuple[bool, int], tuple[int, int]]:
            (goes, borrow), (left, divisor) = state, column
            after = left - divisor - borrow if goes else left
            return (goes, int(after < 0)), (after % base, int(after < 0))

        def count(goes: int, column: tuple[int, ...]) -> tuple[int, tuple[int]]:
            return 0, ((column[0] + goes) % base,)

        mark = Pass(single=True, writes=("mark",), step=lambda *_: (0, (words.id(ROW),)))
        borrows = Pass(reads=("remainder", "divisor"), writes=("borrow",), step=compare)
        digits = Pass(
            reads=("remainder", "divisor"),
            writes=("remainder", "taken"),
            ends=("remainder",),
            start=lambda borrow: (borrow == 0, 0),
            step=subtract,
        )
        counts = Pass(
            single=True,
            reads=("quotient",),
            writes=("quotient",),
            start=lambda state: int(state[0]),
            step=count,
        )
        return Scratchpad(
            segments=(
                *("first mark", "mark", "first borrow", "borrow", "flag", "first digit", "trial"),
                *("left", "rest", "top", "first taken", "taken", "count", "digit", "end"),
                *("answer", "remainder"),
            ),
            turns=0,
            columns=1,
            repeat=base - 1,
            divides=True,
            tracks={
                "remainder": Track(operand=0, moves=-1),
                "divisor": Track(operand=1),
                "quotient": Track(moves=-1),
            },
            passes=(mark, borrows, digits, counts),
            segment=_segment,
            tail=(
                Part(segment="end", end=words.equals, row="next"),  # where a row would begin
                Part(
                    segment="answer", track="quotient", lengths=(0,), end=words.id(ROW), row="last"
                ),
                Part(segment="remainder", track="remainder", lengths=(1,)),
            ),
        )

    def truth(self, *operands: int) -> str:
        """Quotient and remainder."""
        quotient, remainder = divmod(operands[0], operands[1])
        return f"{self.text(quotient)} r {self.text(remainder)}"

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands are a problem: two, the second of which is not 0."""
        return len(problem) == self.arity and bool(np.asarray(problem[-1]).any())

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test: even, lopsided, and a divisor half as long."""
        half = [(length, length // 2)] if length > 3 else []
        return [*super().stress_lengths(length), *half]

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A division like "100/7" -> operands' digits, most significant first.

        Raises:
            ValueError: a divisor that is 0, or what is wrong with the line.
        """
        operands = super().parse(line)
        if not self.is_valid(operands):
            raise ValueError("expected a divisor of at least 1, got 0")
        return operands

    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """A trial's remainder with what came of it, or the quotient or the remainder.

        Of a trial also the digit of the quotient that it is for, as far as it is counted.
        """
        if row[0] == self.vocabulary.equals:
            return "quotient", self.padded_number(row[1:])
        if ended:
            return "remainder", self.padded_number(row[1:])
        width, rest = divmod(len(row) - 1, 3)
        if rest:
            raise ValueError("a trial has three tokens for each column and one more")
        goes = "goes" if row[width] == 0 else "does not go"
        digit = 1 + (number - 1) // (self.base - 1)
        shown = self.padded_number(row[1 + width : -1 : 2])
        return f"digit {digit} is {row[-1]}: {goes}", shown

    def answer_text(self, tokens: Longs) -> str:
        """Quotient and remainder, like "14 r 2".

        Raises:
            ValueError: not two numbers with "#" between them.
        """
        marks = np.flatnonzero(tokens == self.vocabulary.id(ROW))
        if marks.size != 1:
            raise ValueError("the answer does not end with a quotient, '#' and a remainder")
        return f"{self.number(tokens[: marks[0]])} r {self.number(tokens[marks[0] + 1 :])}"


def _segment(name: str, where: Where) -> str:
    """Tokens that look up other cells than the rest of their row have segments of their own."""
    if where.begins and where.first_column and name != "quotient":
        return "first digit" if name == "remainder" else f"first {name}"
    if name == "remainder":
        top = where.ends and where.last_column
        kept = "rest" if where.last_row else "left" if where.ends else "trial"
        return "top" if top else kept
    if name == "quotient":
        return "digit" if where.ends else "count"
    return "flag" if name == "borrow" and where.last_column else name
