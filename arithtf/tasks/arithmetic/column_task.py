"""Column tasks: all that follows from a rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.arithmetic.operands import Bytes, digits_text
from arithtf.tasks.arithmetic.task import ALONE, PAIRS, ArithmeticTask, Longs, aligned
from arithtf.tasks.arithmetic.transducer import Rule, core_task, tables
from arithtf.tasks.instances import Segments


@dataclass(frozen=True)
class ColumnTask(ArithmeticTask):
    """A task whose answer is rows of tokens, each written column by column from a finite state.

    Args:
        base: number base, 2..128.
    """

    base: int = 10

    @abstractmethod
    def rule(self) -> Rule:
        """How answers are written."""

    @cached_property
    def core(self) -> _core.Task:
        """The rule's tables, made once."""
        return _compiled(self).core

    @cached_property
    def segments(self) -> Segments:
        """The prompt's, then the rows with their ends."""
        return _compiled(self).segments

    @property
    def strings(self) -> bool:
        """As the rule says."""
        return _compiled(self).rule.strings

    @cached_property
    def distributions(self) -> tuple[str, ...]:
        """How problems can be drawn."""
        return PAIRS if _compiled(self).rule.numbers == 2 else ALONE

    def is_valid(self, problem: Sequence[Bytes]) -> bool:
        """Whether operands without leading zeros are a problem of this task."""
        rule = _compiled(self).rule
        return len(problem) == rule.arity and (not rule.last_digit or problem[-1].size == 1)

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """As of other tasks; a last operand of one digit has just that."""
        last_digit = _compiled(self).rule.last_digit
        return [(length, 1)] if last_digit else super().stress_lengths(length)

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """A problem as a person writes it, see `ArithmeticTask.parse`."""
        problem = super().parse(line)
        if not self.is_valid(problem):
            count = problem[-1].size
            raise ValueError(f"the second operand must be a single digit, got {count} digits")
        return problem

    def scratchpad_length(self, answer_tokens: npt.NDArray[np.uint8]) -> int:
        """The rows before the last with their ends; of a running answer all tokens but the last."""
        rule = _compiled(self).rule
        if rule.running:
            return max(answer_tokens.size - 1, 0)
        return (len(rule.passes) - 1) * (self._columns(answer_tokens.size) + 1)

    def _columns(self, tokens: int) -> int:
        """Columns of an answer of so many tokens: each row but the last has one token more."""
        rows = len(_compiled(self).rule.passes)
        return max(tokens - rows + 1, 0) // rows

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as generated -> the answer as a person writes it.

        Args:
            answer_tokens: [n], the rows; ignored from the first EOS on.

        Raises:
            ValueError: no answer, rows that do not fit each other, or a token that cannot stand
                where it does.
        """
        tokens, (rule, _, _, written) = self.written(answer_tokens), _compiled(self)
        columns, rows = self._columns(tokens.size), len(rule.passes)
        if rows > 1 and (columns == 0 or (tokens.size - rows + 1) % rows > 1):
            raise ValueError(
                f"expected {rows} rows of as many tokens with a mark after each but the last, got "
                f"{tokens.size} tokens"
            )
        for number in range(rows if rule.running else rows - 1):  # the last is read below
            row = tokens[number * (columns + 1) :][:columns]
            wrong = np.flatnonzero(~np.isin(row, written[number]))
            if wrong.size:
                token = self.vocabulary.token_text(int(row[wrong[0]]))
                name = rule.passes[number].row
                raise ValueError(f"row {name!r} has {token!r}, which it is never written with")
        return self.answer_text(tokens[self.scratchpad_length(tokens.astype(np.uint8)) :])

    def answer_text(self, tokens: Longs) -> str:
        """The last row as an ordinary number, a string of digits, or what a running answer says."""
        rule = _compiled(self).rule
        if rule.running:
            token = int(tokens[-1])
            number = token < max(self.base, self.values)
            return self.text(token) if number else self.vocabulary.token_text(token)
        return digits_text(self.digits(tokens)) if rule.strings else self.number(tokens)

    def shown_work(self, answer_tokens: npt.ArrayLike) -> list[str]:
        """Several rows with their names, digits above each other's columns; one row as written."""
        rule = _compiled(self).rule
        if len(rule.passes) == 1:
            return super().shown_work(answer_tokens)
        words, rest = self.vocabulary, self.before_end(answer_tokens)
        columns, shown = self._columns(rest.size), []
        for row in rule.passes:
            tokens, rest = np.split(rest, [columns if row.end else rest.size])
            shown.append((row.row, words.text(tokens if rule.from_left else tokens[::-1])))
            if row.end:
                shown.append((row.end, words.text(rest[:1])))
                rest = rest[1:]
        return aligned(shown)


class _Compiled(NamedTuple):
    """What follows from a column task's rule; `written` are the tokens of each row's columns."""

    rule: Rule
    segments: Segments
    core: _core.Task
    written: tuple[list[int], ...]


@lru_cache(maxsize=64)
def _compiled(task: ColumnTask) -> _Compiled:
    rule = task.rule()
    rows = (name for row in rule.passes for name in (row.row, row.end) if name)
    segments = Segments((*task.prompt, *rows), task.prompt)
    written = ({token for _, token in t.step.values()} for t in tables(rule, task.base))
    core = core_task(rule, task.vocabulary, tuple(task.sign))
    return _Compiled(rule, segments, core, tuple(map(sorted, written)))
