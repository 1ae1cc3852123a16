"""Recipes for tasks with a scratchpad: each token is computed from a few of its cells."""

from __future__ import annotations

from typing import Any

from arithtf.encodings import Encoding
from arithtf.recipes.functions import recipe
from arithtf.recipes.recipe import Recipe, build
from arithtf.tasks import (
    Calculator,
    Division,
    Multiplication,
    RunningSum,
    couplings,
)


def _build(
    task: Multiplication | RunningSum | Division | Calculator, heads: int, **settings: Any
) -> Recipe:
    """One attention block that reads the scratchpad, each head on one level, and one ReLU MLP."""
    coupling = couplings.lookups(task)
    windows = ((0, 0),) * len(coupling.levels)
    encoding = Encoding(windows=windows, head_levels=tuple(range(heads)))
    return build(task, coupling, encoding, heads=heads, **settings)


@recipe(Multiplication())
def multiplication(task: Multiplication) -> Recipe:
    """n x m digits from 7 x 7.

    A local context is the same wherever it stands, so operands of one length show them all. Of 5 x
    5 digits, batches show the rarest ones (a carry of 2 below a high digit of 7) too seldom.
    """
    return _build(
        task,
        heads=8,
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


@recipe(RunningSum())
def running_sum(task: RunningSum) -> Recipe:
    """Sums of any number of operands from sums of three, of one to four digits."""
    return _build(
        task,
        heads=5,
        width=40,
        hidden=96,
        lengths=(1, 4),
        batch=128,
        pool=64,
        local=256,
        steps=600,
        weight_decay=0.1,
    )


@recipe(Division())
def division(task: Division) -> Recipe:
    """Long division from at most four digits by four."""
    return _build(
        task,
        heads=7,
        width=49,
        hidden=192,
        lengths=(1, 4),
        batch=128,
        pool=128,
        local=512,
        steps=1000,
        learning_rate=1e-2,
        weight_decay=0.1,
    )


@recipe(Calculator())
def calculator(task: Calculator) -> Recipe:
    """Addition, subtraction, multiplication and division by one model."""
    return _build(
        task,
        heads=9,
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
