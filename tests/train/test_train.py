"""The training loop: determinism, progress, refusals."""

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import RunError, load_model, load_recipe, read_lines, weights_hash
from arithtf.tasks import IGNORE, Address, Batch, Draw
from arithtf.train import batches, train


@pytest.mark.parametrize("count", [1, 2])
def test_same_recipe_gives_the_same_bytes(tiny, tmp_path, contents, threads, count):
    # Wide enough that torch splits the work of a step between threads.
    wide = replace(tiny.model, width=64)
    recipe = replace(tiny, steps=3, batch=64, lengths=(1, 10), model=wide, threads=count)
    threads(3)
    train(recipe, tmp_path / "a", device="cpu")
    assert torch.get_num_threads() == 3
    threads(1)  # the recipe's number counts, not the one that happens to be set
    train(recipe, tmp_path / "b", device="cpu")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_global_random_state_has_no_influence(tiny):
    torch.manual_seed(1)
    first = weights_hash(train(tiny, device="cpu"))
    torch.manual_seed(2)
    np.random.default_rng(3)
    assert weights_hash(train(tiny, device="cpu")) == first


def test_other_seeds_differ(tiny):
    hashes = {weights_hash(train(replace(tiny, seed=seed), device="cpu")) for seed in range(3)}
    assert len(hashes) == 3


def test_seed_decides_both_weights_and_data(tiny):
    other = replace(tiny, seed=1)
    cpu = torch.device("cpu")
    here, there = (next(batches(recipe, 1, cpu))[0].tokens for recipe in (tiny, other))
    assert not torch.equal(here, there)
    before = train(replace(tiny, learning_rate=0.0), device="cpu")
    after = train(replace(other, learning_rate=0.0), device="cpu")
    assert not torch.equal(before.embedding.weight, after.embedding.weight)


def test_data_are_those_of_the_task_for_any_number_of_threads(tiny):
    recipe = replace(tiny, batch=300, lengths=(1, 30))
    for step, (got, _) in enumerate(batches(recipe, 3, torch.device("cpu")), start=3):
        for count in (1, 2, 5):
            want = Batch.of(
                recipe.task.sample(
                    Address(recipe.seed, "train", step),
                    Draw(recipe.lengths, recipe.batch),
                    threads=count,
                ),
                recipe.coupling,
            )
            assert np.array_equal(got[0], want.tokens)
            assert np.array_equal(got[1], want.query_ids)
            assert np.array_equal(got[2], want.key_ids)
            # Everything that is predicted, and nothing else, is in the columns a step computes.
            assert np.array_equal(got[3], want.targets[:, want.start : -1])
            assert (want.targets[:, : want.start] == IGNORE).all()
            assert (want.targets[:, -1] == IGNORE).all()
    assert step == recipe.steps


def test_no_step_is_taken_on_a_test_problem(tiny):
    recipe = replace(tiny, batch=64)
    tokens = [given.tokens.numpy() for given, _ in batches(recipe, 1, torch.device("cpu"))]
    for step, got in enumerate(tokens, start=1):
        operands = recipe.task.operands(
            Address(recipe.seed, "train", step), Draw(recipe.lengths, recipe.batch)
        )
        assert np.array_equal(
            Batch.of(recipe.task.instances(operands), recipe.coupling).tokens, got
        )
        assert not recipe.task.in_test_split(operands).any()


def test_schedule_is_the_one_used(tiny, tmp_path):
    """A rate of zero freezes the weights, and AdamW's first step is the rate in every weight."""
    frozen = train(replace(tiny, learning_rate=0.0), tmp_path / "frozen", device="cpu")
    one = replace(tiny, steps=1, warmup=4, learning_rate=0.4, clip=1e9)
    moved = train(one, tmp_path / "one", device="cpu")
    change = (moved.unembedding.weight - frozen.unembedding.weight).abs()
    assert change.max().item() == pytest.approx(0.1, rel=1e-3)
    rates = [row["rate"] for row in read_lines(tmp_path / "frozen" / "metrics.jsonl")]
    assert rates == [0.0] * 4


