"""What training shows: counted by hand for copying, and every reachable context for the recipes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from arithtf.certify import CannotCertify
from arithtf.certify.exposure import exposure
from arithtf.recipes import get_recipe
from arithtf.tasks import Address, Draw, Operands


def problems(recipe):
    """All problems of a training run, as lists of digits."""
    for step in range(1, recipe.steps + 1):
        operands = recipe.task.operands(
            Address(recipe.seed, "train", step), Draw(recipe.lengths, recipe.batch)
        )
        for i in range(len(operands)):
            yield [digits.tolist() for digits in operands.problem(i)]


def test_counts_are_those_of_the_problems():
    recipe = replace(get_recipe("copy"), steps=40)
    found = exposure(recipe)
    by_hand = Counter()
    for (digits,) in problems(recipe):
        before = [recipe.task.vocabulary.equals, *digits]
        by_hand.update(zip(before, [*digits, None], strict=True))
    contexts = found.contexts
    for i, shown in enumerate(found.shown.tolist()):
        seen = [token for _, _, token in contexts.entries(i)]
        name = (int(contexts.query_token[i]), seen[0] if seen else None)
        assert by_hand.pop(name, 0) == shown
    assert not by_hand
    assert found.queries == found.shown.sum()


@pytest.mark.parametrize(
    "name",
    [
        "comparison",
        "increment",
        "copy",
        "reverse",
        "parity",
        "residue-addition",
        "running-sum",
        "division",
    ],
)
def test_training_shows_every_context(name):
    assert exposure(get_recipe(name)).shown.min() > 0


def test_training_shows_every_context_of_times_digit_but_those_kept_for_the_test_split():
    """0 * d is the one problem in which a 0 ends the number, and the split may keep it."""
    recipe = get_recipe("times-digit")
    found = exposure(recipe)
    factors = []
    for i in np.flatnonzero(found.shown == 0):
        digits = {level: token for level, _, token in found.contexts.entries(int(i))}
        assert found.contexts.target[i] == recipe.task.vocabulary.eos
        assert digits == {1: 0, 2: digits[2]}, "the column below, and the factor"
        factors.append((0, digits[2]))
    assert recipe.task.in_test_split(Operands.from_ints(factors)).all()


@pytest.mark.parametrize(
    ("name", "most"), [("subtraction", 0.05), ("modular-addition", 0.02), ("multiplication", 0.01)]
)
def test_training_shows_nearly_every_context_of_the_large_tasks(name, most):
    assert (exposure(get_recipe(name)).shown == 0).mean() < most


def test_contexts_that_are_trained_on_in_turns_are_shown_equally_often():
    recipe = replace(get_recipe("running-sum"), local_batches=2, local=100, steps=30)
    found = exposure(recipe)
    shown = found.shown[found.shown > 0]
    assert 0 < len(shown) < len(found.shown)
    assert set(shown) == {3000 // len(shown)}
    assert found.queries == 3000


def test_tasks_that_cannot_be_enumerated_are_refused():
    with pytest.raises(CannotCertify, match="same local context"):
        exposure(get_recipe("plain-residue-addition"))
