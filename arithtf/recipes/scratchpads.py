"""Recipes for tasks with a scratchpad: each token is computed from a few of its cells."""

from __future__ import annotations

from typing import Any

from arithtf import tasks
from arithtf.encodings import Encoding
from arithtf.recipes.functions import recipe
from arithtf.recipes.recipe import Recipe, build
from arithtf.tasks import couplings


def _build(task: tasks.ArithmeticTask, heads: int, sizes: tuple[int, int], **data: Any) -> Recipe:
    """One attention block that reads the scratchpad, each head on one level, and one ReLU MLP.

    Args:
        task, heads: one head for each level of the task's lookups, or more.
        sizes: the model's width and the MLP's hidden width.
        data: other fields of the recipe.
    """
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    encoding = Encoding(windows=windows, head_levels=tuple(range(heads)))
    width, hidden = sizes
    return build(task, coupling, encoding, heads=heads, width=width, hidden=hidden, **data)


@recipe(tasks.Multiplication())
def multiplication(task: tasks.Multiplication) -> Recipe:
    """n x m digits from 7 x 7.

    A local context is the same wherever it stands, so operands of one length show them all. Of 5 x
    5 digits, batches show the rarest ones (a carry of 2 below a high digit of 7) too seldom.
    """
    data = {"lengths": (7, 7), "batch": 256, "local_batches": 256, "local": 768, "steps": 1600}
    return _build(task, 8, (48, 192), **data, learning_rate=1e-2, weight_decay=0.03)


@recipe(tasks.RunningSum())
def running_sum(task: tasks.RunningSum) -> Recipe:
    """Sums of any number of operands from sums of three, of one to four digits."""
    data = {"lengths": (1, 4), "batch": 128, "local_batches": 64, "local": 256, "steps": 600}
    return _build(task, 5, (40, 96), **data, weight_decay=0.1)


@recipe(tasks.CarriedAddition())
def carried_addition(task: tasks.CarriedAddition) -> Recipe:
    """Sums of one to ten digits with every carry written: each token follows from one column."""
    data = {"lengths": (1, 10), "batch": 128, "local_batches": 64, "local": 256, "steps": 400}
    return _build(task, 4, (48, 96), **data, weight_decay=0.1)


@recipe(tasks.Division())
def division(task: tasks.Division) -> Recipe:
    """Long division from at most four digits by four."""
    data = {"lengths": (1, 4), "batch": 128, "local_batches": 128, "local": 512, "steps": 1000}
    return _build(task, 7, (49, 192), **data, learning_rate=1e-2, weight_decay=0.1)


@recipe(tasks.Calculator())
def calculator(task: tasks.Calculator) -> Recipe:
    """Addition, subtraction, multiplication and division by one model."""
    data = {"lengths": (1, 7), "batch": 256, "local_batches": 768, "local": 1024, "steps": 3000}
    return _build(task, 9, (90, 384), **data, learning_rate=8e-3, weight_decay=0.05)
