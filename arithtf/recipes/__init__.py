"""Recipes: one function of a task per experiment, each returning a frozen `Recipe`.

A recipe is all that a training run depends on. Recipes are named after what they train.
"""

from __future__ import annotations

from arithtf.recipes import addition, columns, scratchpads
from arithtf.recipes.functions import COUPLINGS, RECIPES, RecipeFunction, get_recipe, recipe
from arithtf.recipes.recipe import Recipe, build, folder_name, recipe_hash, run_name

for _module in (addition, columns, scratchpads):
    for _made in (*vars(_module).values(), *getattr(_module, "ENCODINGS", ())):
        if isinstance(_made, RecipeFunction):
            RECIPES.add(_made.name, _made)

__all__ = [
    "COUPLINGS",
    "RECIPES",
    "Recipe",
    "RecipeFunction",
    "build",
    "folder_name",
    "get_recipe",
    "recipe",
    "recipe_hash",
    "run_name",
]
