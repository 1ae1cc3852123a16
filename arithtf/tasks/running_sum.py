"""Sums of many operands with the running sum written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.batch import Bytes, Operands, text_digits
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.work import Work, sum_work
from arithtf.tasks.worksheet import ROW, WorksheetTask
from arithtf.tasks.worksheet_cover import sum_cover


@dataclass(frozen=True)
class RunningSum(WorksheetTask):
    """Sums a + b + c + ... of any number of operands, with the running sum after each.

    An instance is BOS, the operands with "+" between them, "=", a row for every operand from the
    second on, EOS. A row is its mark "#", then the running sum with this operand added, least
    significant digit first, each digit followed by its carry but the last. All rows of k operands
    of at most L digits have L + 1 digits and as many as k - 1 has, zeros in front included: so no
    sum is too long, and every row ends with a 0. The last row is the answer.

    7+8+9 is written ^7+8+9=#51100#41200$: 15 as the digit 5, its carry 1, the digit 1, its carry 0,
    the digit 0; then 24.

    In half of the problems drawn for training each digit is the largest of three uniform ones; test
    problems are uniform (`WorksheetTask.batch`).

    Args:
        base: number base, 2..128.
        terms: operands of the problems that are drawn. Given problems can have any number from 2.

    Raises:
        ValueError: a base that does not exist, or less than two terms.
    """

    base: int = 10
    terms: int = 3

    name: ClassVar[str] = "running-sum"
    sheet: ClassVar[str] = "sum"
    sign: ClassVar[str] = "+"
    example: ClassVar[str] = "1+2+3"
    kinds: ClassVar[tuple[str, ...]] = ("uniform",)
    segments: ClassVar[tuple[str, ...]] = (
        "bos", "a", "+", "term", "=", "row", "sum", "carry",
    )  # fmt: skip
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "+", "term", "=")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.terms < 2:
            raise ValueError(f"expected terms >= 2, got {self.terms}")

    def drawn_arity(self) -> int:
        """Operands of the problems that are drawn."""
        return self.terms

    def sizes(self, lengths: tuple[int, int]) -> str:
        """How many operands are drawn, of how many digits: "3 operands of 1 to 4 digits"."""
        return f"{self.terms} operands of {super().sizes(lengths)}"

    def work(self) -> Work:
        """See `arithtf.tasks.work.sum_work`."""
        return sum_work()

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Sums of three operands that contain every local context of any sum (`worksheet_cover`).

        Args:
            coupling: levels of `work`, or some of them.
            windows: one finite window per level, not wider than those of `work`.

        Raises:
            ValueError: another coupling or a wider window, for which there is no proof.
        """
        self.proved(coupling, windows)
        return sum_cover(self.base)

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A sum as a person writes it -> operands' digits, most significant first.

        Args:
            line: like "1+2+3"; spaces around operands are allowed, leading zeros are dropped.

        Raises:
            ValueError: what is wrong with the line.
        """
        parts = line.split(self.sign)
        if len(parts) < 2:
            raise ValueError("expected at least one '+' between operands, like 1+2+3; got none")
        return tuple(
            text_digits(p, self.base, name=f"operand {i + 1}") for i, p in enumerate(parts)
        )

    def takes(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands are a problem: two or more."""
        return len(problem) >= 2

    def shapes(self, length: int) -> list[tuple[int, ...]]:
        """As many operands as are drawn, and 2, 10, 100, 1000 of them, of `length` digits each."""
        return [(length,) * terms for terms in dict.fromkeys((self.terms, 2, 10, 100, 1000))]

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens lead to the last row."""
        return int(np.flatnonzero(answer_tokens == self.vocabulary.id(ROW))[-1]) + 1

    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """A row's running sum."""
        return f"with operand {number + 1}", self.padded_number(row[1::2])

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the last running sum as a person writes it.

        Args:
            answer_tokens: [n], the rows; ignored from the first EOS on.

        Raises:
            ValueError: no row, no digits, or a token that is not a digit.
        """
        last = self.rows(answer_tokens)[-1]
        if not last.size or last[0] != self.vocabulary.id(ROW):
            raise ValueError("the work has no row; expected '#' before the first")
        return self.number(last[1::2])

    def _check_operands(self, operands: Operands) -> None:
        if operands.arity < 2 or len(operands) == 0:
            raise ValueError(
                f"expected at least one problem of two operands or more, got {len(operands)} of "
                f"{operands.arity}"
            )
