"""Tasks with a scratchpad: rows of work, each row from the one before, then the answer."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.arithmetic.scratchpad import Scratchpad
from arithtf.tasks.arithmetic.scratchpad_tables import core_task
from arithtf.tasks.arithmetic.task import ArithmeticTask, Longs, aligned
from arithtf.tasks.instances import Segments

ROW = "#"
"""The mark that begins a row."""


@dataclass(frozen=True)
class ScratchpadTask(ArithmeticTask):
    """A task solved by rows of work. How long each part is depends on operand lengths alone.

    Problems drawn for training are not uniform: in half of them each digit is the largest of three,
    in all operands, so that what many large digits need is not rare in training. Problems of the
    splits "test" and "all" are uniform.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    symbols: ClassVar[tuple[str, ...]] = (ROW,)
    last_mark: ClassVar[str] = "="
    """What stands last before the answer."""

    def __post_init__(self) -> None:
        self.core  # noqa: B018  refuses a base that does not exist, or has too large tables

    @abstractmethod
    def scratchpad(self) -> Scratchpad:
        """How the work is written."""

    @cached_property
    def core(self) -> _core.Task:
        """The scratchpad's tables, made once."""
        return _compiled(self).core

    @cached_property
    def segments(self) -> Segments:
        """The prompt's, then those of the work and the answer."""
        return _compiled(self).segments

    @property
    def distributions(self) -> tuple[str, ...]:
        """How problems can be drawn."""
        return ("uniform", "ripple", "repdigit", "lopsided", "zeros", "double")

    def scratchpad_length(self, answer_tokens: npt.NDArray[Any]) -> int:
        """How many of the answer's tokens are work that leads to the answer proper."""
        ends = np.flatnonzero(answer_tokens == self.vocabulary.id(self.last_mark))
        return int(ends[-1]) + 1 if ends.size else 0

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the answer as a person writes it.

        Args:
            answer_tokens: [n], the work and the answer; ignored from the first EOS on.

        Raises:
            ValueError: work that does not come to an end, or a token that is not a digit.
        """
        tokens = self.before_end(answer_tokens)
        work = self.scratchpad_length(tokens)
        if work == 0:
            raise ValueError(
                f"the work does not come to an end: expected {self.last_mark!r} before the answer"
            )
        return self.answer_text(tokens[work:])

    def answer_text(self, tokens: Longs) -> str:
        """The answer proper as an ordinary number."""
        return self.number(tokens)

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
        return aligned(shown)

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


def _counted(label: str, text: str, times: int) -> tuple[str, str]:
    return f"{label}, {times} times" if times > 1 else label, text


class _Compiled(NamedTuple):
    """What follows from a task's scratchpad."""

    segments: Segments
    core: _core.Task


@lru_cache(maxsize=64)
def _compiled(task: ScratchpadTask) -> _Compiled:
    pad = task.scratchpad()
    segments = Segments((*task.prompt, *pad.segments), task.prompt)
    return _Compiled(segments, core_task(pad, task.vocabulary, task.prompt, task.sign))
