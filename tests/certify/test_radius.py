"""The radius: no move within it breaks a model, the attack's move does."""

import copy
import json

import pytest
import torch

from arithtf.certify import check_task
from arithtf.certify.radius import attack, radius
from arithtf.certify.rounding import context_bounds
from arithtf.cli import main
from arithtf.model import context_logits
from arithtf.recipes import get_recipe
from arithtf.runs import load_model
from arithtf.train import train


@pytest.fixture(scope="module")
def parity(tmp_path_factory):
    """A certified model, its contexts and its vocabulary."""
    run = tmp_path_factory.mktemp("runs") / "parity"
    train(get_recipe("parity"), run, device="cpu")
    model, recipe = load_model(run)
    encoding = recipe.model.encoding
    found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    return model, found.contexts, recipe.task.vocabulary


def moved(model, share, seed):
    """A copy whose weights are all moved by a share of each, up or down."""
    other, draw = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            signs = torch.randint(0, 2, weight.shape, generator=draw) * 2 - 1
            weight.mul_(1 + share * signs)
    return other


def wrong(model, contexts, words):
    logits = context_logits(model, contexts, bos=words.bos, pad=words.pad, impl="reference")
    return int((logits.argmax(1).numpy() != contexts.target).sum())


def test_command(tmp_path, capsys):
    run = tmp_path / "parity"
    train(get_recipe("parity"), run, device="cpu")
    assert main(["radius", str(run), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert 0 < shown["proved"] < shown["broken"] < 1


def test_no_move_within_the_radius_breaks(parity):
    model, contexts, words = parity
    share = radius(model, contexts, bos=words.bos)
    assert 1e-7 < share < 1
    for seed in range(20):
        assert wrong(moved(model, share * 0.999, seed), contexts, words) == 0


def test_the_attack_breaks_beyond_the_radius(parity):
    model, contexts, words = parity
    share = attack(model, contexts, bos=words.bos, pad=words.pad)
    assert radius(model, contexts, bos=words.bos) < share < 1


def test_bounds_hold_for_moved_weights(parity):
    model, contexts, words = parity
    share = 1e-4
    bounds = context_bounds(model, contexts, bos=words.bos, moved=share)
    exact = context_bounds(model, contexts, bos=words.bos)
    assert (bounds.lower < exact.lower).all()
    for seed in range(10):
        other = context_bounds(moved(model, share * 0.999, seed), contexts, bos=words.bos)
        assert (other.margin >= bounds.lower).all()
        assert (other.margin <= bounds.upper).all()


def test_a_wrong_model_has_no_radius(parity):
    model, contexts, words = parity
    target = contexts.target.copy()
    target[0] = (int(target[0]) + 1) % 2
    turned = contexts._replace(target=target)
    assert radius(model, turned, bos=words.bos) == 0
    assert attack(model, turned, bos=words.bos, pad=words.pad) < 1e-6


def test_every_weight_counts():
    # Bounds must grow with each group of weights: table, gains, projections, embedding.
    recipe = get_recipe("addition", "task.base=2", "model.width=16", "model.hidden=8")
    model = recipe.model.build()
    encoding = recipe.model.encoding
    found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    words, contexts, share = recipe.task.vocabulary, found.contexts, 1e-3
    bounds = context_bounds(model, contexts, bos=words.bos, moved=share)
    for name, _ in model.named_parameters():
        for sign in (1, -1):
            other = copy.deepcopy(model)
            other.get_parameter(name).data.mul_(1 + sign * share * 0.999)
            margin = context_bounds(other, contexts, bos=words.bos).margin
            assert (margin >= bounds.lower).all(), name
            assert (margin <= bounds.upper).all(), name
