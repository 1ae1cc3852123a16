"""The suites ask what they say, and count as Python's integers do."""

import json

import numpy as np
import pytest

from arithtf.encodings import ALiBi, Encoding
from arithtf.evaluate import Solver, evaluate, record, stress, verify_operands, wilson
from arithtf.evaluate.problems import (
    Part,
    carry_problems,
    carry_run,
    chains,
    grid_problems,
    ladder_lengths,
)
from arithtf.model import ModelConfig, Transformer
from arithtf.recipes import Recipe
from arithtf.runs import read_lines, weights_hash
from arithtf.tasks import Addition, Operands, couplings

TASK = Addition()


def slow_run(a, b):
    """Longest run of carrying columns, digit by digit."""
    carry, run, best = 0, 0, (0, 0)
    for column in range(len(str(max(a, b)))):
        carry = a // 10**column % 10 + b // 10**column % 10 + carry >= 10
        run = run + 1 if carry else 0
        if run > best[0]:
            best = (run, column - run + 1)
    return best


def number(digits):
    return int("".join(map(str, digits)))


def test_carry_runs_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    pairs = [
        tuple(int(x) for x in rng.integers(0, 10 ** rng.integers(1, 12, 2))) for _ in range(300)
    ]
    pairs += [(99999, 1), (0, 0), (5, 5), (12345, 87655), (10**30 - 1, 10**30 - 1)]
    operands = Operands.from_ints(pairs)
    for i, (a, b) in enumerate(pairs):
        assert carry_run(TASK, operands, i) == slow_run(a, b), (a, b)


@pytest.mark.parametrize("length", [1, 2, 7, 10, 100])
def test_the_carry_suite_has_the_chains_it_names(length):
    named = set()
    for kind, operands, chain, place in carry_problems(TASK, length, 0):
        runs = [carry_run(TASK, operands, i) for i in range(len(operands))]
        if kind == "chain":
            named.add((chain, place))
            for (a, b), run in zip(operands, runs, strict=True):
                carried = carries(number(a), number(b), length)
                assert all(carried[place : place + chain])
                assert run[0] >= chain
        else:
            assert (chain, place) == max(runs)
        assert max(len(a) for problem in operands for a in problem) == length
    assert named == set(chains(length))
    assert {(length, 0), (1, 0), (1, length - 1)} <= named


def carries(a, b, length):
    carry, found = 0, []
    for column in range(length):
        carry = a // 10**column % 10 + b // 10**column % 10 + carry >= 10
        found.append(carry)
    return found


def test_the_grid_has_every_pair_of_lengths():
    groups = list(grid_problems(Part(TASK, TASK), 250, 10**9, 0))
    cells = [cell for group in groups for cell in group]
    short = {(left, right) for left in range(1, 21) for right in range(1, 21)}
    long = {(a, b) for a in (1, 100, 250) for b in (1, 100, 250)} - {(1, 1)}
    assert sorted((c.left, c.right) for c in cells) == sorted(short | long)
    for cell in cells:
        for a, b in cell.problems:
            assert (len(a), len(b)) == (cell.left, cell.right)
            assert len(a) == 1 or (a[0] > 0)
    assert {
        (c.left, c.right) for c in next(iter(grid_problems(Part(TASK, TASK), 3, 10**9, 0)))
    } == {(left, right) for left in (1, 2, 3) for right in (1, 2, 3)}


def test_ladder_lengths():
    assert ladder_lengths(1000) == [10, 100, 1000]
    assert ladder_lengths(1) == [1]
    assert ladder_lengths(10) == [10]
    assert ladder_lengths(250) == [10, 100, 250]


def test_a_trained_model_passes_everything(trained):
    model, recipe = trained
    seen = []
    rows = stress(model, recipe, max_digits=100, progress=seen.append)
    assert rows == seen
    assert {row["suite"] for row in rows} == {"carry", "adversarial", "ladder", "grid", "tour"}
    for row in rows:
        assert row["exact"] == row["count"] > 0
        assert row["wrong_tokens"] == 0 < row["tokens"]
        assert row["first_wrong"] is None
        assert row["margin"] > 0
        assert row["grade"] == "stressed"
        assert row["weights"] == weights_hash(model)
    tour = rows[-1]
    assert tour["covered"] == tour["contexts"] > 1000
    assert {row["length"] for row in rows if row["suite"] == "carry"} == {10, 100}
    ladder = stress(model, recipe, "ladder", max_digits=10)
    assert {(row["suite"], row["left"], row["right"]) for row in ladder} == {
        ("ladder", 10, 10),
        ("ladder", 10, 1),
        ("ladder", 1, 10),
    }
    kinds = {row["distribution"] for row in ladder if (row["left"], row["right"]) == (10, 10)}
    assert kinds == {"nines", "random", "complements", "borrows"}


