"""Recipes by name, with and without a modulus."""

import pytest

from arithtf.recipes import RECIPES, get_recipe, recipe_function


@pytest.mark.parametrize("name", RECIPES)
def test_names_are_those_of_the_recipes(name):
    assert get_recipe(name).name == name


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("modular-addition-40", ((0, 0), (0, 2))),
        ("modular-addition-125", ((0, 0), (0, 3))),
        ("modular-addition-50", ((1, 0), (0, 1))),
        ("residue-addition-77", ((0, 0),)),
    ],
)
def test_a_modulus_can_be_named(name, windows):
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe.task.modulus == int(name.rpartition("-")[2])
    assert recipe.task.example == f"(12+34)%{recipe.task.modulus}"
    assert recipe.model.encoding.windows == windows
    assert recipe_function(name).__doc__


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("modular-addition-7", "divides a power of 10, got 7; residue-addition takes any"),
        ("modular-addition-0", "divides a power of 10, got 0"),
        ("modular-addition-256", "at most 240 tokens, got 256"),
        ("residue-addition-241", "modulus in 2..240, got 241"),
        ("residue-addition-", "did you mean residue-addition"),
        ("residue-addition-²", "did you mean residue-addition"),
        ("addition-7", "did you mean addition"),
        ("-8", "no recipe is named '-8'"),
    ],
)
def test_what_is_no_name_or_modulus(name, message):
    with pytest.raises(ValueError, match=message):
        get_recipe(name)
