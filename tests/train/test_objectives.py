"""Objectives against loops in float64, and what a step measures of factors and iterations."""

import json
import math
from dataclasses import replace

import pytest
import torch

from arithtf.runs import load_recipe
from arithtf.train import train
from arithtf.train.metrics import measure
from arithtf.train.objectives import next_token, per_factor, per_iteration, predicted

MODEL = torch.nn.Identity()


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets_of(*shape, below, seed=1):
    """Targets of which about a third is not asked for; the first is."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(below, shape, generator=generator, dtype=torch.uint8)
    targets[torch.rand(*shape, generator=generator) < 0.3] = 255
    targets.view(-1)[0] = 0
    return targets


def by_hand(logits, targets):
    """Mean cross-entropy of [B, Q, V] at the targets [B, Q] that are asked for, one at a time."""
    losses = []
    for scores, target in zip(
        logits.flatten(0, 1).tolist(), targets.flatten().tolist(), strict=True
    ):
        if target != 255:
            losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[target])
    return sum(losses) / len(losses)


def test_next_token():
    logits, targets = drawn(3, 5, 7), targets_of(3, 5, below=7)
    assert next_token(logits, targets, MODEL).item() == pytest.approx(by_hand(logits, targets))
    wide = targets.to(torch.int32).where(targets != 255, 65535).to(torch.uint16)
    assert next_token(logits, wide, MODEL) == next_token(logits, targets, MODEL)


def test_per_factor_is_the_sum_and_factors_may_have_vocabularies_of_their_own():
    logits = [drawn(3, 5, 7), drawn(3, 5, 4, seed=2)]
    targets = torch.stack([targets_of(3, 5, below=7), targets_of(3, 5, below=4, seed=3)], -1)
    expected = sum(by_hand(part, targets[..., f]) for f, part in enumerate(logits))
    assert per_factor(logits, targets, MODEL).item() == pytest.approx(expected)


def test_per_iteration_is_the_mean_of_tokens_and_of_factors():
    logits, targets = drawn(4, 3, 5, 7), targets_of(3, 5, below=7)
    expected = sum(by_hand(step, targets) for step in logits) / 4
    assert per_iteration(logits, targets, MODEL).item() == pytest.approx(expected)
    factors, both = [logits, drawn(4, 3, 5, 2)], torch.stack([targets, targets.clamp(max=255)], -1)
    both[..., 1] = torch.where(both[..., 1] == 255, 255, both[..., 1] % 2)
    expected = (
        sum(
            by_hand(factors[0][i], both[..., 0]) + by_hand(factors[1][i], both[..., 1])
            for i in range(4)
        )
        / 4
    )
    assert per_iteration(factors, both, MODEL).item() == pytest.approx(expected)


def test_what_does_not_fit_says_which_objective_does():
    logits, targets = drawn(3, 5, 7), targets_of(3, 5, below=7)
    with pytest.raises(TypeError, match="got one tensor; train with objective='next-token'"):
        per_factor(logits, targets, MODEL)
    with pytest.raises(TypeError, match=r"got 2, .*objective='per-factor'"):
        next_token([logits, logits], targets, MODEL)


def test_the_prediction_of_factors_and_iterations_is_the_last():
    logits, targets = drawn(4, 3, 5, 7), targets_of(3, 5, below=7)
    assert torch.equal(predicted(logits, targets), logits[-1].argmax(-1))
    assert torch.equal(predicted(logits[0], targets), logits[0].argmax(-1))
    both = torch.stack([targets, targets], -1)
    found = predicted([logits, logits[:, :, :, :2]], both)
    assert torch.equal(found[..., 0], logits[-1].argmax(-1))
    assert torch.equal(found[..., 1], logits[-1, :, :, :2].argmax(-1))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_an_instance_of_factors_is_exact_only_if_all_of_them_are(dtype):
    ignore = torch.iinfo(dtype).max
    targets = torch.tensor([[[1, 0], [0, ignore]], [[1, 1], [0, 0]]], dtype=dtype)
    right = torch.eye(2)[torch.where(targets == ignore, 0, targets.long())] * 9
    factors = [right[:, :, 0].clone(), right[:, :, 1].clone()]
    factors[1][1, 0] = factors[1][1, 0].flip(-1)  # one wrong factor of seven asked for
    zero = torch.tensor(0.0)
    found = measure(3, factors, targets, zero, zero, 0.5)
    assert found.accuracy == pytest.approx(6 / 7)
    assert found.exact == 0.5
    assert (found.step, found.rate) == (3, 0.5)


OUTSIDE = """
from arithtf.train.objectives import next_token


def doubled(logits, targets, model):
    assert model.num_parameters() > 0
    return 2 * next_token(logits, targets, model)


def halved(recipe, step):
    return 0.5
"""


def test_an_unknown_name_is_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(ValueError, match=r"no objective is named 'mse'; .*next-token"):
        train(replace(tiny, objective="mse"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_objective_and_schedule_from_a_file(tiny, tmp_path, monkeypatch, contents):
    (tmp_path / "mine.py").write_text(OUTSIDE)
    monkeypatch.chdir(tmp_path)
    every = replace(tiny, log_every=1)
    own = replace(every, objective="mine.py:doubled", schedule="mine.py:halved")
    heard = {}
    for name, recipe in (("usual", every), ("own", own)):
        heard[name] = []
        train(recipe, tmp_path / name, progress=heard[name].append)
    assert heard["own"][0].loss == 2 * heard["usual"][0].loss
    assert heard["own"][-1].rate == 0.5 * tiny.learning_rate
    # The run says where they came from, and is resumed and read from any folder.
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    assert (config["objective"], config["schedule"]) == ("mine.py:doubled", "mine.py:halved")
    assert config["sources"]["mine.py"]["path"] == str(tmp_path / "mine.py")
    monkeypatch.chdir("/")
    assert load_recipe(tmp_path / "own") == own
    before = contents(tmp_path / "own")
    train(own, tmp_path / "own", resume=True)
    assert contents(tmp_path / "own") == before