@pytest.mark.parametrize("name", ["damaged", "broken", "random"])
def test_errors_are_counted_as_python_counts_them(trained, models, name):
    model, recipe = models[name], trained[1]
    solver = Solver(model, recipe)
    rows = stress(model, recipe, "carry", max_digits=30, seed=5)
    expected = []
    for length in (10, 30):
        for _, operands, _, _ in carry_problems(recipe.task, length, 5):
            pairs = sorted({(number(a), number(b)) for a, b in operands})
            answers = solver.solve(f"{a}+{b}" for a, b in pairs)
            right = [x.text == str(a + b) for x, (a, b) in zip(answers, pairs, strict=True)]
            expected.append((len(right), sum(right)))
    assert [(row["count"], row["exact"]) for row in rows] == expected
    assert all((row["wrong_tokens"] == 0) == (row["exact"] == row["count"]) for row in rows)
    assert sum(row["exact"] < row["count"] for row in rows) > (0 if name != "damaged" else -1)


def test_sampled_rows(trained, models):
    recipe = trained[1]
    rows = evaluate(trained[0], recipe, lengths=(3, 20), count=150, seed=1)
    assert [(row["length"], row["count"], row["exact"]) for row in rows] == [
        (3, 150, 150),
        (20, 150, 150),
    ]
    for row in rows:
        assert row["grade"] == row["suite"] == "sampled"
        assert row["split"] == "test"
        assert (row["exact_low"], row["exact_high"]) == wilson(150, 150)
        assert row["accuracy"] == 1
    (row,) = evaluate(models["random"], recipe, lengths=(5,), count=50)
    assert row["exact"] == 0
    assert 0 < row["accuracy"] < 0.9
    assert row["accuracy_low"] < row["accuracy"]
    again = evaluate(trained[0], recipe, lengths=(3, 20), count=150, seed=1)
    for one, other in zip(rows, again, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }


def test_samples_are_problems_that_training_never_draws(trained, monkeypatch):
    sums = []

    def watched(model, task, coupling, operands):
        sums.extend([str(number(part)) for part in problem] for problem in operands)
        return verify_operands(model, task, coupling, operands)

    monkeypatch.setattr("arithtf.evaluate.score.verify_operands", watched)
    evaluate(*trained, lengths=(3, 12), count=40)
    assert len(sums) == 80
    assert TASK.in_test_split(Operands.from_text(sums)).all()


def test_large_samples_come_in_pieces(trained, monkeypatch):
    monkeypatch.setattr("arithtf.evaluate.sample.TOKENS", 300)
    (row,) = evaluate(*trained, lengths=(10,), count=25)
    assert (row["count"], row["exact"]) == (25, 25)


def test_rows_are_recorded(tmp_path, trained):
    rows = stress(*trained, "ladder", max_digits=10)
    record(tmp_path, rows[:1])
    record(tmp_path, rows[1:])
    assert read_lines(tmp_path / "eval.jsonl") == json.loads(json.dumps(rows)) == rows


def test_a_model_without_windows_has_no_tour():
    encoding = Encoding(mechanism=ALiBi())
    config = ModelConfig(vocabulary=TASK.vocabulary.size, width=16, hidden=16, encoding=encoding)
    recipe = Recipe(name="test", task=TASK, coupling=couplings.columns(TASK), model=config)
    model = Transformer(config).eval()
    with pytest.raises(ValueError, match="no tour"):
        stress(model, recipe, "tour")
    rows = stress(model, recipe, "all", max_digits=10)
    assert {row["suite"] for row in rows} == {"carry", "adversarial", "ladder", "grid"}


def test_misuse_is_named(trained):
    with pytest.raises(ValueError, match="expected a suite"):
        stress(*trained, "speed")
    with pytest.raises(ValueError, match="max_digits"):
        stress(*trained, max_digits=0)
    with pytest.raises(ValueError, match="max_tokens"):
        stress(*trained, max_tokens=0)
    with pytest.raises(ValueError, match="expected lengths in 1"):
        evaluate(*trained, lengths=(0,))
