"""Column tasks: all that follows from a rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.arithmetic.operands import Bytes
from arithtf.tasks.arithmetic.task import ALONE, PAIRS, ArithmeticTask, Longs
from arithtf.tasks.arithmetic.transducer import Rule, core_task
from arithtf.tasks.instances import Segments


class ColumnTask(ArithmeticTask):
    """A task whose answer is rows of tokens, each written column by column from a finite state."""

    @abstractmethod
    def rule(self) -> Rule:
        """How answers are written."""

    @property
    def core(self) -> _core.Task:
        """The rule's tables, made once."""
        return _compiled(self).core

    @property
    def segments(self) -> Segments:
        """The prompt's, then the rows with their ends."""
        return _compiled(self).segments

    @property
    def distributions(self) -> tuple[str, ...]:
        """How problems can be drawn."""
        return PAIRS if _compiled(self).rule.numbers == 2 else ALONE

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands without leading zeros are a problem of this task."""
        rule = _compiled(self).rule
        return len(problem) == rule.arity and (not rule.last_digit or problem[-1].size == 1)

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """The rows before the last; each has a token for every column and one that ends it."""
        before = len(_compiled(self).rule.passes) - 1
        columns = (answer_tokens.size - before) // (before + 1)
        return before * (columns + 1)

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """The last row as generated -> an ordinary number, most significant digit first.

        Raises:
            ValueError: see `ArithmeticTask.render`.
        """
        tokens = self.written(answer_tokens)
        return self.number(tokens[self.scratchpad_length(tokens.astype(np.uint8)) :])

    def answer_text(self, tokens: Longs) -> str:
        """The last of several rows as an ordinary number; a single row as `render` reads it."""
        single = len(_compiled(self).rule.passes) == 1
        return self.render(tokens) if single else self.number(tokens)


class _Compiled(NamedTuple):
    """What follows from a column task's rule."""

    rule: Rule
    segments: Segments
    core: _core.Task


@lru_cache(maxsize=64)
def _compiled(task: ColumnTask) -> _Compiled:
    rule = task.rule()
    rows = (name for row in rule.passes for name in (row.row, row.end) if name)
    segments = Segments((*task.prompt, *rows), task.prompt)
    return _Compiled(rule, segments, core_task(rule, task.vocabulary, tuple(task.sign)))
