"""What tasks with written-out work have in common: rows of cells, each row from the one before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.base import Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands, digits_text, operand_pair
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.draws import draw_arguments
from arithtf.tasks.vocabulary import Vocabulary
from arithtf.tasks.work import Work
from arithtf.tasks.worksheet_cover import check_shown

PAIRS = ("uniform", "ripple", "repdigit", "lopsided", "zeros", "double")
"""Kinds of problems with two numbers; all but "uniform" are structured and in split "all"."""

ROW = "#"
_ID_STREAM = 1 << 32  # random starts of ids are drawn beside the problems


class WorksheetTask(Task):
    """A task solved on a sheet of rows. How long each part is depends on operand lengths alone.

    Problems drawn for training are not uniform: in half of them each digit is the largest of three,
    in all operands. Problems of the splits "test" and "all" are uniform (see `batch`).

    A subclass is a frozen dataclass with a field `base`. It names the core's sheet and its
    segments, gives the coupling that its proof is for, and reads and writes what people do.
    """

    base: int
    sheet: ClassVar[str]
    sign: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]] = PAIRS
    arity: ClassVar[int] = 2

    def __post_init__(self) -> None:
        _core_sheet(self.sheet, self.base)  # refuses bases that do not exist

    @property
    def vocabulary(self) -> Vocabulary:
        """Digits, PAD, BOS, EOS, "=", the sign, the mark that begins a row."""
        return Vocabulary(self.base, (self.sign, ROW))

    @abstractmethod
    def work(self) -> Work:
        """The coupling, and its windows, for which the local contexts are enumerated."""

    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""
        return {"task": self.name, **asdict(self)}  # type: ignore[call-overload]

    def drawn_arity(self) -> int:
        """Operands of the problems that are drawn."""
        return self.arity

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns of work, answer and EOS of problems of operand lengths [B, arity], [B]."""
        core, lengths = self._core, np.asarray(lengths, np.int64)
        distinct, inverse = np.unique(lengths, axis=0, return_inverse=True)
        rooms = np.array([core.room(row) for row in distinct.tolist()], np.int64)
        room: npt.NDArray[np.int64] = rooms[inverse.reshape(-1)] if len(rooms) else rooms
        return room

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns that problems of operand lengths [B, arity] need in a batch of their own, [B]."""
        lengths = np.asarray(lengths, np.int64)
        prompt = (lengths + 1).sum(axis=1) + 1
        columns: npt.NDArray[np.int64] = prompt + self.room(lengths)
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
        given = draw_arguments(seed, split, step, lengths, size, kind, None, threads)
        given.pop("chain")
        if kind not in self.kinds:
            raise ValueError(f"kind must be one of {', '.join(self.kinds)}, got {kind!r}")
        arity = self.drawn_arity()
        return Operands(*self._core.operands(arity=arity, **given), arity)

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
            split: "train" and "test" never share a problem (1 in 8 is test, by a hash of the set of
                operands); "all" draws from both.
            step: 0 .. 2^64 - 1; batches of different steps are independent.
            lengths: (low, high), uniform lengths of each operand; of the longer one in structured
                kinds.
            size: number of instances B.
            kind: one of `kinds`. "uniform" of split "train" is uniform in one half of the problems
                only: in the other each digit is the largest of three, so that what many large
                digits need is not rare in training. Problems to test are uniform.
            threads: 0 chooses by size.

        Returns:
            Batch of the columns that operands of `high` digits need.

        Raises:
            ValueError: arguments outside these ranges.
        """
        operands = self.operands(
            seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
            threads=threads,
        )  # fmt: skip
        stream = self.kinds.index(kind) * 16 + ("train", "test", "all").index(split)
        arrays = self._core.layout(
            arity=operands.arity,
            coupling=self.core_coupling(coupling),
            digits=operands.digits,
            offsets=operands.offsets,
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
            solved: False leaves the work and the answer to a decoder: PAD tokens, their ids, no
                targets.
            width: digits of the operands that the columns are made for; default: no more columns
                than the problems need.
            threads: 0 chooses by size.

        Returns:
            The batch.

        Raises:
            ValueError: operands with leading zeros, digits not below the base, longer than width,
                or with more work than ids can number.
        """
        self._check_operands(operands)
        if width is not None and width < 1:
            raise ValueError(f"expected width >= 1, got {width}")
        arrays = self._core.layout(
            arity=operands.arity, coupling=self.core_coupling(coupling), digits=operands.digits,
            offsets=operands.offsets, seed=0, stream=_ID_STREAM - 1, step=0, random_start=False,
            width=width or 0, solved=solved, threads=threads,
        )  # fmt: skip
        return Batch(*arrays)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The work and the answer as written, without EOS.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return self._core.answers(
            arity=operands.arity, digits=operands.digits, offsets=operands.offsets
        )

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]; the order of operands is irrelevant.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return self._core.test_split(
            arity=operands.arity, digits=operands.digits, offsets=operands.offsets
        )

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A problem as a person writes it -> operands' digits, most significant first.

        Args:
            line: numbers with the task's sign between them, like "12*34"; spaces around operands
                are allowed, leading zeros are dropped.

        Raises:
            ValueError: what is wrong with the line.
        """
        return operand_pair(line, self.sign, self.base, self.example)

    def final(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper."""
        ends = np.flatnonzero(answer_tokens == self.vocabulary.equals)
        return int(ends[-1]) + 1 if ends.size else 0

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """The rows as people would write them, most significant digit first, aligned.

        Rows that say the same one after the other are one line with their number.

        Args:
            answer_tokens: [n], the work and the answer; ignored from the first EOS on. A row that
                is none is shown as it stands.
        """
        shown, ended = [], False
        for number, row in enumerate(self.rows(answer_tokens)[1:], start=1):
            try:
                label, text = self.shown_row(row, number, ended)
            except ValueError:
                label, text = "?", self.vocabulary.text(row)
            shown.append((label, text))
            ended |= bool(row[0] == self.vocabulary.equals)
        shown = [_counted(*row, len([*alike])) for row, alike in groupby(shown)]
        left = max((len(label) for label, _ in shown), default=0)
        right = max((len(text) for _, text in shown), default=0)
        return [f"{label:<{left}}  {text:>{right}}" for label, text in shown]

    @abstractmethod
    def shown_row(self, row: npt.NDArray[np.int64], number: int, ended: bool) -> tuple[str, str]:
        """A row as a label and a text.

        Args:
            row: tokens, the mark first.
            number: 1 for the first row.
            ended: the work is over, "=" came before.

        Raises:
            ValueError: it is no row of this task.
        """

    def padded_number(self, digits: npt.NDArray[np.int64]) -> str:
        """Digits, least significant first, as text with the zeros in front.

        Raises:
            ValueError: see `number`.
        """
        return self.number(digits).rjust(len(digits), "0")

    def rows(self, answer_tokens: npt.ArrayLike) -> list[npt.NDArray[np.int64]]:
        """Tokens as generated, up to EOS, cut at the marks of rows and at "="."""
        tokens = self.before_end(answer_tokens)
        marks = (tokens == self.vocabulary.equals) | (tokens == self.vocabulary.id(ROW))
        return np.split(tokens, np.flatnonzero(marks))

    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "12*34=408".

        Raises:
            ValueError: a base above 36.
        """
        numbers = operands.problem(i)
        one = Operands.from_digits([numbers], arity=operands.arity)
        question = self.sign.join(digits_text(number) for number in numbers)
        return f"{question}={self.render(self.answer(one)[0])}"

    def proved(self, coupling: Coupling, windows: Sequence[WindowLike]) -> None:
        """Check that a coupling shows no more than the one whose contexts are enumerated.

        Raises:
            ValueError: another level or a wider window, for which nothing is proved.
        """
        self.check_coupling(coupling)
        check_shown(self.name, self.work(), coupling, windows)

    @property
    def _core(self) -> _core.Worksheet:
        return _core_sheet(self.sheet, self.base)


def _counted(label: str, text: str, times: int) -> tuple[str, str]:
    return f"{label}, {times} times" if times > 1 else label, text


@lru_cache(maxsize=64)
def _core_sheet(sheet: str, base: int) -> _core.Worksheet:
    return _core.Worksheet(sheet, base)
