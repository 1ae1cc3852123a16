"""The radius: no move within it breaks a model, the attack's move does."""

import copy
import json
from dataclasses import replace

import pytest
import torch

from arithtf.certify import check_task
from arithtf.certify.bounded import known, linear, prepare, rms_norm
from arithtf.certify.radius import attack, radius
from arithtf.certify.rounding import _Evaluation, _Scores, context_bounds
from arithtf.cli import main
from arithtf.encodings import T5, Disentangled, Shaw, Table
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


SHARE = 1e-3


def test_a_moved_matrix_moves_a_product_by_its_share_of_all_terms():
    """The worst move is against every sign, and the bound is no larger than that and rounding."""
    draw = torch.Generator().manual_seed(0)
    x, matrix = (torch.randn(n, 16, generator=draw) for n in (5, 7))
    found = linear(known(x.double()), prepare(matrix, SHARE))
    worst = SHARE * x.double().abs() @ matrix.double().abs().T
    assert (found.error >= worst).all()
    assert (found.error <= 1.01 * worst).all()


def test_a_moved_gain_moves_a_norm_by_its_share():
    draw = torch.Generator().manual_seed(0)
    x, gain = torch.randn(5, 16, generator=draw).double(), torch.randn(16, generator=draw).double()
    found = rms_norm(known(x), gain, SHARE)
    assert (found.error >= SHARE * found.value.abs()).all()
    assert (found.error <= 1.05 * SHARE * found.value.abs() + 1e-9).all()


def test_given_values_move_by_their_share():
    x = torch.tensor([[1.0, -2.0, 0.0]]).double()
    found = known(x, SHARE)
    assert (found.error >= SHARE * x.abs()).all()
    assert (found.norm >= SHARE * x.norm()).all()


@pytest.mark.parametrize("mechanism", [Table(reach=1), T5(buckets=4, max_distance=4)])
def test_a_moved_bias_moves_scores(mechanism):
    """With queries of 0 nothing but the bias is left of a score."""
    recipe = get_recipe("addition", "task.base=2", "model.width=16", "model.hidden=8")
    encoding = replace(recipe.model.encoding, mechanism=mechanism)
    model = replace(recipe.model, encoding=encoding).build()
    with torch.no_grad():
        model.blocks[0].query.weight.zero_()
        model.blocks[0].mechanism.table.uniform_(1, 2)
    found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    evaluation = _Evaluation(model, found.contexts, recipe.task.vocabulary.bos, SHARE)
    query = torch.from_numpy(found.contexts.query_token.astype("int64"))
    relation, token, filled = evaluation._columns(0, len(query))
    score = evaluation._scores(query, relation, token, filled.expand(4, -1, -1))
    bias = evaluation.bias_HR[:, relation]
    assert bias.any()
    assert (score.error >= SHARE * bias.abs()).all()


@pytest.mark.parametrize("mechanism", [Shaw(reach=1), Disentangled(reach=1)])
def test_moved_vectors_of_a_mechanism_move_scores(mechanism):
    """Of queries and keys that are exact, all that is left is what the vectors add."""
    recipe = get_recipe("addition", "task.base=2", "model.width=16", "model.hidden=8")
    encoding = replace(recipe.model.encoding, mechanism=mechanism)
    model = replace(recipe.model, encoding=encoding).build()
    found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    evaluation = _Evaluation(model, found.contexts, recipe.task.vocabulary.bos, SHARE)
    for name in ("query_HVD", "key_HVD"):
        values = getattr(evaluation, name).value
        setattr(evaluation, name, _Scores(values, torch.zeros_like(values)))
    made = model.blocks[0].mechanism()
    size = evaluation.query_HVD.value.shape[1]
    nothing = _Scores(*(torch.zeros(4, size, size, dtype=torch.float64) for _ in range(2)))
    added = evaluation._with_content(nothing, made, 1)
    vector = made.key_vectors.detach().double()[:, 2].abs()
    worst = (evaluation.query_HVD.value.abs() @ vector[:, :, None]).expand_as(added.value)
    assert (added.error >= SHARE * worst).all()
