"""Learning rates by name: a linear rise over `warmup` steps, then a shape.

A shape is a function of the recipe and a step after the warm-up, and gives a share of the peak. One
of your own is named as file.py:halves:

    def halves(recipe: Recipe, step: int) -> float:
        return 0.5 ** (step // 1000)
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable

from arithtf.origin import Registry
from arithtf.recipes import Recipe

Shape = Callable[[Recipe, int], float]


def linear(recipe: Recipe, step: int) -> float:
    """Falls along a line to `final_rate` at the last step."""
    return 1.0 - (1.0 - recipe.final_rate) * _done(recipe, step)


def cosine(recipe: Recipe, step: int) -> float:
    """Falls along half a cosine to `final_rate` at the last step (arXiv 1608.03983, one period)."""
    left = 0.5 * (1.0 + math.cos(math.pi * _done(recipe, step)))
    return recipe.final_rate + (1.0 - recipe.final_rate) * left


def constant(recipe: Recipe, step: int) -> float:
    """Stays at the peak; `final_rate` plays no part."""
    return 1.0


def inverse_sqrt(recipe: Recipe, step: int) -> float:
    """Falls as step^-1/2 from the end of the warm-up, not below `final_rate` (arXiv 1706.03762)."""
    return max(recipe.final_rate, math.sqrt(max(1, recipe.warmup) / step))


def _done(recipe: Recipe, step: int) -> float:
    """The share of the steps after the warm-up that `step` completes."""
    return (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)


SCHEDULES: Registry[Shape] = Registry(
    "schedule", "a function of a recipe and a step", inspect.isroutine
)
for _function in (linear, cosine, constant, inverse_sqrt):
    SCHEDULES.add(_function.__name__.replace("_", "-"), _function)


def schedule(recipe: Recipe) -> Callable[[int], float]:
    """The learning rate of steps 1 .. steps of a recipe.

    Raises:
        ValueError: no schedule has the name.
    """
    shape = SCHEDULES.resolve(recipe.schedule)

    def rate(step: int) -> float:
        if step <= recipe.warmup:
            return recipe.learning_rate * step / recipe.warmup
        return recipe.learning_rate * shape(recipe, step)

    return rate
