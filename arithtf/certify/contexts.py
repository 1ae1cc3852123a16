"""Local contexts: collecting them, enumerating all that can occur, finding conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from arithtf import _core
from arithtf.certify.cover import covering_set
from arithtf.encodings.windows import Window, WindowLike, finite_windows
from arithtf.model.local import ContextSet, collect
from arithtf.tasks import ArithmeticTask, Batch, Coupling, Operands, Vocabulary

_CHUNK = 1 << 20  # tokens laid out at a time


class Conflict(NamedTuple):
    """One local context with two right answers, at two places of an evaluation set."""

    instance: int
    column: int
    target: int
    other_instance: int
    other_column: int
    other_target: int


def layouts(task: ArithmeticTask, coupling: Coupling, operands: Operands) -> Iterator[Batch]:
    """Lay operands out in consecutive batches of about a million tokens.

    Args:
        task: the task.
        coupling: the coupling whose ids are filled in.
        operands: the instances, best sorted by length.

    Yields:
        Batches; their instances in turn are those of `operands`.
    """
    arity = operands.arity
    lengths = np.diff(operands.offsets).reshape(-1, arity)
    width = task.sequence_length(lengths)
    begin = 0
    while begin < len(width):
        widest = np.maximum.accumulate(width[begin : begin + _CHUNK])
        fits = int(np.searchsorted(widest * np.arange(1, len(widest) + 1), _CHUNK, side="right"))
        end = begin + max(fits, 1)
        yield Batch.of(task.instances(_slice(operands, begin, end, arity)), coupling)
        begin = end


def _slice(operands: Operands, begin: int, end: int, arity: int) -> Operands:
    offsets = operands.offsets[begin * arity : end * arity + 1]
    digits = operands.digits[offsets[0] : offsets[-1]]
    return Operands(digits, offsets - offsets[0], arity)


@dataclass(frozen=True, eq=False)
class TaskContexts:
    """Every local context of any instance of any length of a task, and where each occurs.

    Args:
        task, coupling: what instances are of.
        windows: (back, ahead) of every level.
        sinks: number of leading columns that every query sees.
        operands: the problems of the covering set, which `contexts.instance` counts.
        collector: what their contexts were collected with.
    """

    task: ArithmeticTask
    coupling: Coupling
    windows: Sequence[Window]
    sinks: int
    operands: Operands
    collector: _core.ContextCollector

    @cached_property
    def contexts(self) -> ContextSet:
        """The contexts with their right answers."""
        return ContextSet(**self.collector.contexts())

    @cached_property
    def conflicts(self) -> list[Conflict]:
        """Contexts with two right answers: where there is one, no model of these windows is exact.

        One conflict per context, between problems of the covering set.
        """
        return [Conflict(*conflict) for conflict in self.collector.conflicts()]

    def layouts(self) -> Iterator[Batch]:
        """The problems as batches: a tour of all contexts.

        One instance cannot contain them all (it has one beginning and one end, and operands that
        have ended do not begin again), so a tour is a family: one long member per phase of the task
        (for addition: both operands, one operand left), short ones for beginnings and ends.
        """
        return layouts(self.task, self.coupling, self.operands)

    def covered(self, batches: Iterable[Batch]) -> int:
        """How many of the contexts occur in batches that were really evaluated."""
        met = collect(batches, self.windows, self.sinks)
        return len(self.collector) - met.missing(self.collector)


def enumerate_contexts(
    task: ArithmeticTask, coupling: Coupling, windows: Sequence[WindowLike], sinks: int = 1
) -> TaskContexts:
    """Every local context that occurs in any instance of any length, with its right answer.

    Args:
        task: the task.
        coupling: the coupling.
        windows: one finite window per level.
        sinks: number of leading columns that every query sees.

    Raises:
        ValueError: the contexts of this coupling and these windows cannot be enumerated.
    """
    operands = covering_set(task, coupling, windows)
    pairs = finite_windows(windows, coupling.levels)
    collector = collect(layouts(task, coupling, operands), pairs, sinks)
    return TaskContexts(task, coupling, pairs, sinks, operands, collector)


def render_context(contexts: ContextSet, i: int, coupling: Coupling, vocabulary: Vocabulary) -> str:
    """One context for people: what stands before the token to come, and what is seen where.

    Args:
        contexts: the set.
        i: number of the context in it.
        coupling: names the levels.
        vocabulary: names the tokens.

    Returns:
        For example "after '=': significance -1: 7; significance +0: 2 4 -> 6".
    """
    seen: dict[tuple[int, int], list[str]] = {}
    for level, difference, token in contexts.entries(i):
        seen.setdefault((level, difference), []).append(_text(vocabulary, token))
    parts = [
        f"{coupling.levels[level].name} {difference:+d}: {' '.join(tokens)}"
        for (level, difference), tokens in seen.items()
    ]
    before, after = (_text(vocabulary, int(x[i])) for x in (contexts.query_token, contexts.target))
    return f"after {before!r}: {'; '.join(parts) or 'nothing seen'} -> {after}"


def _text(vocabulary: Vocabulary, token: int) -> str:
    return vocabulary.text(np.array([token], np.uint8))
