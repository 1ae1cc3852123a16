"""A task with its scratchpad blank or absent: the same problems, the same answers, no work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from arithtf import _core
from arithtf.tasks.arithmetic.operands import Bytes, Operands
from arithtf.tasks.arithmetic.task import ArithmeticTask, Longs
from arithtf.tasks.base import Address, Draw
from arithtf.tasks.instances import Instances


class _Same:
    """What a view has of its task: the attribute of the same name."""

    def __set_name__(self, owner: type[View], name: str) -> None:
        self.name = name

    def __get__(self, view: View | None, owner: type[View]) -> Any:
        return self if view is None else getattr(view.of, self.name)


def _same() -> Any:
    return _Same()


@dataclass(frozen=True)
class View(ArithmeticTask):
    """A task whose written-out work is not written.

    Modulo 101, 57+68 is written ^57+68=<11><24>$, a running residue and the result. With the
    scratchpad "blank" it is ^57+68=_<24>$: PAD tokens with the work's ids and no targets, so that
    a model has as many columns to compute in, but reads nothing that it computed before. With the
    scratchpad "absent" it is ^57+68=<24>$: indices in a segment begin anew at the answer.

    Args:
        of: a task whose `scratchpad_length` is not 0 everywhere, and follows from the lengths of
            the operands.
        scratchpad: "blank" or "absent".

    Raises:
        ValueError: another scratchpad.
    """

    of: ArithmeticTask
    scratchpad: Literal["blank", "absent"] = "absent"

    name = "view"

    def __post_init__(self) -> None:
        if self.scratchpad not in ("blank", "absent"):
            raise ValueError(f"expected scratchpad 'blank' or 'absent', got {self.scratchpad!r}")

    base = _same()
    core = _same()
    sign = _same()
    strings = _same()
    vocabulary = _same()
    segments = _same()
    example = _same()
    arity = _same()
    distributions = _same()
    truth = _same()
    operands = _same()
    describe_lengths = _same()
    is_valid = _same()
    stress_lengths = _same()
    parse = _same()
    question = _same()
    problem_text = _same()
    in_test_split = _same()
    max_answer_tokens = _same()
    answer_room = _same()
    sequence_length = _same()

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """As the task renders an answer whose work was left out.

        Raises:
            ValueError: tokens that are no answer.
        """
        return self.of.answer_text(self.written(answer_tokens))

    def sample(self, address: Address, draw: Draw, *, threads: int = 0) -> Instances:
        """The task's problems, their work left out."""
        made = self.of.sample(address, draw, threads=threads)
        return self._without_work(made, self._work_lengths(made))

    def instances(
        self,
        problems: Operands,
        *,
        solved: bool = True,
        max_length: int | None = None,
        threads: int = 0,
    ) -> Instances:
        """Given problems, their work left out.

        Raises:
            ValueError: an unsolved view with blanks: how many there are is decided by the solution.
        """
        if not solved and self.scratchpad == "blank":
            raise ValueError(
                "expected solved=True: a decoder does not know how long the blanks are"
            )
        made = self.of.instances(problems, solved=solved, max_length=max_length, threads=threads)
        if solved:
            work = self._work_lengths(made)
        else:
            work = np.array([self.of.scratchpad_length(t) for t in self.of.answer(problems)])
        return self._without_work(made, work)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The true answers alone."""
        return [t[self.of.scratchpad_length(t) :] for t in self.of.answer(operands)]

    def _work_lengths(self, made: Instances) -> Longs:
        """Tokens of work of each solved instance, [B]."""
        first = made.start + 1
        written = (made.targets != made.ignore).sum(axis=1) - 1  # without EOS
        return np.array(
            [
                self.of.scratchpad_length(row[first : first + length])
                for row, length in zip(made.tokens, written.tolist(), strict=True)
            ],
            np.int64,
        )

    def _without_work(self, made: Instances, work: Longs) -> Instances:
        answer = np.arange(made.tokens.shape[1]) - (made.start + 1)  # place in the answer
        hidden = (answer >= 0) & (answer < work[:, None])
        if self.scratchpad == "blank":
            tokens = np.where(hidden, np.uint8(self.vocabulary.pad), made.tokens)
            asked = np.roll(hidden, -1, axis=1)  # targets stand one column before their tokens
            targets = np.where(asked, np.uint8(made.ignore), made.targets)
            return replace(made, tokens=tokens, targets=targets)
        return self._shortened(made, work)

    def _shortened(self, made: Instances, work: Longs) -> Instances:
        """The answer moved to where the work began."""
        columns = np.arange(made.tokens.shape[1])
        source = columns + np.where(columns > made.start, work[:, None], 0)
        beyond = source >= len(columns)
        source = np.minimum(source, len(columns) - 1)
        tokens = np.take_along_axis(made.tokens, source, 1)
        tokens[beyond] = self.vocabulary.pad
        # Targets from the last prompt column on belong to answer tokens.
        source = columns + np.where(columns >= made.start, work[:, None], 0)
        targets = np.take_along_axis(made.targets, np.minimum(source, len(columns) - 1), 1)
        targets[source >= len(columns)] = made.ignore
        used = (targets != made.ignore).any(axis=0)
        width = int(np.flatnonzero(used)[-1]) + 2 if used.any() else len(columns)
        cells, offsets, facts, draws = made.runs.arrays()
        if not used.any():  # unsolved: the last segment fills the columns, those of the work too
            cells[offsets[1:] - 1, 2] = width
        return replace(
            made,
            tokens=tokens[:, :width].copy(),
            targets=targets[:, :width].copy(),
            runs=_core.Runs(*_cut(cells, offsets, facts, made.start, work, width), draws),
        )


def _cut(
    cells: Longs, offsets: Longs, facts: Longs, start: int, work: Longs, width: int
) -> tuple[Longs, Longs, Longs]:
    """The runs without the first `work` tokens of each answer, within `width` columns."""
    of = np.repeat(np.arange(len(work)), np.diff(offsets))
    prompt = start + 1 - facts[of, 0]
    segment, row, length, first, stride, token = cells.T
    answer = token >= prompt
    skipped = np.where(answer, np.clip(-(-(prompt + work[of] - token) // stride), 0, length), 0)
    length, token = length - skipped, token + skipped * stride - np.where(answer, work[of], 0)
    columns = width - facts[of, 0] - token
    length = np.minimum(length, np.maximum(-(-columns // stride), 0))
    # Indices begin anew: what is left of a segment's row counts from the first that is left.
    first = first + skipped
    kept = length > 0
    place = np.stack([of, segment, row], 1)[kept]
    _, group = np.unique(place, axis=0, return_inverse=True)
    lowest = np.full(group.max() + 1, np.iinfo(np.int64).max)
    begun = np.zeros(group.max() + 1, np.int64)
    np.minimum.at(lowest, group, first[kept])
    np.maximum.at(begun, group, skipped[kept])
    first[kept] -= np.where(begun > 0, lowest, 0)[group]
    runs = np.stack([segment, row, length, first, stride, token], 1)[kept]
    counts = np.bincount(of[kept], minlength=len(work))
    return np.ascontiguousarray(runs), np.cumsum([0, *counts]), facts
