"""Recipes for tasks with written-out work: each token is computed from a few cells of the sheet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arithtf.encodings import Encoding
from arithtf.model import ModelConfig
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import (
    ArithmeticTask,
    Calculator,
    Division,
    Multiplication,
    RunningSum,
    couplings,
)


def _recipe(
    task: ArithmeticTask,
    *,
    head_levels: tuple[int, ...],
    hidden: int,
    width: int,
    **training: Any,
) -> Recipe:
    """A recipe named after its task: one attention block that reads the sheet, one ReLU MLP."""
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    encoding = Encoding(windows=windows, head_levels=head_levels)
    model = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=len(coupling.levels),
        width=width,
        heads=len(head_levels),
        hidden=hidden,
        encoding=encoding,
    )
    training.setdefault("weight_decay", 0.1)
    return Recipe(name=task.name, task=task, coupling=coupling, model=model, **training)


def multiplication() -> Recipe:
    """n x m digits from 7 x 7.

    A local context is the same wherever it stands, so operands of one length show them all. Of 5 x
    5 digits, batches show the rarest ones (a carry of 2 below a high digit of 7) too seldom.
    """
    return _recipe(
        Multiplication(),
        head_levels=tuple(range(8)),
        width=48,
        hidden=192,
        lengths=(7, 7),
        batch=256,
        pool=256,
        local=768,
        steps=1600,
        learning_rate=1e-2,
        weight_decay=0.03,
    )


def running_sum() -> Recipe:
    """Sums of any number of operands from sums of three, of one to four digits."""
    return _recipe(
        RunningSum(),
        head_levels=tuple(range(5)),
        width=40,
        hidden=96,
        lengths=(1, 4),
        batch=128,
        pool=64,
        local=256,
        steps=600,
    )


def division() -> Recipe:
    """Long division from at most four digits by four."""
    return _recipe(
        Division(),
        head_levels=tuple(range(7)),
        width=49,
        hidden=192,
        lengths=(1, 4),
        batch=128,
        pool=128,
        local=512,
        steps=1000,
        learning_rate=1e-2,
    )


def calculator() -> Recipe:
    """Addition, subtraction, multiplication and division by one model, each head on one level."""
    return _recipe(
        Calculator(),
        head_levels=tuple(range(9)),
        width=90,
        hidden=384,
        lengths=(1, 7),
        batch=256,
        pool=768,
        local=1024,
        steps=3000,
        learning_rate=8e-3,
        weight_decay=0.05,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "multiplication": multiplication,
    "running-sum": running_sum,
    "division": division,
    "calculator": calculator,
}
