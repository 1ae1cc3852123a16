"""What column tasks have in common: a rule (`column_rule`) makes batches, answers and the cover."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.base import Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands, digits_text
from arithtf.tasks.column_cover import rule_cover
from arithtf.tasks.column_rule import Rule, core_task, tables
from arithtf.tasks.columns import WindowLike
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.draws import draw_arguments
from arithtf.tasks.vocabulary import Vocabulary

ALONE = ("uniform", "ripple", "repdigit", "zeros", "alternating")
"""Kinds of problems with one number, see `ColumnTask.batch`."""


class ColumnTask(Task):
    """A task whose answer is rows of tokens, each written column by column from a finite state.

    A subclass is a frozen dataclass with a vocabulary, a rule, and how problems and answers are
    written by people. Its segments are BOS, the operands with separators between them, "=", and
    the rule's rows with their ends.
    """

    kinds: ClassVar[tuple[str, ...]] = ALONE

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The tokens of the task."""

    @abstractmethod
    def rule(self) -> Rule:
        """How answers are written."""

    def to_dict(self) -> dict[str, Any]:
        """The task's fields for JSON, with its name under "task"."""
        return {"task": self.name, **asdict(self)}  # type: ignore[call-overload]

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
            split: "train" and "test" never share a problem (1 in 8 is test, by a hash of the set of
                operands); "all" draws from both.
            step: 0 .. 2^64 - 1; batches of different steps are independent.
            lengths: (low, high), uniform lengths of each operand; of the longer one in structured
                kinds.
            size: number of instances B.
            kind: one of `kinds`. Tasks with two numbers have those of addition; with one,
                "ripple" is a number of largest digits, "repdigit" of equal ones, "zeros" has zeros
                inside or is a power of the base, "alternating" has two digits in turn.
            chain: (length, place) for kind "chain", see `Addition.batch`.
            threads: 0 chooses by size.

        Returns:
            Batch whose columns are made for operands of `high` digits.

        Raises:
            ValueError: arguments outside these ranges.
        """
        arguments = draw_arguments(seed, split, step, lengths, size, kind, chain, threads)
        return Batch(*_core_task(self).batch(self.core_coupling(coupling), **arguments))

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
        return Operands(*_core_task(self).operands(**arguments), self.arity)

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
            solved: False leaves the answer to a decoder: PAD tokens, ids of rows as long as the
                operands and of a last row that fills its columns, no targets.
            width: digits of the longest operand the columns are made for; default the longest
                given.
            threads: 0 chooses by size.

        Returns:
            Batch whose prompts end at column `start`.

        Raises:
            ValueError: operands with leading zeros, digits not below the base, or longer than
                width.
        """
        self._check_operands(operands)
        core = _core_task(self)
        return Batch(
            *core.layout(
                self.core_coupling(coupling),
                operands.digits,
                operands.offsets,
                width=width,
                solved=solved,
                threads=threads,
            )
        )

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Answer columns, all rows and EOS, of problems of operand lengths [B, arity], [B]."""
        rule = self.rule()
        columns = self._longest(lengths)
        if rule.limit:
            columns = np.minimum(columns, rule.limit)
        room: npt.NDArray[np.int64] = len(rule.passes) * columns + _ends(self)
        return room

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Columns that problems of operand lengths [B, arity] need in a batch of their own, [B]."""
        rule = self.rule()
        prompt = (self._longest(lengths) + 1) * rule.numbers + 2 * rule.digit + 1
        columns: npt.NDArray[np.int64] = prompt + self.room(lengths)
        return columns

    def _longest(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Digits of the longest operand that is read by columns, [B]."""
        read = np.asarray(lengths, np.int64)[:, : self.rule().numbers]
        longest: npt.NDArray[np.int64] = read.max(axis=1, initial=0)
        return longest

    def cover(self, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
        """Problems that contain every local context of any length (proof: `column_cover`).

        Args:
            coupling: operands and rows must be aligned by column on every level.
            windows: one finite window per level, (back, ahead) or an int w for (w, w).

        Returns:
            The problems, short ones first.

        Raises:
            ValueError: the level and segment that do not allow it, or a reach too large.
        """
        self.check_coupling(coupling)
        names = ("a", "b")[: self.rule().numbers]
        return Operands(*rule_cover(self.rule(), coupling, windows, names), self.arity)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The true answers as tokens in the order they are written, without EOS.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return _core_task(self).answers(operands.digits, operands.offsets)

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """Which problems belong to the test split, bool [B]; the order of operands is irrelevant.

        Raises:
            ValueError: operands with leading zeros or digits not below the base.
        """
        self._check_operands(operands)
        return _core_task(self).test_split(operands.digits, operands.offsets)

    def problem(self, operands: Operands, i: int) -> str:
        """Problem i with its true answer, like "7-12=-5".

        Raises:
            ValueError: a base above 36.
        """
        numbers = operands.problem(i)
        answer = self.render(self.answer(Operands.from_digits([numbers], arity=self.arity))[0])
        return f"{self.question([digits_text(n) for n in numbers])}={answer}"

    def question(self, numbers: Sequence[str]) -> str:
        """A problem's operands as a person writes it."""
        signs = ["".join(s) for s in self.segments[2 : 2 * self.arity : 2]]
        return numbers[0] + "".join(s + n for s, n in zip(signs, numbers[1:], strict=True))

    def written(self, answer_tokens: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Answer tokens up to the first EOS.

        Raises:
            ValueError: there are none.
        """
        tokens = self.before_end(answer_tokens)
        if tokens.size == 0:
            raise ValueError("the answer is empty")
        return tokens


@lru_cache(maxsize=64)
def _ends(task: ColumnTask) -> int:
    """Tokens that the rows of an answer may have besides one for each column."""
    rule = task.rule()
    return sum(
        max(len(row.finish(state)) for state in table.states)
        for row, table in zip(rule.passes, tables(rule), strict=True)
    )


@lru_cache(maxsize=64)
def _core_task(task: ColumnTask) -> _core.ColumnTask:
    return core_task(task.rule())
