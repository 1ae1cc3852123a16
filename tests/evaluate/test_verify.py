"""One pass says what a slow loop says, in any chunks, and what greedy decoding does."""

import sys

import numpy as np
import pytest
import torch

from arithtf.encodings import FIRE, ALiBi, Encoding, Learned, NoPE, RoPE, Shaw, Table
from arithtf.evaluate import verify, verify_operands
from arithtf.model import ModelConfig, Transformer
from arithtf.tasks import (
    IGNORE,
    NO_ID,
    Addition,
    Address,
    Batch,
    Coupling,
    Draw,
    Operands,
    couplings,
)

NAMES = ("trained", "damaged", "broken", "random")


def naive(model, batch):
    """(exact, tokens, wrong, first wrong, margin) of every row, token by token."""
    with torch.no_grad():
        arrays = (batch.tokens, batch.query_ids, batch.key_ids)
        logits = model(*map(torch.from_numpy, arrays), impl="reference").numpy()
    rows = []
    for row, targets in enumerate(batch.targets):
        places, margins = [], []
        columns = [c for c in range(len(targets)) if targets[c] != IGNORE]
        for column in columns:
            scores = logits[row, column].tolist()
            right = scores.pop(targets[column])
            margins.append(right - max(scores))
            if np.argmax(logits[row, column]) != targets[column]:
                places.append(column - batch.start)
        first = places[0] if places else -1
        rows.append((not places, len(columns), len(places), first, min(margins)))
    return rows


def check(verdict, expected):
    columns = list(zip(*expected, strict=True))
    for name, column in zip(("exact", "tokens", "wrong", "first_wrong"), columns, strict=False):
        assert getattr(verdict, name).tolist() == list(column), name
    np.testing.assert_allclose(verdict.margin, columns[-1], atol=2e-4)


def problems(recipe, lengths, size, kind="uniform", seed=3):
    return recipe.task.operands(Address(seed, "all", 0), Draw(lengths, size, kind))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunk", [None, 1, 7, 64, 10_000])
def test_verdicts_are_those_of_a_loop(trained, models, name, chunk):
    recipe = trained[1]
    batch = Batch.of(recipe.task.instances(problems(recipe, (1, 40), 6)), recipe.coupling)
    check(verify(models[name], batch, chunk=chunk), naive(models[name], batch))


def test_the_models_differ(trained, models):
    recipe = trained[1]
    operands = problems(recipe, (30, 30), 200)
    shares = [verify_operands(models[n], recipe.task, recipe.coupling, operands) for n in NAMES]
    exact = [verdict.exact.mean() for verdict in shares]
    assert exact[0] == 1
    assert exact[-1] == 0
    assert any(0 < verdict.wrong.sum() < 0.5 * verdict.tokens.sum() for verdict in shares)


@pytest.mark.parametrize("name", NAMES)
def test_streaming_long_instances_changes_nothing(trained, models, name):
    recipe, model = trained[1], models[name]
    batch = Batch.of(recipe.task.instances(problems(recipe, (280, 320), 2)), recipe.coupling)
    expected = naive(model, batch)
    for chunk in (50, 333, 1024):
        for impl in ("cpu", "reference"):
            check(verify(model, batch, chunk=chunk, impl=impl), expected)


def random_batch(rng, levels, shared):
    """Tokens and ids without any order, some ids missing; targets here and there."""
    rows, columns, start = 3, 90, 20
    shape = (1 if shared else rows, levels, columns)
    ids = [rng.integers(-15, 15, shape).astype(np.int32) for _ in range(2)]
    for array in ids:
        array[rng.random(shape) < 0.2] = NO_ID
    tokens = rng.integers(0, 15, (rows, columns)).astype(np.uint8)
    targets = rng.integers(0, 15, (rows, columns)).astype(np.uint8)
    targets[:, :start] = targets[:, -1] = IGNORE
    targets[rng.random(targets.shape) < 0.3] = IGNORE
    targets[:, start] = 3
    targets[1, 50:] = IGNORE
    return Batch(tokens, *ids, targets, start)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mechanism", [Table(), NoPE(), Shaw(), ALiBi(), FIRE(), RoPE()])
def test_streaming_takes_any_ids_levels_and_mechanisms(monkeypatch, seed, mechanism):
    monkeypatch.setattr(sys.modules["arithtf.evaluate.verify"], "BLOCK", 8)
    rng = np.random.default_rng(seed)
    levels = seed % 3 + 1
    windows = tuple((int(b), int(a)) for b, a in rng.integers(0, 4, (levels, 2)))
    encoding = Encoding(mechanism=mechanism, windows=windows, sinks=seed % 4)
    config = ModelConfig(vocabulary=15, levels=levels, width=32, hidden=32, encoding=encoding)
    batch = random_batch(rng, levels, shared=seed % 2 == 0)
    model = Transformer(config, seed=seed).eval()
    expected = naive(model, batch)
    for chunk in (1, 9, 30, None):
        check(verify(model, batch, chunk=chunk), expected)


