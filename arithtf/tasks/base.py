"""What every task has in common, a sum as well as a graph or a retrieval prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import numpy.typing as npt

from arithtf.origin import Registry
from arithtf.tasks.instances import Instances, Segments
from arithtf.tasks.vocabulary import Vocabulary

Split = Literal["train", "test", "all"]
_WORD = (1 << 64) - 1


class Address(NamedTuple):
    """Which problems: the same address names the same bytes on any machine.

    Args:
        seed: 0 .. 2^64 - 1.
        split: "train" and "test" never share a problem (1 in 8 is test, by a hash of the problem);
            "all" draws from both.
        step: 0 .. 2^64 - 1; problems of different steps are drawn independently.
    """

    seed: int = 0
    split: Split = "train"
    step: int = 0

    def check(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: a seed or step that is no 64-bit word.
        """
        if not (0 <= self.seed <= _WORD and 0 <= self.step <= _WORD):
            raise ValueError(f"seed and step must be in 0..2^64-1, got {self.seed} and {self.step}")


class Draw(NamedTuple):
    """How problems are drawn.

    Args:
        lengths: (low, high), the sizes of problems, for numbers digits of each operand.
        size: number of instances B.
        distribution: one that the task has; "uniform" belongs to every split, others to "all".
        chain: (length, place) for the distribution "chain" of two numbers: columns place ..
            place + length - 1 carry (column 0 is the units), their neighbours do not.
        pool: > 0: every problem is one of so many, the same at every step of a seed and split.
    """

    lengths: tuple[int, int]
    size: int
    distribution: str = "uniform"
    chain: tuple[int, int] | None = None
    pool: int = 0

    def check(self) -> None:
        """Check what no task can draw.

        Raises:
            ValueError: lengths that are no pair, or a negative pool.
        """
        if len(self.lengths) != 2:
            raise ValueError(f"lengths must be (low, high), got {self.lengths!r}")
        if self.pool < 0:
            raise ValueError(f"pool must be at least 0 problems, got {self.pool}")


class Task(ABC):
    """A family of problems with exact answers.

    A subclass is a frozen dataclass of what the format leaves open (`arithtf.tasks.registry` writes
    and reads its fields as JSON). Tasks know nothing of ids or attention: a coupling gives ids to
    the segments of their instances.
    """

    name: ClassVar[str]
    registry: ClassVar[Registry[type[Task]]]

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The tokens."""

    @property
    @abstractmethod
    def segments(self) -> Segments:
        """The parts of an instance."""

    @abstractmethod
    def sample(self, address: Address, draw: Draw, *, threads: int = 0) -> Instances:
        """Problems with their answers: the same arguments, the same bytes, for any threads.

        Args:
            address: which problems.
            draw: how they are drawn.
            threads: 0 chooses by size.

        Raises:
            ValueError: a draw that the task does not have.
        """

    @abstractmethod
    def instances(self, problems: Any, *, solved: bool = True) -> Instances:
        """Given problems, as many as there are.

        Args:
            problems: as `parse` gives one of them, side by side in the task's own form.
            solved: False leaves the answers to a decoder: PAD tokens and no targets.

        Raises:
            ValueError: something that is no problem of the task.
        """

    @abstractmethod
    def parse(self, line: str) -> Any:
        """A problem as a person writes it.

        Raises:
            ValueError: what is wrong with the line.
        """

    @abstractmethod
    def render(self, answer_tokens: npt.ArrayLike) -> str:
        """Answer tokens as a model writes them, as a person writes the answer.

        Args:
            answer_tokens: [n]; ignored from the first EOS on.

        Raises:
            ValueError: tokens that are no answer.
        """


def _is_task(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Task)


TASKS: Registry[type[Task]] = Registry("task", "a subclass of Task", _is_task, tag="task")
"""The tasks of arithtf by name; `resolve` finds those of packages and files too."""

Task.registry = TASKS
