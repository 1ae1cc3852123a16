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


MODULI: dict[str, Callable[[int], Recipe]] = {
    "modular-addition": columns.modular_addition,
    "residue-addition": columns.residue_addition,
}
"""Recipes for any modulus their task takes, by names like modular-addition-8."""


def recipe_function(name: str) -> Callable[..., Recipe]:
    """The function that makes the recipe of that name, of MODULI for a name with a modulus.

    Raises:
        ValueError: no recipe has the name; the message says which have one like it.
    """
    family, _, number = name.rpartition("-")
    if name not in RECIPES and family in MODULI and number.isascii() and number.isdigit():
        return MODULI[family]
    if name not in RECIPES:
        like = " or ".join(get_close_matches(name, RECIPES))
        meant = f"did you mean {like}? " if like else ""
        raise ValueError(
            f"no recipe is named {name!r}; {meant}`arithtf data` lists all {len(RECIPES)}"
        )
    return RECIPES[name]


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; modular-addition-P and residue-addition-P for a modulus P.

    Raises:
        ValueError: no recipe has the name, or its task does not take the modulus.
    """
    make = recipe_function(name)
    return make() if name in RECIPES else make(int(name.rpartition("-")[2]))


__all__ = ["MODULI", "RECIPES", "Recipe", "get_recipe", "recipe_function"]
