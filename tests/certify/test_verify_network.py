"""The second path's margins and bounds against the model itself and the first path."""

import copy

import numpy as np
import pytest
import torch

from arithtf.certify import check_task
from arithtf.certify.rounding import context_bounds
from arithtf.certify.verify.contexts import Contexts
from arithtf.certify.verify.network import _bucket, margins
from arithtf.encodings import T5, ALiBi, Disentangled, NoPE, Shaw, Table
from arithtf.model import Transformer, context_logits
from arithtf.plain import to_plain


def as_contexts(found):
    """The core's contexts in the second path's form, in the same order."""
    visible = np.diff(found.offsets)
    seen = np.full((len(visible), max(visible), 3), -1, np.int64)
    for i, count in enumerate(visible):
        seen[i, :count] = found.entries(i)
    return Contexts(found.query_token.astype(np.int64), found.target.astype(np.int64), seen)


def both(recipe, model):
    """Margins of both paths, and the float32 ones of the model's forward."""
    encoding = recipe.model.encoding
    found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    weights = {n: w.detach().double().numpy() for n, w in model.state_dict().items()}
    bos, pad = recipe.task.vocabulary.bos, recipe.task.vocabulary.pad
    second = margins(to_plain(recipe.model), weights, as_contexts(found.contexts), bos)
    first = context_bounds(model, found.contexts, bos=bos)
    logits = context_logits(model, found.contexts, bos=bos, pad=pad, impl="reference").double()
    right = torch.from_numpy(found.contexts.target.astype(np.int64))[:, None]
    others = logits.scatter(1, right, -torch.inf).amax(1)
    return second, first, (logits.gather(1, right)[:, 0] - others).numpy()


@pytest.mark.parametrize(
    "changes",
    [
        dict(mechanism=NoPE()),
        dict(mechanism=Table(reach=1)),
        dict(mechanism=Shaw()),
        dict(mechanism=Disentangled(reach=1)),
        dict(mechanism=ALiBi()),
        dict(mechanism=ALiBi(learned=True)),
        dict(mechanism=T5()),
        dict(mechanism=T5(buckets=4, max_distance=2, bidirectional=True)),
        dict(logit_scale="head"),
        dict(logit_scale="log"),
        dict(sinks=0),
        dict(blocks=("mlp", "attention", "mlp", "mlp")),
        dict(format="padded"),
        dict(windows=((2, 1),)),
    ],
)
def test_margins_agree_and_bounds_hold_for_every_kind_of_model(tiny, changes):
    recipe = tiny.make(width=16, base=2, **changes)
    model = Transformer(recipe.model, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(0)) * 0.1)
    second, first, rounded = both(recipe, model)
    np.testing.assert_allclose(second.exact, first.margin, atol=1e-9)
    assert (second.lower < second.exact).all()
    assert (np.abs(rounded - second.exact) < second.exact - second.lower).all()
    assert np.median(second.exact - second.lower) < 0.1


def test_bounds_of_a_trained_model_are_those_of_the_first_path_or_larger(tiny):
    second, first, _ = both(tiny.recipe, tiny.model)
    assert (second.lower <= first.lower.numpy()).mean() > 0.9
    assert (second.lower > 0).all()


def test_bounds_hold_for_every_order_of_sums(tiny):
    """Hidden units and channels permuted, so that float32 sums are added in other orders."""
    second, _, _ = both(tiny.recipe, tiny.model)
    for seed in range(20):
        model = copy.deepcopy(tiny.model)
        order = torch.randperm(2 * 48, generator=torch.manual_seed(seed))
        block = model.blocks[1]
        block.up.weight.data = block.up.weight.data[order]
        block.down.weight.data = block.down.weight.data[:, order].contiguous()
        other, _, rounded = both(tiny.recipe, model)
        np.testing.assert_allclose(other.exact, second.exact, atol=1e-9)
        assert (np.abs(rounded - second.exact) < second.exact - second.lower).all()


def test_weights_beyond_float32_have_no_bound(tiny):
    model = copy.deepcopy(tiny.model)
    model.blocks[1].up.weight.data *= 1e36
    second, _, _ = both(tiny.recipe, model)
    assert (second.lower == -np.inf).all()


@pytest.mark.parametrize("spec", [T5(), T5(buckets=9, max_distance=11), T5(bidirectional=True)])
def test_buckets(spec):
    mechanism = spec.mechanism(spec.initial(1, 1, None))
    differences = torch.arange(-300, 300)
    sizes = spec.buckets, spec.max_distance, spec.bidirectional
    own = [_bucket(d, *sizes) for d in differences.tolist()]
    assert own == mechanism.buckets(differences).tolist()
