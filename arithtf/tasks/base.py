"""What every task has in common: segments, a vocabulary, couplings checked against the segments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.batch import Batch, Bytes, Operands, digits_text, strip_zeros
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling, check_coupling, compile_coupling
from arithtf.tasks.vocabulary import DIGITS, Vocabulary

IGNORE: int = _core.IGNORE
"""The target of a column whose next token is not predicted."""

Split = Literal["train", "test", "all"]


class Task(ABC):
    """A family of problems with exact answers, as tokens, ids and targets.

    A subclass is a frozen dataclass of what the format leaves open. `segments` names the parts of
    an instance in order; a segment may repeat as rows. Those in `complete` are the prompt: known
    before the first prediction, so that ids may count from their right end.

    `kinds` are the ways in which problems can be drawn. `example` is a problem as a person writes
    it. Operands of `strings` may begin with zeros.
    """

    name: ClassVar[str]
    arity: ClassVar[int]
    segments: ClassVar[tuple[str, ...]]
    complete: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[str, ...]] = ("uniform",)
    example: ClassVar[str] = ""
    strings: ClassVar[bool] = False

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The tokens of the task."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""

    @abstractmethod
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
        """A batch by address: the same arguments give the same bytes on any machine."""

    @abstractmethod
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
        """The problems of the batch at the same address, without laying them out."""

    @abstractmethod
    def layout(
        self,
        coupling: Coupling,
        operands: Operands,
        *,
        solved: bool = True,
        width: int | None = None,
        threads: int = 0,
    ) -> Batch:
        """Given problems as a batch; unsolved ones leave the answer's columns to a decoder."""

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Answer columns, EOS included, of problems of operand lengths [B, arity], [B]."""
        room: npt.NDArray[np.int64] = np.asarray(lengths, np.int64).max(axis=1, initial=0) + 2
        return room

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns that problems of operand lengths [B, arity] need in a batch of their own, [B]."""
        longest = np.asarray(lengths, np.int64).max(axis=1, initial=0)
        columns: npt.NDArray[np.int64] = (longest + 1) * self.arity + 1 + self.room(lengths)
        return columns

    @property
    def parts(self) -> Mapping[str, Task]:
        """The tasks that a joint task is made of, by their signs; of others there are none.

        The first operand of a joint task's problem is the number of its part, one digit.
        """
        return {}

    def sizes(self, lengths: tuple[int, int]) -> str:
        """What problems drawn at these lengths have, for people: "1 to 10 digits"."""
        low, high = lengths
        return f"{low} to {high} digits" if low < high else f"{low} digit{'s' if low > 1 else ''}"

    def takes(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands without leading zeros are a problem of this task."""
        return len(problem) == self.arity

    def shapes(self, length: int) -> list[tuple[int, ...]]:
        """Operand lengths worth a test, the longest of `length` digits: even ones, lopsided ones.

        Args:
            length: digits of the longest operand.
        """
        if self.arity == 1 or length == 1:
            return [(length,) * self.arity]
        lopsided = [
            tuple(length if j == i else 1 for j in range(self.arity)) for i in range(self.arity)
        ]
        return [(length,) * self.arity, *lopsided]

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Problems that contain every local context of any problem of any length.

        Raises:
            ValueError: the contexts of this task, coupling and windows cannot be enumerated.
        """
        raise ValueError(f"task {self.name!r} cannot enumerate its local contexts")

    def proved(self, coupling: Coupling, windows: Sequence[WindowLike]) -> None:
        """Check that `cover` takes a coupling, in less time where that is possible.

        Raises:
            ValueError: see `cover`.
        """
        self.cover(coupling, windows)

    @abstractmethod
    def answer(self, operands: Operands) -> list[Bytes]:
        """The true answers as tokens in the order they are written, without EOS."""

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper; 0: none are.

        Args:
            answer_tokens: [n], a true answer without EOS.
        """
        return 0

    @abstractmethod
    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]."""

    @abstractmethod
    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A problem as a person writes it -> its operands' digits, most significant first."""

    @abstractmethod
    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as a model writes them -> text as a person writes it."""

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """All that a model wrote, as aligned rows for people; by default one row, as written.

        Args:
            answer_tokens: [n], the work and the answer; ignored from the first EOS on.
        """
        return [f"written  {self.vocabulary.text(self.before_end(answer_tokens))}"]

    def before_end(self, answer_tokens: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Answer tokens up to the first EOS."""
        tokens = np.asarray(answer_tokens).astype(np.int64)
        ends = np.flatnonzero(tokens == self.vocabulary.eos)
        return tokens[: ends[0]] if ends.size else tokens

    def digits(self, tokens: npt.NDArray[np.int64]) -> Bytes:
        """Tokens of an answer as digits.

        Raises:
            ValueError: none, a token that is no digit, or a base that cannot be written as text.
        """
        words = self.vocabulary
        if words.base > len(DIGITS):
            raise ValueError(f"numbers can be written up to base {len(DIGITS)}, got {words.base}")
        if tokens.size == 0:
            raise ValueError("the answer has no digits")
        wrong = np.flatnonzero((tokens < 0) | (tokens >= words.base))
        if wrong.size:
            token = words.token_text(int(tokens[wrong[0]]))
            raise ValueError(f"the answer has {token!r} where a digit was expected")
        return tokens.astype(np.uint8)

    def number(self, tokens: npt.NDArray[np.int64]) -> str:
        """Digits, least significant first, as an ordinary number without leading zeros.

        Raises:
            ValueError: see `digits`.
        """
        return digits_text(strip_zeros(self.digits(tokens)[::-1]))

    @abstractmethod
    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, as a person writes it."""

    def check_coupling(self, coupling: Coupling) -> None:
        """Check that a coupling fits the task's segments.

        Raises:
            ValueError: a segment the task does not have, or `right` on a segment being written.
        """
        check_coupling(coupling, self.segments, self.complete)

    def core_coupling(self, coupling: Coupling) -> _core.Coupling:
        """The coupling's tables for the C++ core (cached).

        Raises:
            ValueError: see `check_coupling`.
        """
        return compile_coupling(coupling, self.segments, self.complete)

    def _check_operands(self, operands: Operands) -> None:
        if operands.arity != self.arity or len(operands) == 0:
            raise ValueError(
                f"expected at least one problem of {self.arity} operands, got {len(operands)} of "
                f"{operands.arity}"
            )
