"""Rounding bounds against float32 computations of many kinds: never exceeded, and not absurd."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from arithtf import _core
from arithtf.certify import check_contexts, check_task
from arithtf.certify.bounded import (
    FUNCTION,
    TINY,
    Bounded,
    add,
    gamma,
    known,
    linear,
    prepare,
    relu,
    rms_norm,
)
from arithtf.certify.rounding import _products, _Scores, _softmax, context_bounds
from arithtf.certify.sensitivity import Tail
from arithtf.encodings import T5, ALiBi, Disentangled, Encoding, NoPE, Shaw, Table
from arithtf.model import ModelConfig, Transformer, context_logits, local_inputs
from arithtf.model.blocks import Pass
from arithtf.tasks import Addition, Coupling, couplings

F32 = np.float32


def sum_in_some_order(terms, rng, how):
    """Sum of float32 terms [n], every addition rounded to float32."""
    terms = rng.permutation(terms).astype(F32)
    if how == "sequential":
        return np.add.accumulate(terms, dtype=F32)[-1]
    parts = np.array_split(terms, how)
    return np.add.accumulate([np.add.accumulate(p, dtype=F32)[-1] for p in parts], dtype=F32)[-1]


def known_up_to(value, generator, share):
    """A Bounded whose float32 version is anywhere within `share` of it, and such a version."""
    error = value.abs() * share + 1e-9
    moved = value + error * (2 * torch.rand(value.shape, generator=generator).double() - 1)
    rounded = moved.float().double()
    error = torch.maximum(error, (rounded - value).abs())
    zero = torch.zeros_like(error)
    return Bounded(value, error, error.norm(dim=-1, keepdim=True) * (1 + 1e-12), zero), rounded


def assert_inside(computed, result, value):
    """The computed vector is within the entries' bounds and the norm's."""
    difference = (torch.as_tensor(computed).double() - value).abs()
    assert (difference <= result.error).all()
    assert (difference.norm(dim=-1, keepdim=True) <= result.norm).all()


@pytest.mark.parametrize("how", ["sequential", 2, 4, 16])
@pytest.mark.parametrize("share", [0.0, 1e-5])
def test_linear_bounds_any_order_of_summation(how, share):
    generator, rng = torch.manual_seed(3), np.random.default_rng(3)
    for n in (1, 16, 64, 300):
        weight = torch.randn(8, n, generator=generator)
        x, rounded = known_up_to(torch.randn(n, generator=generator).double(), generator, share)
        result = linear(x, prepare(weight))
        terms = (weight.numpy() * rounded.float().numpy()).astype(F32)
        computed = np.array(
            [sum_in_some_order(row, rng, how) if n >= 16 else row.sum(dtype=F32) for row in terms]
        )
        assert_inside(computed, result, x.value @ weight.double().T)


def test_linear_bound_is_reached_within_two_orders_of_magnitude():
    """The worst case of summation: every addition rounds the same way."""
    n = 256
    terms = np.full(n, 1.0, F32)
    terms[1:] = F32(2.0**-24 * 0.999)  # each is lost against the 1
    weight, x = torch.from_numpy(terms)[None], known(torch.ones(n, dtype=torch.float64))
    result = linear(x, prepare(weight))
    lost = float(weight.double().sum()) - float(np.add.accumulate(terms, dtype=F32)[-1])
    assert 0.3 * float(result.error) < lost <= float(result.error)


@pytest.mark.parametrize("share", [0.0, 1e-6, 1e-3])
def test_norm_bounds_float32(share):
    generator = torch.manual_seed(1)
    for n in (1, 2, 64):
        value = torch.randn(500, n, generator=generator).double()
        value = value * 10.0 ** torch.randint(-6, 4, (500, 1), generator=generator)
        gain = torch.randn(n, generator=generator)
        x, rounded = known_up_to(value, generator, share)
        result = rms_norm(x, gain.double())
        exact = value / (value.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain.double()
        assert_inside(F.rms_norm(rounded.float(), (n,), gain, 1e-6), result, exact)
        r = rounded.float()
        assert_inside(r / (r * r).mean(-1, keepdim=True).add(1e-6).sqrt() * gain, result, exact)


def test_addition_and_relu_bound_float32():
    generator = torch.manual_seed(2)
    x, rx = known_up_to(torch.randn(1000, 4, generator=generator).double(), generator, 1e-3)
    y, ry = known_up_to(torch.randn(1000, 4, generator=generator).double(), generator, 1e-3)
    assert_inside(rx.float() + ry.float(), add(x, y), x.value + y.value)
    assert_inside(F.relu(rx.float()), relu(x), F.relu(x.value))


def test_addition_of_exact_numbers_rounds():
    """Without errors in what is added only the addition's own rounding is left."""
    generator = torch.manual_seed(8)
    x, y = (torch.randn(1000, 4, generator=generator) for _ in range(2))
    assert_inside(x + y, add(known(x.double()), known(y.double())), x.double() + y.double())


