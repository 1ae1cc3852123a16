"""Multiplication with its work written out: rows of the running sum, then the product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.base import Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands, digits_text, strip_zeros, text_digits
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.multiplication_cover import multiplication_cover
from arithtf.tasks.vocabulary import DIGITS, Vocabulary

MULTIPLICATION_KINDS = ("uniform", "ripple", "repdigit", "lopsided", "zeros", "double")
"""How problems are drawn; all but "uniform" are structured and belong to split "all"."""

_ADDRESS = 1 << 64
_ID_STREAM = 1 << 32  # random starts of ids are drawn beside the problems


@dataclass(frozen=True)
class Multiplication(Task):
    """Products a * b of n and m digits, with all the work.

    An instance is BOS, a, "*", b, "=", m rows, "=", the product (n + m digits, least significant
    first, zeros in front included), EOS. Row j multiplies a by digit j of b and adds what the rows
    before have left: for each digit of a, least significant first, a running sum's digit and the
    carry, that is the two digits of (running sum + a_i * b_j + carry). The first digit of a row is
    final; the others and the last carry are the running sum of the next row, shifted by one.

    12*34 is written ^12*34=#8040#0140=8040$: rows "80 40" and "01 40", the product 0408 reversed.

    Segments of a row: "row" (its separator), the digits "final" (number 0; all in the last row)
    and "sum" (1 .. n - 1), the carries "carry" (0 .. n - 2) and "top" (n - 1; "last" in the last
    row). Both are numbered like the multiplicand's digits they belong to.

    Args:
        base: number base, 2..128.

    Raises:
        ValueError: a base that does not exist.
    """

    base: int = 10

    name: ClassVar[str] = "multiplication"
    arity: ClassVar[int] = 2
    segments: ClassVar[tuple[str, ...]] = (
        "bos", "a", "*", "b", "=", "row", "sum", "final", "carry", "top", "last", "end", "answer",
    )  # fmt: skip
    complete: ClassVar[tuple[str, ...]] = ("bos", "a", "*", "b", "=")
    kinds: ClassVar[tuple[str, ...]] = MULTIPLICATION_KINDS
    example: ClassVar[str] = "12*34"

    def __post_init__(self) -> None:
        Vocabulary(self.base, ("*", "#"))

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", "*", "#"."""
        return Vocabulary(self.base, ("*", "#"))

    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""
        return {"task": self.name, **asdict(self)}

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns of work, product and EOS of problems of operand lengths [B, 2], [B]."""
        n, m = np.asarray(lengths, np.int64).T
        room: npt.NDArray[np.int64] = m * (2 * n + 1) + n + m + 2
        return room

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns that problems of operand lengths [B, 2] need in a batch of their own, [B]."""
        columns: npt.NDArray[np.int64] = np.asarray(lengths).sum(axis=1) + 3 + self.room(lengths)
        return columns

    def operands(
        self,
        *,
        seed: int,
        split: Split,
        step: int,
        lengths: tuple[int, int],
        size: int,
        kind: str = "uniform",
        threads: int = 0,
    ) -> Operands:
        """The problems of the batch at the same address (see `batch`), without laying them out.

        Raises:
            ValueError: see `batch`.
        """
        _check_draw(seed, step, lengths, kind)
        arrays = _core.addition_operands(
            self.base, seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
            chain=None, threads=threads,
        )  # fmt: skip
        return Operands(*arrays)

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
            kind: one of MULTIPLICATION_KINDS.
            threads: 0 chooses by size.

        Returns:
            Batch of the columns that high x high digits need.

        Raises:
            ValueError: arguments outside these ranges.
        """
        operands = self.operands(
            seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
            threads=threads,
        )  # fmt: skip
        stream = MULTIPLICATION_KINDS.index(kind) * 16 + ("train", "test", "all").index(split)
        arrays = _core.multiplication_layout(
            self.base,
            self.core_coupling(coupling),
            operands.digits,
            operands.offsets,
            seed=seed,
            stream=_ID_STREAM + stream,
            step=step,
            random_start=split == "train",
            width=lengths[1],
            solved=True,
            threads=threads,
        )
        return Batch(*arrays)

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
            coupling: which ids the tokens get. Every level starts at its lowest start.
            operands: the problems.
            solved: False leaves the work and the product to a decoder: PAD tokens, their ids, no
                targets.
            width: digits of the operands that the columns are made for, width x width; default:
                no more columns than the problems need.
            threads: 0 chooses by size.

        Returns:
            The batch.

        Raises:
            ValueError: operands with leading zeros, digits not below the base, longer than width,
                or of more than 2^31 tokens.
        """
        self._check_operands(operands)
        if width is not None and width < 1:
            raise ValueError(f"expected width >= 1, got {width}")
        arrays = _core.multiplication_layout(
            self.base, self.core_coupling(coupling), operands.digits, operands.offsets, seed=0,
            stream=_ID_STREAM - 1, step=0, random_start=False, width=width or 0, solved=solved,
            threads=threads,
        )  # fmt: skip
        return Batch(*arrays)

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Products that contain every local context of any product (see `multiplication_cover`).

        Args:
            coupling: levels of `couplings.work`, or some of them.
            windows: one finite window per level, not wider than `couplings.WORK_WINDOWS`.

        Raises:
            ValueError: another coupling or a wider window, for which there is no proof.
        """
        self.check_coupling(coupling)
        return multiplication_cover(coupling, windows, base=self.base)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The work and the product as written, without EOS.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return _core.multiplication_answers(self.base, operands.digits, operands.offsets)

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]; swapping operands changes nothing.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return _core.addition_test_split(self.base, operands.digits, operands.offsets)

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A product as a person writes it -> operands' digits, most significant first.

        Args:
            line: like "12*34"; spaces around operands are allowed, leading zeros are dropped.

        Raises:
            ValueError: what is wrong with the line.
        """
        parts = line.split("*")
        if len(parts) != 2:
            raise ValueError(
                f"expected one '*' between two operands, like 12*34; got {len(parts) - 1}"
            )
        names = ("the first operand", "the second operand")
        return tuple(text_digits(p, self.base, name=n) for p, n in zip(parts, names, strict=True))

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the product as a person writes it.

        Args:
            answer_tokens: [n], the work, "=", the product; ignored from the first EOS on.

        Raises:
            ValueError: no "=" after the work, no digits, or a token that is not a digit.
        """
        tokens = np.asarray(answer_tokens)
        ends = np.flatnonzero(tokens == self.vocabulary.eos)
        tokens = tokens[: ends[0]] if ends.size else tokens
        marks = np.flatnonzero(tokens == self.vocabulary.equals)
        if not marks.size:
            raise ValueError("the work does not come to an end: there is no '=' before a product")
        if self.base > len(DIGITS):
            raise ValueError(f"numbers can be written up to base {len(DIGITS)}, got {self.base}")
        digits = tokens[marks[0] + 1 :]
        if digits.size == 0:
            raise ValueError("the answer has no digits")
        wrong = np.flatnonzero((digits < 0) | (digits >= self.base))
        if wrong.size:
            token = self.vocabulary.token_text(int(digits[wrong[0]]))
            raise ValueError(f"the answer has {token!r} where a digit was expected")
        return digits_text(strip_zeros(digits[::-1].astype(np.uint8)))

    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true product, like "12*34=408".

        Raises:
            ValueError: a base above 36.
        """
        a, b = operands.problem(i)
        product = self.render(self.answer(Operands.from_digits([(a, b)]))[0])
        return f"{digits_text(a)}*{digits_text(b)}={product}"

    def _check_operands(self, operands: Operands) -> None:
        if operands.arity != self.arity or len(operands) == 0:
            raise ValueError(
                f"expected at least one problem of {self.arity} operands, got {len(operands)} of "
                f"{operands.arity}"
            )


def _check_draw(seed: int, step: int, lengths: tuple[int, int], kind: str) -> None:
    for name, value in (("seed", seed), ("step", step)):
        if not 0 <= value < _ADDRESS:
            raise ValueError(f"{name} must be in 0..2^64-1, got {value}")
    if len(lengths) != 2:
        raise ValueError(f"lengths must be (low, high), got {lengths!r}")
    if kind not in MULTIPLICATION_KINDS:
        raise ValueError(f"kind must be one of {', '.join(MULTIPLICATION_KINDS)}, got {kind!r}")
