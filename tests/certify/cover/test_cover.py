"""Which tasks have covering sets, and that the check before a search says the same."""

from dataclasses import replace

import pytest

from arithtf.certify import enumerate_contexts
from arithtf.certify.cover import check_enumerable, covering_set
from arithtf.recipes import get_recipe
from arithtf.tasks import (
    TASKS,
    Multiplication,
    ResidueAddition,
    Subtraction,
    View,
    couplings,
)

NAMES = [name for name in TASKS if name != "view"]


def refusal(function, *arguments):
    """Why it refuses, or None."""
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", NAMES)
def test_the_check_says_what_the_covering_set_says(name):
    recipe = get_recipe(name)
    task, windows = recipe.task, recipe.model.encoding.windows
    ready = (task, recipe.coupling, windows)
    periodic = tuple(replace(level, period=5) for level in recipe.coupling.levels)
    assert len(covering_set(*ready)) > 0
    assert refusal(check_enumerable, *ready) is None
    for odd in (
        (task, recipe.coupling, (None, *windows[1:])),
        (task, recipe.coupling, (*windows, (0, 0))),
        (task, couplings.index(task), [(1, 0)]),
        (task, replace(recipe.coupling, levels=periodic), windows),
    ):
        assert refusal(check_enumerable, *odd) == refusal(covering_set, *odd) is not None


@pytest.mark.parametrize("window", [(0, 0), (3, 0), (2, 5)])
def test_a_residue_without_its_work_clashes_whatever_the_window(window):
    """The leading digits beyond the window decide, so problems are given that show it."""
    task = View(ResidueAddition(7), "absent")
    coupling = couplings.from_left(task.of)
    assert refusal(check_enumerable, task, coupling, [window]) is None
    assert enumerate_contexts(task, coupling, [window]).conflicts


@pytest.mark.parametrize(
    ("task", "scratchpad"),
    [
        (ResidueAddition(7), "blank"),
        (Subtraction(), "absent"),
        (Multiplication(), "blank"),
        (Multiplication(), "absent"),
    ],
)
def test_other_views_are_refused_in_words(task, scratchpad):
    coupling = get_recipe(task.name).coupling
    arguments = View(task, scratchpad), coupling, [(0, 0)] * len(coupling.levels)
    message = f"local contexts of the task '{scratchpad} {task.name}' cannot be enumerated"
    assert refusal(check_enumerable, *arguments) == refusal(covering_set, *arguments) == message
