"""A task without its written-out work: the same problems, blanks where the work was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from arithtf.tasks.base import IGNORE, Split, Task
from arithtf.tasks.batch import Batch, Bytes, Operands
from arithtf.tasks.coupling import Coupling
from arithtf.tasks.vocabulary import Vocabulary


@dataclass(frozen=True)
class Unworked(Task):
    """A task whose work is blank: PAD tokens with the work's ids, and no targets but the answer's.

    So a model has as many columns to compute in as with the work, and is asked for the same answer,
    but does not write down and read what it computed before. For ablations.

    Args:
        task: a task whose `final` is not 0 everywhere.
    """

    task: Task

    name: ClassVar[str] = "unworked"

    def __post_init__(self) -> None:
        for part in ("arity", "segments", "complete", "kinds", "example", "strings"):
            object.__setattr__(self, part, getattr(self.task, part))

    @property
    def vocabulary(self) -> Vocabulary:
        """That of the task."""
        return self.task.vocabulary

    def to_dict(self) -> dict[str, Any]:
        """The task, under its own name."""
        return {"task": self.name, "of": self.task.to_dict()}

    def sizes(self, lengths: tuple[int, int]) -> str:
        """Those of the task."""
        return self.task.sizes(lengths)

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
        """The task's batch with blank work."""
        return self._blanked(
            self.task.batch(
                coupling, seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
                threads=threads,
            )
        )  # fmt: skip

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
        """The task's problems."""
        return self.task.operands(
            seed=seed, split=split, step=step, lengths=lengths, size=size, kind=kind,
            threads=threads,
        )  # fmt: skip

    def layout(
        self,
        coupling: Coupling,
        operands: Operands,
        *,
        solved: bool = True,
        width: int | None = None,
        threads: int = 0,
    ) -> Batch:
        """Given problems, solved with blank work.

        Raises:
            ValueError: an unsolved batch: how long the blanks are is decided by the solution.
        """
        if not solved:
            raise ValueError("expected solved=True: without its work a task cannot be decoded")
        return self._blanked(self.task.layout(coupling, operands, width=width, threads=threads))

    def room(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """That of the task."""
        return self.task.room(lengths)

    def columns(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """That of the task."""
        return self.task.columns(lengths)

    def shapes(self, length: int) -> list[tuple[int, ...]]:
        """Those of the task."""
        return self.task.shapes(length)

    def answer(self, operands: Operands) -> list[Bytes]:
        """The true answers alone."""
        return [tokens[self.task.final(tokens) :] for tokens in self.task.answer(operands)]

    def in_test_split(self, operands: Operands) -> npt.NDArray[np.bool_]:
        """That of the task."""
        return self.task.in_test_split(operands)

    def parse(self, line: str) -> tuple[Bytes, ...]:
        """That of the task."""
        return self.task.parse(line)

    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """The answer's tokens as text."""
        return self.vocabulary.text(answer_tokens)

    def problem(self, operands: Operands, i: int) -> str:
        """That of the task."""
        return self.task.problem(operands, i)

    def _blanked(self, batch: Batch) -> Batch:
        tokens, targets = batch.tokens.copy(), batch.targets.copy()
        first = batch.start + 1
        for row in range(len(tokens)):
            length = int((targets[row] != IGNORE).sum()) - 1  # without EOS
            work = self.task.final(tokens[row, first : first + length])
            tokens[row, first : first + work] = self.vocabulary.pad
            targets[row, first - 1 : first - 1 + work] = IGNORE
        return batch._replace(tokens=tokens, targets=targets)