@pytest.mark.parametrize("share", [0.0, 1e-3])
def test_products_bound_float32(share):
    """Queries times keys, both with errors of their own, or both exact."""
    generator = torch.manual_seed(10)
    shapes = (2, 50, 64), (2, 64, 40)
    sides = []
    for shape in shapes:
        x = torch.randn(shape, generator=generator)
        bounds, rounded = known_up_to(x.double(), generator, share)
        error = bounds.error if share else torch.zeros_like(bounds.error)
        sides.append((_Scores(bounds.value, error), rounded.float() if share else x))
    (x, query), (y, key) = sides
    result = _products(x, y)
    for computed in (query @ key, (query[..., None] * key[:, None]).sum(2)):
        assert ((computed.double() - x.value @ y.value).abs() <= result.error).all()
    assert result.error.max() < (0.5 if share else 1e-3)


def softmax_float32(scores, how):
    """Softmax [N, W] in float32 by different algorithms."""
    if how == "plain":
        return scores.softmax(-1)
    if how == "exp2":
        log2e = F32(1.4426950408889634)
        z = torch.exp2(scores * log2e - (scores * log2e).amax(-1, keepdim=True))
        return z / z.sum(-1, keepdim=True)
    top = torch.full_like(scores[:, :1], -math.inf)  # running maximum, rescaled at every key
    total, kept = torch.zeros_like(top), torch.zeros_like(scores)
    for j in range(scores.shape[1]):
        higher = torch.maximum(top, scores[:, j : j + 1])
        shrink = (top - higher).exp()
        total, kept = total * shrink, kept * shrink
        kept[:, j : j + 1] = (scores[:, j : j + 1] - higher).exp()
        total = total + kept[:, j : j + 1]
        top = higher
    return kept * (1 / total)


@pytest.mark.parametrize("how", ["plain", "exp2", "online"])
@pytest.mark.parametrize("size", [0.1, 5.0, 40.0, 150.0])
def test_softmax_bounds_every_algorithm(how, size):
    generator = torch.manual_seed(4)
    value = (torch.randn(400, 7, generator=generator) * size).double()
    error = torch.rand(value.shape, generator=generator).double() * 1e-4
    moved = value + error * (2 * torch.rand(value.shape, generator=generator) - 1)
    rounded = moved.float()
    error = torch.maximum(error, (rounded.double() - value).abs())
    seen = torch.ones_like(value, dtype=torch.bool)
    result = _softmax(_Scores(value, error), seen)
    exact = value.softmax(-1)
    assert torch.allclose(result.value, exact, rtol=1e-12, atol=0)
    assert ((softmax_float32(rounded, how).double() - exact).abs() <= result.error).all()


@pytest.mark.parametrize("how", ["plain", "exp2", "online"])
@pytest.mark.parametrize("common", [0.0, 3000.0])
def test_softmax_of_exact_scores(how, common):
    """Only softmax's own rounding is left; a common part of scores rounds with them."""
    scores = torch.randn(400, 7, generator=torch.manual_seed(9)) * 5 + common
    exact = scores.double().softmax(-1)
    none = torch.zeros_like(exact)
    result = _softmax(_Scores(scores.double(), none), none == 0)
    assert ((softmax_float32(scores, how).double() - exact).abs() <= result.error).all()


def test_functions_are_as_accurate_as_the_bounds_assume():
    x = -torch.rand(2_000_000, generator=torch.manual_seed(5)) * 87
    x[:1000] = -torch.linspace(0, 1e-3, 1000)
    exact = x.double().exp()
    core = torch.from_numpy(_core.exp_nonpositive(x.numpy().copy()))
    y = torch.rand(2_000_000, generator=torch.manual_seed(6)) * 1e4 + 1e-6
    counts = torch.arange(2, 100_000)
    for computed, value in [
        (x.exp(), exact),
        (core, exact),
        (y.rsqrt(), y.double().rsqrt()),
        (1 / y.sqrt(), y.double().rsqrt()),
        (counts.float().log(), counts.double().log()),
    ]:
        error = (computed.double() - value).abs()
        assert (error <= FUNCTION * value + TINY).all()
        assert (error > 0.2 * 2.0**-24 * value).any()


