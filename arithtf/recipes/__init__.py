"""Recipes: one function per experiment, each returning a frozen `Recipe`.

A recipe is all that a training run depends on. Recipes are named after what they train.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

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
        ValueError: no recipe has the name; the message says which have one like it.
    """
    if name not in RECIPES:
        like = " or ".join(get_close_matches(name, RECIPES))
        meant = f"did you mean {like}? " if like else ""
        raise ValueError(
            f"no recipe is named {name!r}; {meant}`arithtf data` lists all {len(RECIPES)}"
        )
    return RECIPES[name]()


__all__ = ["RECIPES", "Recipe", "get_recipe"]