@pytest.mark.parametrize(
    ("encoding", "blocks"),
    [
        (Encoding(embedding=Learned(max_position=200)), ("attention", "mlp")),
        (Encoding(mechanism=RoPE()), ("attention", "mlp", "attention", "mlp")),
        (Encoding(mechanism=Table(), windows=((1, 0),)), ("attention", "attention", "mlp")),
    ],
)
def test_models_that_cannot_be_streamed_are_verified_whole(encoding, blocks):
    task = Addition()
    coupling = couplings.index(task)
    config = ModelConfig(vocabulary=15, width=32, hidden=32, blocks=blocks, encoding=encoding)
    model = Transformer(config, seed=1).eval()
    operands = Operands.from_ints([(123, 45), (9, 9), (10**20, 1), (10**40 - 1, 7)])
    batch = Batch.of(task.instances(operands), coupling)
    check(verify(model, batch, chunk=5), naive(model, batch))
    check(
        verify_operands(model, task, coupling, operands),
        [
            naive(model, Batch.of(task.instances(operands.select([i])), coupling))[0]
            for i in range(4)
        ],
    )


def test_what_does_not_fit_into_memory_is_refused_with_the_reason():
    task = Addition()
    encoding = Encoding(mechanism=RoPE())
    model = Transformer(ModelConfig(vocabulary=15, encoding=encoding)).eval()
    operands = Operands.from_digits([(np.full(30_000, 9), np.ones(1))])
    with pytest.raises(ValueError, match=r"GiB.*shorter operands"):
        verify_operands(model, task, couplings.index(task), operands)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["uniform", "complement_plus"])
def test_one_pass_says_what_greedy_decoding_does(trained, models, tools, name, kind):
    recipe, model, eos = trained[1], models[name], trained[1].task.vocabulary.eos
    operands = problems(recipe, (1, 25), 40, kind, seed=9)
    verdict = verify_operands(model, recipe.task, recipe.coupling, operands)
    batch = Batch.of(recipe.task.instances(operands, solved=False), recipe.coupling)
    written = tools.recompute(model, batch, eos).tolist()
    for i, truth in enumerate(recipe.task.answer(operands)):
        wanted = [*truth.tolist(), eos]
        places = [p for p, token in enumerate(wanted) if written[i][p] != token]
        assert verdict.exact[i] == (not places)
        assert verdict.first_wrong[i] == (places[0] if places else -1)


def test_order_of_problems_is_kept(trained, models):
    recipe, model = trained[1], models["broken"]
    lengths = [500, 3, 80, 1, 500, 12, 2000]
    rng = np.random.default_rng(1)
    operands = Operands.from_digits(
        [(rng.integers(1, 10, n), rng.integers(1, 10, 3)) for n in lengths]
    )
    verdict = verify_operands(model, recipe.task, recipe.coupling, operands)
    alone = [
        verify_operands(model, recipe.task, recipe.coupling, operands.select([i]))
        for i in range(len(lengths))
    ]
    for name in ("exact", "tokens", "wrong", "first_wrong"):
        assert getattr(verdict, name).tolist() == [getattr(v, name)[0] for v in alone]
    assert verdict.tokens[0] in (501, 502)
    assert verdict.tokens[3] < 7


def test_a_single_planted_fault_is_found(trained):
    recipe, model = trained[1], trained[0]
    n = 20_000
    batch = Batch.of(
        recipe.task.instances(Operands.from_digits([(np.full(n, 9), np.ones(1))])), recipe.coupling
    )
    assert verify(model, batch).exact.all()
    for place in (0, 4095, 4096, 12_345, n, n + 1):
        targets = batch.targets.copy()
        targets[0, batch.start + place] = (targets[0, batch.start + place] + 1) % 10
        verdict = verify(model, batch._replace(targets=targets))
        assert (verdict.wrong[0], verdict.first_wrong[0]) == (1, place)
        assert verdict.margin[0] < 0


def test_nan_is_never_right(trained, tools):
    recipe = trained[1]
    model = tools.damage(trained[0], 0.0)
    with torch.no_grad():
        model.unembedding.weight[4] = torch.nan
    batch = Batch.of(recipe.task.instances(problems(recipe, (5, 5), 4)), recipe.coupling)
    verdict = verify(model, batch)
    assert not verdict.exact.any()
    assert verdict.wrong.tolist() == verdict.tokens.tolist()


def test_misuse_is_named(trained):
    model, recipe = trained
    batch = Batch.of(recipe.task.instances(problems(recipe, (5, 5), 4)), recipe.coupling)
    with pytest.raises(ValueError, match="chunk >= 1"):
        verify(model, batch, chunk=0)
    with pytest.raises(ValueError, match="at least one problem"):
        verify_operands(model, recipe.task, recipe.coupling, Operands.from_ints([]))


def test_a_coupling_with_two_levels_streams():
    task = Addition()
    levels = (couplings.columns(task).levels[0], couplings.index(task).levels[0])
    coupling = Coupling("both", levels)
    encoding = Encoding(mechanism=Table(), windows=((1, 0), (1, 0)), sinks=1)
    model = Transformer(ModelConfig(vocabulary=15, levels=2, encoding=encoding), seed=2).eval()
    operands = Operands.from_digits([(np.arange(300) % 9 + 1, np.arange(280) % 9 + 1)])
    batch = Batch.of(task.instances(operands), coupling)
    check(verify(model, batch, chunk=40), naive(model, batch))