def two_levels(task):
    one, two = couplings.columns(task).levels[0], couplings.operand_columns(task).levels[0]
    return Coupling("two", (one, two))


MODELS = {
    "table": dict(mechanism=Table(reach=1), windows=((1, 0),), sinks=1),
    "none": dict(mechanism=NoPE(), windows=((2, 0),), sinks=1),
    "no sink": dict(mechanism=Table(reach=1), windows=((1, 0),), sinks=0),
    "alibi": dict(mechanism=ALiBi(), windows=((1, 1),), sinks=1),
    "t5": dict(mechanism=T5(), windows=((1, 0),), sinks=1),
    "shaw": dict(mechanism=Shaw(reach=1), windows=((1, 0),), sinks=1),
    "disentangled": dict(mechanism=Disentangled(reach=1), windows=((1, 1),), sinks=1),
    "head scale": dict(mechanism=Table(), windows=((1, 0),), sinks=1, logit_scale="head"),
    "log scale": dict(mechanism=Table(), windows=((1, 0),), sinks=1, logit_scale="log"),
    "two levels": dict(mechanism=Table(), windows=((1, 0), (1, 1)), sinks=1),
}
CPU = ("table", "none", "no sink", "alibi", "head scale", "log scale", "two levels")


def build(name, blocks=("attention", "mlp"), seed=0):
    task = Addition(base=3)
    encoding = Encoding(**MODELS[name])
    levels = len(encoding.windows)
    coupling = two_levels(task) if levels == 2 else couplings.columns(task)
    config = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=levels,
        width=24,
        heads=2,
        hidden=40,
        blocks=blocks,
        encoding=encoding,
    )
    model = Transformer(config, seed=seed).eval()
    with torch.no_grad():  # parameters that start at 0 or 1 must take part
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    found = check_task(task, coupling, encoding.windows, sinks=encoding.sinks)
    return model, task, found.contexts


def run_permuted(model, task, contexts, impl, seed):
    """Logits [N, V] with the visible keys in another order, in batches of another size."""
    generator = torch.Generator().manual_seed(seed)
    sinks = model.config.encoding.sinks
    tokens, query_ids, key_ids = local_inputs(
        contexts,
        levels=model.config.levels,
        sinks=sinks,
        bos=task.vocabulary.bos,
        pad=task.vocabulary.pad,
    )
    last = tokens.shape[1] - 1
    order = torch.cat(
        [
            torch.arange(sinks),
            sinks + torch.randperm(last - sinks, generator=generator),
            torch.tensor([last]),
        ]
    )
    size = int(torch.randint(1, 60, (1,), generator=generator))
    with torch.no_grad():
        parts = [
            model(
                tokens[i : i + size, order],
                query_ids,
                key_ids[i : i + size, :, order],
                start=last,
                stop=last + 1,
                impl=impl,
            )[:, 0]
            for i in range(0, len(tokens), size)
        ]
    return torch.cat(parts)


@pytest.mark.parametrize("name", MODELS)
def test_no_float32_run_exceeds_its_bound(name):
    model, task, contexts = build(name)
    bounds = context_bounds(model, contexts, bos=task.vocabulary.bos, chunk=100)
    target = torch.from_numpy(contexts.target.astype(np.int64))
    runs = [(impl, seed) for impl in ("reference", "cpu") for seed in range(3)]
    worst = 0.0
    for impl, seed in runs:
        if impl == "cpu" and name not in CPU:
            continue
        logits = run_permuted(model, task, contexts, impl, seed).double()
        share = (logits - bounds.logits).abs() / bounds.error
        right = logits.gather(1, target[:, None])
        others = logits.scatter(1, target[:, None], -math.inf).amax(1)
        margin = right[:, 0] - others
        assert ((margin >= bounds.lower) & (margin <= bounds.upper)).all()
        assert share.max() <= 1
        worst = max(worst, float(share.max()))
    assert worst > 1e-6  # a bound a million times too large would say nothing
    assert (bounds.lower <= bounds.margin).all()
    assert bounds.error.max() < 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("blocks", [("attention",), ("mlp", "attention", "mlp", "mlp")])
