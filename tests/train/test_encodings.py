"""Every mechanism trains on every source of ids, and every recipe trains."""

from dataclasses import replace

import pytest
import torch

from arithtf.encodings import (
    FIRE,
    KERPLE,
    T5,
    ALiBi,
    Disentangled,
    Encoding,
    Learned,
    MechanismSpec,
    RoPE,
    Shaw,
    Sinusoidal,
    Table,
)
from arithtf.model import Transformer
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import Addition, Coupling, couplings
from arithtf.train import train

SOURCES = {
    "index": lambda task: couplings.index(task),
    "columns": lambda task: couplings.columns(task),
    "position_coupling": lambda task: couplings.position_coupling(task, 40, longest=6),
    "abacus": lambda task: couplings.abacus(task, 20),
    "randomized": lambda task: couplings.randomized(task, 40),
    "cyclic": lambda task: couplings.cyclic(task, 5),
}
# What must be among the weights. The sinusoidal embedding owns gains, rotary and ALiBi nothing.
PARTS = {
    **{name: (part(), "") for name, part in MechanismSpec.registry.items()},
    "learned": (Learned(max_position=64), "positions.tables"),
    "sinusoidal": (Sinusoidal(), "positions.gain"),
    "table": (Table(reach=8), "mechanism.table"),
    "t5": (T5(), "mechanism.table"),
    "alibi-learned": (ALiBi(learned=True), "mechanism.slopes"),
    "kerple": (KERPLE(), "mechanism.raw1"),
    "kerple-power": (KERPLE(form="power"), "mechanism.raw2"),
    "fire": (FIRE(), "mechanism.w1"),
    "shaw": (Shaw(reach=8), "mechanism.key_vectors"),
    "disentangled": (Disentangled(reach=8), "mechanism.query_vectors"),
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
@pytest.mark.parametrize("name", PARTS)
def test_every_part_trains_on_every_source_of_ids(tiny, name, source):
    task = Addition(reverse_operands=source == "abacus")
    part, own = PARTS[name]
    which = "mechanism" if isinstance(part, MechanismSpec) else "embedding"
    encoding = Encoding(**{which: part}, sinks=1)
    before, after = three_steps(tiny, SOURCES[source](task), task, encoding)
    assert before.keys() == after.keys()
    assert any(own in name for name in after)
    still = [name for name in after if torch.equal(before[name], after[name])]
    assert still == [], "no gradient reached these parameters"


@pytest.mark.parametrize("scale", ["head", "log"])
@pytest.mark.parametrize("window", [1, (1, 0), (2, 1), None])
def test_windows_and_logit_scales_train(tiny, scale, window):
    task = Addition()
    encoding = Encoding(mechanism=Table(reach=2), windows=(window,), sinks=1, logit_scale=scale)
    before, after = three_steps(tiny, couplings.columns(task), task, encoding)
    assert all(not torch.equal(before[name], after[name]) for name in after)
    assert any(name.endswith("logit_scale") for name in after)


@pytest.mark.parametrize("mechanism", [FIRE(), RoPE()])
def test_abacus_combines_with_a_mechanism(tiny, mechanism):
    """arXiv 2405.17399: Abacus vectors by the place in a number, the mechanism by token indices."""
    task = Addition(reverse_operands=True)
    levels = couplings.abacus(task, 20).levels + couplings.index(task).levels
    encoding = Encoding(
        embedding=Learned(max_position=64, levels=(0,)),
        mechanism=mechanism,
        windows=(None, None),
        head_levels=(1,) * tiny.model.heads,
    )
    before, after = three_steps(tiny, Coupling("abacus and index", levels), task, encoding)
    assert after["positions.tables"].shape[0] == 1
    assert all(not torch.equal(before[name], after[name]) for name in after)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name):
    """As it is, but for the number of steps and the size of a step."""
    recipe = replace(get_recipe(name), steps=2, batch=4)
    before = Transformer(recipe.model, seed=recipe.seed).embedding.weight
    assert not torch.equal(before, train(recipe, device="cpu").embedding.weight)
    assert recipe.name == name