def test_loss_falls_and_metrics_say_so(tmp_path):
    recipe = replace(
        get_recipe("addition"), lengths=(1, 3), batch=64, steps=150, log_every=10, warmup=20
    )
    heard = []
    train(recipe, tmp_path, device="cpu", progress=heard.append)
    rows = read_lines(tmp_path / "metrics.jsonl")
    assert rows == [vars(metrics) for metrics in heard]
    assert [row["step"] for row in rows] == list(range(10, 151, 10))
    assert rows[0]["loss"] > 1.5
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"]
    assert rows[-1]["accuracy"] > 0.8 > rows[0]["accuracy"]
    assert rows[-1]["exact"] > rows[0]["exact"]
    assert all(row["gradient_norm"] > 0 for row in rows)


def test_metrics_against_a_loop(tiny, tmp_path):
    """Loss, accuracy and exact match of step 1, computed one answer token at a time."""
    recipe = replace(tiny, steps=1, log_every=1, learning_rate=0.0, batch=16)
    model = train(recipe, tmp_path, device="cpu")
    batch = Batch.of(
        recipe.task.sample(Address(0, "train", 1), Draw(recipe.lengths, 16)), recipe.coupling
    )
    inputs = (torch.from_numpy(array) for array in batch[:3])
    with torch.no_grad():
        logits = model(*inputs).double().numpy()
    losses, right, exact = [], [], []
    for i in range(16):
        columns = [t for t in range(batch.targets.shape[1]) if batch.targets[i, t] != IGNORE]
        for t in columns:
            shifted = np.exp(logits[i, t] - logits[i, t].max())
            losses.append(-math.log(shifted[batch.targets[i, t]] / shifted.sum()))
            right.append(logits[i, t].argmax() == batch.targets[i, t])
        exact.append(all(right[-len(columns) :]))
    (row,) = read_lines(tmp_path / "metrics.jsonl")
    assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert row["accuracy"] == pytest.approx(np.mean(right))
    assert row["exact"] == pytest.approx(np.mean(exact))


def test_trained_model_is_the_saved_one(tiny, tmp_path):
    model = train(tiny, tmp_path, device="cpu")
    assert not model.training
    loaded, recipe = load_model(tmp_path)
    assert recipe == tiny
    assert weights_hash(loaded) == weights_hash(model)
    assert weights_hash(train(tiny, device="cpu")) == weights_hash(model)


def test_config_is_read_back_as_the_same_recipe(tiny, tmp_path):
    train(tiny, tmp_path, device="cpu")
    assert load_recipe(tmp_path) == tiny
    assert Recipe.from_dict(json.loads((tmp_path / "config.json").read_text())) == tiny


def test_second_run_in_a_directory_is_refused(tiny, tmp_path, contents):
    train(tiny, tmp_path, device="cpu")
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"already holds a run.*--resume"):
        train(tiny, tmp_path, device="cpu")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 9}, {"learning_rate": 0.5}])
def test_resuming_another_recipe_is_refused(tiny, tmp_path, contents, change):
    train(tiny, tmp_path, device="cpu")
    before = contents(tmp_path)
    with pytest.raises(RunError, match="another recipe, seed or number of steps"):
        train(replace(tiny, **change), tmp_path, resume=True, device="cpu")
    assert contents(tmp_path) == before


def test_resuming_a_finished_run_changes_nothing(tiny, tmp_path, contents):
    model = train(tiny, tmp_path, device="cpu")
    before = contents(tmp_path)
    again = train(tiny, tmp_path, resume=True, device="cpu")
    assert contents(tmp_path) == before
    assert weights_hash(again) == weights_hash(model)


def test_dropout_resumes_to_the_same_bytes(tiny, tmp_path, contents):
    """Its masks are addressed by the step, so no generator's state is lost."""
    recipe = replace(tiny, model=replace(tiny.model, dropout=0.2))
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    def copy_at_six(metrics):  # the state is then that of step 4
        if metrics.step == 6:
            shutil.copytree(whole, cut)

    dropped = train(recipe, whole, device="cpu", progress=copy_at_six)
    train(recipe, cut, resume=True, device="cpu")
    assert contents(cut) == contents(whole)
    assert not torch.equal(dropped.embedding.weight, train(tiny).embedding.weight)


def test_resuming_an_empty_directory_starts(tiny, tmp_path, contents):
    train(tiny, tmp_path / "a", device="cpu")
    train(tiny, tmp_path / "b", resume=True, device="cpu")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