def test_exact_values_are_those_of_the_model_in_float64(name, blocks):
    model, task, contexts = build(name, blocks, seed=1)
    bounds = context_bounds(model, contexts, bos=task.vocabulary.bos)
    double = copy.deepcopy(model).double()
    vocabulary = task.vocabulary
    logits = context_logits(
        double, contexts, bos=vocabulary.bos, pad=vocabulary.pad, impl="reference"
    )
    assert (logits - bounds.logits).abs().max() < 1e-11
    target = torch.from_numpy(contexts.target.astype(np.int64))[:, None]
    margin = logits.gather(1, target)[:, 0] - logits.scatter(1, target, -math.inf).amax(1)
    assert (margin - bounds.margin).abs().max() < 1e-11


def test_threads_change_nothing_beyond_the_bound(tiny):
    bounds = context_bounds(tiny.model, tiny.contexts, bos=tiny.task.vocabulary.bos)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            for impl in ("reference", "cpu"):
                logits = run_permuted(tiny.model, tiny.task, tiny.contexts, impl, threads)
                assert ((logits.double() - bounds.logits).abs() <= bounds.error).all()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["blocks.0.value", "blocks.1.up", "unembedding"])
def test_short_products_exceed_the_bound(tiny, name):
    """A matrix product whose inputs are cut to the 4 bits of an 8-bit float."""
    model = copy.deepcopy(tiny.model)

    def shorten(module, args):
        return (args[0].to(torch.float8_e4m3fn).float(),)

    hook = model.get_submodule(name).register_forward_pre_hook(shorten)
    checked = check_contexts(model, tiny.contexts, tiny.task.vocabulary, ("reference",))
    hook.remove()
    sound = check_contexts(model, tiny.contexts, tiny.task.vocabulary, ("reference",))
    assert checked.deviation > 1 >= sound.deviation > 0


@pytest.mark.parametrize("worse", ["lower", "upper"])
def test_bounds_of_margins_are_nearly_reached_by_errors_in_the_stream(worse):
    """The worst stream within its bounds, by the gradient of the margin, in float64."""
    single, _, _ = build("none")
    model = copy.deepcopy(single).double()
    mlp = model.blocks[1]
    generator = torch.manual_seed(11)
    value = torch.randn(300, model.config.width, generator=generator).double()
    target = torch.randint(0, model.config.vocabulary, (300,), generator=generator)
    error = value.abs() * 1e-4  # far more than float32's own, too little for most ReLUs
    norm = error.norm(dim=-1, keepdim=True) * (1 + 1e-12)
    stream = Bounded(value, error, norm, torch.zeros_like(error))
    _, margin, lower, upper = Tail(single, [single.blocks[1]]).margins(stream, target)

    def margin_of(x):
        x = mlp(x, Pass(torch.empty(0), torch.empty(0)))
        logits = model.unembedding(model.norm(x))
        others = logits.scatter(1, target[:, None], -math.inf)
        return logits.gather(1, target[:, None])[:, 0] - others.amax(1)

    x = value.clone().requires_grad_()
    (slope,) = torch.autograd.grad(margin_of(x).sum(), x)
    side = -1 if worse == "lower" else 1
    with torch.no_grad():
        reached = margin_of(value + side * slope.sign() * error)
    assert ((lower <= reached) & (reached <= upper)).all()
    bound = margin - lower if worse == "lower" else upper - margin
    assert ((reached - margin).abs() > 0.5 * bound).double().mean() > 0.9


def test_sensitivities_give_smaller_bounds_than_forward_errors(tiny):
    bounds = context_bounds(tiny.model, tiny.contexts, bos=tiny.task.vocabulary.bos)
    target = torch.from_numpy(tiny.contexts.target.astype(np.int64))[:, None]
    forward = bounds.error.gather(1, target)[:, 0] + bounds.error.amin(1)
    assert ((bounds.margin - bounds.lower) <= 2.1 * forward).all()
    assert ((bounds.margin - bounds.lower) < 0.5 * forward).any()


def test_weights_too_large_for_float32_have_no_bound(tiny):
    model = copy.deepcopy(tiny.model)
    with torch.no_grad():
        model.blocks[1].up.weight.mul_(1e30)
        model.blocks[1].down.weight.mul_(1e8)
    bounds = context_bounds(model, tiny.contexts, bos=tiny.task.vocabulary.bos)
    assert not (bounds.lower > 0).any()


def test_gamma():
    assert gamma(0) == 0
    assert gamma(1) == pytest.approx(2.0**-24, rel=1e-6)
    assert gamma(100) > 100 * 2.0**-24
