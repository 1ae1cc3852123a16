"""Ablations take away one thing, and only where it is."""

from dataclasses import replace

import pytest

from arithtf.encodings import Table
from arithtf.recipes import Recipe, get_recipe
from arithtf.recipes.ablation import ABLATIONS, ablations
from arithtf.tasks import Address, Draw
from arithtf.train import train

THINGS = {
    "addition": {"window", "coupling", "sink", "natural format"},
    "addition task.format=padded": {"window", "coupling", "sink"},
    "parity": {"window", "coupling", "scratchpad"},
    "subtraction": {"window", "coupling", "levels", "scratchpad"},
    "times-digit": {"window", "coupling", "levels"},
    "running-sum": {"window", "coupling", "levels", "scratchpad", "distinct contexts"},
    "multiplication": {"window", "coupling", "levels", "scratchpad", "distinct contexts"},
}


@pytest.mark.parametrize("name", THINGS)
def test_a_recipe_loses_what_it_has(name):
    recipe = get_recipe(*name.split())
    found = ablations(recipe)
    assert set(found) == THINGS[name] | {"nothing"}
    assert found["nothing"] == recipe
    for ablated in found.values():
        assert Recipe.from_dict(ablated.to_dict()) == ablated
        # The rest of the training stays: otherwise it would not be known what made the difference.
        for part in ("lengths", "steps", "learning_rate", "seed"):
            assert getattr(ablated, part) == getattr(recipe, part)
        for part in ("width", "heads", "hidden", "blocks"):
            assert getattr(ablated.model, part) == getattr(recipe.model, part)
        if recipe.local and ablated != recipe:
            # Problems instead of local contexts: about as many columns a step.
            assert ablated.local == 0
            draw = Draw((recipe.lengths[1],) * 2, size=1)
            columns = ablated.task.sample(Address(0, "train", 1), draw).tokens.shape[1]
            assert columns * ablated.batch <= recipe.local < columns * (ablated.batch + 1)
        else:
            assert ablated.batch == recipe.batch
        assert train(replace(ablated, steps=1, batch=4, local_batches=1)).num_parameters() > 0


def test_what_is_taken_away_is_gone():
    found = ablations(get_recipe("subtraction"))
    encoding = found["window"].model.encoding
    assert set(encoding.windows) == {None}
    assert encoding.mechanism == Table(reach=16)
    assert len(found["levels"].coupling.levels) == found["levels"].model.levels == 1
    assert ablations(get_recipe("addition"))["sink"].model.encoding.sinks == 0
    assert found["coupling"].coupling.levels[0].key["a"].index == 1
    back, _ = found["coupling"].model.encoding.windows[0]
    # BOS, two operands of 6 digits with sign and "=", then difference, sign, answer, EOS.
    assert back >= 1 + 6 + 1 + 6 + 1 + 6 + 1 + 6
    assert found["scratchpad"].task.of == get_recipe("subtraction").task
    assert ablations(get_recipe("addition"))["natural format"].task.format == "padded"


def test_without_what_is_not_there_is_none():
    plain = ablations(get_recipe("addition"))["sink"]
    assert ABLATIONS["sink"](plain) is None
    assert ABLATIONS["window"](ablations(plain)["window"]) is None
