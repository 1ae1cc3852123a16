"""Addition of two numbers: natural and zero-padded format, answer least significant digit first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.addition_columns import addition_cover
from arithtf.tasks.base import Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands, digits_text, operand_pair
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.draws import draw_arguments
from arithtf.tasks.vocabulary import Vocabulary

KINDS = (
    "uniform", "chain", "complement", "complement_plus", "ripple", "repdigit", "kill", "lopsided",
    "zeros", "double", "alternating",
)  # fmt: skip
"""How problems are drawn; all but "uniform" are structured and belong to split "all"."""


@dataclass(frozen=True)
class Addition(Task):
    """Sums a + b.

    An instance is BOS, a, "+", b, "=", answer; EOS is the last token of the answer.

    Args:
        base: number base, 2..128.
        format: "natural" (operands as written, without leading zeros) or "padded" (both
            zero-padded to the longer one, the answer to one digit more).
        reverse_operands: operands least significant digit first. The answer always is.

    Raises:
        ValueError: a base or format that does not exist.
    """

    base: int = 10
    format: Literal["natural", "padded"] = "natural"
    reverse_operands: bool = False

    name: ClassVar[str] = "addition"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = ("bos", "a", "+", "b", "=", "answer")
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "+", "b", "=")
    kinds: ClassVar[tuple[str, ...]] = KINDS
    example: ClassVar[str] = "12+34"

    def __post_init__(self) -> None:
        if self.format not in ("natural", "padded"):
            raise ValueError(f"format must be 'natural' or 'padded', got {self.format!r}")
        Vocabulary(self.base, ("+",))

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", "+"."""
        return Vocabulary(self.base, ("+",))

    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""
        return {"task": self.name, **asdict(self)}

    def batch(
        self,
        coupling: Coupling,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        chain: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> Batch:
        """A batch by address: the same arguments give the same bytes, for any number of threads.

        Args:
            coupling: which ids the tokens get.
            seed: 0 .. 2^64 - 1.
            split: "train" and "test" never share a problem (1 in 8 is test, by a hash of the
                unordered pair of operands); "all" draws from both.
            step: 0 .. 2^64 - 1; batches of different steps are independent.
            lengths: (low, high), uniform lengths of each operand; of the longer one in structured
                kinds.
            size: number of instances B.
            kind: one of KINDS.
            chain: (length, place) for kind "chain": columns place .. place + length - 1 carry
                (column 0 is the units), their neighbours do not.
            threads: 0 chooses by size.

        Returns:
            Batch of T = 3 * high + 5 columns with start = 2 * high + 2.

        Raises:
            ValueError: arguments outside these ranges.
        """
        arrays = _core.addition_batch(
            self.base,
            self.format == "padded",
            self.reverse_operands,
            self.core_coupling(coupling),
            **draw_arguments(seed, split, step, lengths, size, kind, chain, threads),
        )
        return Batch(*arrays)

    def operands(
        self,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        chain: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> Operands:
        """The problems of the batch at the same address (see `batch`), without laying them out.

        Raises:
            ValueError: see `batch`.
        """
        arguments = draw_arguments(seed, split, step, lengths, size, kind, chain, threads)
        return Operands(*_core.addition_operands(self.base, **arguments))

    def layout(
        self,
        coupling: Coupling,
        operands: Operands,
        *,
        solved: bool = True,
        width: int | None = None,
        threads: int = 0,
    ) -> Batch:
        """Given problems as a batch.

        Args:
            coupling: which ids the tokens get. Every level starts at its lowest start; randomized
                positions are drawn from a fixed address.
            operands: the problems.
            solved: False leaves the answer to a decoder: PAD tokens, ids of an answer that fills
                its columns, no targets.
            width: digits of the longest operand the columns are made for; default the longest
                given.
            threads: 0 chooses by size.

        Returns:
            Batch of T = 3 * width + 5 columns with start = 2 * width + 2.

        Raises:
            ValueError: operands with leading zeros, digits not below the base, or longer than
                width.
        """
        self._check_operands(operands)
        return Batch(
            *_core.addition_layout(
                self.base,
                self.format == "padded",
                self.reverse_operands,
                self.core_coupling(coupling),
                operands.digits,
                operands.offsets,
                width=width,
                solved=solved,
                threads=threads,
            )
        )

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Sums that contain every local context of any sum of any length (proof: `columns`).

        Args:
            coupling: both operands and the answer must be aligned by column on every level.
            windows: one finite window per level, (back, ahead) or an int w for (w, w).

        Returns:
            The sums, short ones first; the long ones are walks through all pairs of columns.

        Raises:
            ValueError: the level and segment that do not allow it, or a reach too large.
        """
        self.check_coupling(coupling)
        padded = self.format == "padded"
        reverse = self.reverse_operands
        return Operands(
            *addition_cover(
                coupling, windows, base=self.base, padded=padded, reverse_operands=reverse
            )
        )

    def answer(self, operands: Operands) -> list[Bytes]:
        """The true answers as written: least significant digit first, without EOS.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        padded = self.format == "padded"
        return _core.addition_answers(self.base, padded, operands.digits, operands.offsets)

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]; swapping operands changes nothing.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return _core.addition_test_split(self.base, operands.digits, operands.offsets)

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A sum as a person writes it -> operands' digits, most significant first.

        Args:
            line: like "123+45"; spaces around operands are allowed, leading zeros are dropped.

        Raises:
            ValueError: what is wrong with the line.
        """
        for operation in "-*/%^":
            if operation in line and "+" not in line:
                raise ValueError(f"expected a sum like 123+45, got the operation {operation!r}")
        return operand_pair(line, "+", self.base, "123+45")

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> an ordinary number, most significant digit first.

        Args:
            answer_tokens: [n], least significant digit first; ignored from the first EOS on.

        Raises:
            ValueError: no digits, a token that is not a digit, or, in the natural format, a
                leading zero.
        """
        tokens = self.before_end(answer_tokens)
        number = self.number(tokens)
        if self.format == "natural" and len(number) < tokens.size:
            raise ValueError("the answer has a leading zero; the natural format writes none")
        return number

    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "123+45=168".

        Raises:
            ValueError: a base above 36.
        """
        a, b = operands.problem(i)
        total = self.render(self.answer(Operands.from_digits([(a, b)]))[0])
        return f"{digits_text(a)}+{digits_text(b)}={total}"
