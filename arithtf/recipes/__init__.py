"""Recipes: one function per experiment, each returning a frozen `Recipe`.

A recipe is all that a training run depends on. Recipes are named after what they train.
"""

from __future__ import annotations

from collections.abc import Callable

from arithtf.recipes import addition, columns, encodings, worksheets
from arithtf.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    **addition.RECIPES,
    **columns.RECIPES,
    **encodings.RECIPES,
    **worksheets.RECIPES,
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ValueError: no recipe has the name; the message lists those that exist.
    """
    if name not in RECIPES:
        raise ValueError(f"no recipe is named {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]()


__all__ = ["RECIPES", "Recipe", "get_recipe"]
