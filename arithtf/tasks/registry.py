"""Tasks by name, so that a run's config can name its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arithtf.plain import from_plain, to_plain
from arithtf.tasks.arithmetic import calculator as _calculator
from arithtf.tasks.arithmetic import strings as _strings
from arithtf.tasks.arithmetic.addition import Addition
from arithtf.tasks.arithmetic.carried_addition import CarriedAddition
from arithtf.tasks.arithmetic.comparison import Comparison
from arithtf.tasks.arithmetic.division import Division
from arithtf.tasks.arithmetic.increment import Increment
from arithtf.tasks.arithmetic.modular_addition import ModularAddition
from arithtf.tasks.arithmetic.multiplication import Multiplication
from arithtf.tasks.arithmetic.residue_addition import ResidueAddition
from arithtf.tasks.arithmetic.running_sum import RunningSum
from arithtf.tasks.arithmetic.subtraction import Subtraction
from arithtf.tasks.arithmetic.times_digit import TimesDigit
from arithtf.tasks.arithmetic.view import View
from arithtf.tasks.base import TASKS, Task

_OWN: tuple[type[Task], ...] = (
    *(Addition, Subtraction, Comparison, Increment, TimesDigit, ModularAddition, ResidueAddition),
    *(_strings.Copy, _strings.Reverse, _strings.Parity, Multiplication, RunningSum, Division),
    *(CarriedAddition, _calculator.Calculator, View),
)
for _task in _OWN:
    TASKS.add(_task.name, _task)


def task_to_dict(task: Task) -> dict[str, Any]:
    """A task's fields for JSON, with its name under "task"."""
    plain: dict[str, Any] = to_plain(task)
    return plain


def task_from_dict(data: Mapping[str, Any]) -> Task:
    """The task that `task_to_dict` wrote.

    Raises:
        ValueError: no task has the name, or it has other fields.
    """
    task: Task = from_plain(Task, dict(data), "task")
    return task
