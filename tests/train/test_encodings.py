"""Every mechanism trains on every source of ids, and every recipe trains."""

from dataclasses import replace

import pytest
import torch

from arithtf.encodings import MECHANISMS, Encoding
from arithtf.model import Transformer
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import Addition, couplings
from arithtf.train import train

SOURCES = {
    "index": lambda task: couplings.index(task),
    "columns": lambda task: couplings.columns(task),
    "position_coupling": lambda task: couplings.position_coupling(task, 40, longest=6),
    "abacus": lambda task: couplings.abacus(task, 20),
    "randomized": lambda task: couplings.randomized(task, 40),
    "cyclic": lambda task: couplings.cyclic(task, 5),
}
# The sinusoidal embedding owns no parameters, and rotary's and ALiBi's are fixed.
OWN = {
    "learned": "positions.",
    "table": "mechanism.table",
    "t5": "mechanism.table",
    "alibi-learned": "mechanism.slopes",
    "kerple-log": "mechanism.raw1",
    "kerple-power": "mechanism.raw2",
    "fire": "mechanism.w1",
    "shaw": "mechanism.key_vectors",
    "disentangled": "mechanism.query_vectors",
}


def three_steps(tiny, coupling, task, encoding):
    """Weights before and after three steps; `train` itself refuses what is not finite."""
    model = replace(tiny.model, levels=len(coupling.levels), encoding=encoding)
    recipe = replace(
        tiny, task=task, coupling=coupling, model=model, lengths=(2, 6), batch=16, steps=3
    )
    before = dict(Transformer(model, seed=recipe.seed).named_parameters())
    return before, dict(train(recipe, device="cpu").named_parameters())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_trains_on_every_source_of_ids(tiny, mechanism, source):
    task = Addition(reverse_operands=source == "abacus")
    encoding = Encoding(mechanism=mechanism, sinks=1, max_position=64, reach=8)
    before, after = three_steps(tiny, SOURCES[source](task), task, encoding)
    assert before.keys() == after.keys()
    assert any(OWN.get(mechanism, "") in name for name in after)
    still = [name for name in after if torch.equal(before[name], after[name])]
    assert still == [], "no gradient reached these parameters"


@pytest.mark.parametrize("scale", ["head", "log"])
@pytest.mark.parametrize("window", [1, (1, 0), (2, 1), None])
def test_windows_and_logit_scales_train(tiny, scale, window):
    task = Addition()
    encoding = Encoding(mechanism="table", windows=(window,), sinks=1, reach=2, logit_scale=scale)
    before, after = three_steps(tiny, couplings.columns(task), task, encoding)
    assert all(not torch.equal(before[name], after[name]) for name in after)
    assert any(name.endswith("logit_scale") for name in after)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name):
    """As it is, but for the number of steps and the size of a step."""
    recipe = replace(get_recipe(name), steps=2, batch=4)
    before = Transformer(recipe.model, seed=recipe.seed).embedding.weight
    assert not torch.equal(before, train(recipe, device="cpu").embedding.weight)
    assert recipe.name == name
