"""Tasks by name, so that a run's config can name its task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arithtf.tasks.addition import Addition
from arithtf.tasks.base import Task
from arithtf.tasks.calculator import Calculator
from arithtf.tasks.division import Division
from arithtf.tasks.modular import ModularAddition
from arithtf.tasks.multiplication import Multiplication
from arithtf.tasks.numbers import Increment, TimesDigit
from arithtf.tasks.residues import PlainResidueAddition, ResidueAddition
from arithtf.tasks.running_sum import RunningSum
from arithtf.tasks.signs import Comparison, Subtraction
from arithtf.tasks.strings import Copy, Parity, Reverse

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        Addition, Subtraction, Comparison, Increment, TimesDigit, ModularAddition, ResidueAddition,
        PlainResidueAddition, Copy, Reverse, Parity, Multiplication, RunningSum, Division,
        Calculator,
    )
}  # fmt: skip


def task_from_dict(data: Mapping[str, Any]) -> Task:
    """The task that `to_dict` wrote.

    Raises:
        ValueError: no task has the name, or it has other fields.
    """
    fields = dict(data)
    name = fields.pop("task", None)
    if name not in TASKS:
        raise ValueError(f"expected a task of {sorted(TASKS)}, got {name!r}")
    try:
        return TASKS[name](**fields)
    except TypeError as error:
        raise ValueError(f"task {name!r} does not have these fields: {error}") from None
