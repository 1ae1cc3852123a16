"""Answers beside whole work: against `solve`, Python's integers and plain decoding."""

from dataclasses import replace

import numpy as np
import pytest

from arithtf.encodings import Encoding, Learned
from arithtf.evaluate import Solver, evaluate, wilson
from arithtf.evaluate.problems import different, every_problem
from arithtf.evaluate.score import Scorer, misplaced, numbers
from arithtf.model import ModelConfig, Transformer
from arithtf.recipes import get_recipe
from arithtf.tasks import (
    TASKS,
    Addition,
    Address,
    Calculator,
    Draw,
    Operands,
    ResidueAddition,
    View,
    couplings,
)
from arithtf.train import train


@pytest.fixture(scope="module", params=["parity", "subtraction"])
def erring(request, tools):
    """A model of a task with work that errs now and then, by a short training and some noise."""
    steps, noise = {"parity": (100, 0.4), "subtraction": (150, 0.15)}[request.param]
    recipe = replace(get_recipe(request.param), steps=steps)
    return tools.damage(train(recipe), noise), recipe


def drawn(task, length, count, seed=0):
    draw = Draw((length, length), count)
    return different(task.operands(Address(seed, "test"), draw))


def text_of(digits):
    return "".join(map(str, digits))


def by_python(recipe, problems, model):
    """Right answers and right digits of what `solve` prints, without any code under test."""
    lines, truths = [], []
    for problem in problems:
        parts = [text_of(part) for part in problem]
        if recipe.task.name == "parity":
            lines.append(parts[0])
            truths.append(str(parts[0].count("1") % 2))
        else:
            lines.append("-".join(parts))
            truths.append(str(int(parts[0]) - int(parts[1])))
    said = [str(answer) for answer in Solver(model, recipe).solve(lines)]
    digits = [len(truth.strip("-")) for truth in truths]
    wrong = [
        sum(a != b for a, b in zip(t.strip("-")[::-1], s.strip("-")[::-1].ljust(99), strict=False))
        for t, s in zip(truths, said, strict=True)
    ]
    return [t == s for t, s in zip(truths, said, strict=True)], digits, wrong


def test_answers_are_those_of_solve_and_the_whole_work_is_the_true_text(erring):
    model, recipe = erring
    operands = drawn(recipe.task, 6, 400)
    scores = Scorer(model, recipe.task, recipe.coupling)(operands)
    right, digits, wrong = by_python(recipe, operands, model)
    assert scores.answer.tolist() == right
    assert scores.digits.tolist() == digits
    assert [w for w, r in zip(scores.wrong_digits.tolist(), right, strict=True) if not r] == [
        w for w, r in zip(wrong, right, strict=True) if not r
    ]
    assert not scores.wrong_digits[scores.answer].any()
    shown = Solver(model, recipe, show_work=True)
    written = shown.decode(operands)
    eos = recipe.task.vocabulary.eos
    truth = [[*map(int, tokens), eos] for tokens in recipe.task.answer(operands)]
    whole = [tokens.tolist()[: len(own)] == own for tokens, own in zip(written, truth, strict=True)]
    assert scores.work.exact.tolist() == whole
    assert 0 < sum(right) < len(right)
    assert sum(whole) <= sum(right)
    if recipe.task.name == "parity":
        assert sum(whole) < sum(right)


def test_rows_name_both_figures_and_count_digits_of_the_answer_alone(erring):
    model, recipe = erring
    (row,) = evaluate(model, recipe, lengths=(6,), count=300)
    operands = drawn(recipe.task, 6, 300)
    right, digits, _ = by_python(recipe, operands, model)
    assert (row["count"], row["exact"]) == (len(right), sum(right))
    assert row["whole_work"] <= row["exact"]
    assert row["digits"] == sum(digits) < row["tokens"] - row["count"]
    assert row["accuracy"] == 1 - row["wrong_digits"] / row["digits"]
    if row["grade"] == "sampled":
        assert row["drawn"] == 300
        assert (row["exact_low"], row["exact_high"]) == wilson(sum(right), len(right))


def test_numbers_and_misplaced_digits():
    assert numbers("14 r 2") == ["14", "2"]
    assert numbers("-5") == ["5"]
    assert numbers("<") == ["<"]
    assert numbers("ar") == ["ar"]
    assert [misplaced("123", said) for said in ("123", "124", "23", "9123", "", "1")] == [
        *(0, 1, 1, 0, 3, 3)
    ]
    assert misplaced("14 r 2", "14 r 3") == 1
    assert misplaced("14 r 2", "14") == 1
    assert misplaced("<", ">") == 1


@pytest.mark.parametrize("scratchpad", ["blank", "absent"])
def test_views_are_scored(scratchpad):
    """Blanks cannot be decoded: there the one pass tells, without the end mark."""
    task = View(ResidueAddition(modulus=7), scratchpad)
    coupling = couplings.index(task)
    config = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=1,
        width=16,
        heads=2,
        hidden=16,
        blocks=("attention", "mlp"),
        encoding=Encoding(embedding=Learned(max_position=64), windows=(None,)),
    )
    model = Transformer(config, seed=1).eval()
    operands = drawn(task, 4, 50)
    scores = Scorer(model, task, coupling)(operands)
    assert scores.digits.tolist() == [1] * len(operands)
    assert (scores.answer | (scores.wrong_digits > 0) | ~scores.work.exact).all()
    assert (scores.wrong_digits <= 1).all()


@pytest.mark.parametrize("name", [n for n in TASKS if n != "view"])
def test_a_small_split_is_every_problem_of_it(name):
    """What many draws find is what is enumerated."""
    task = TASKS[name]()
    length = 4 if task.strings else 1
    shape = task.stress_lengths(length)[0][1 if isinstance(task, Calculator) else 0 :]
    every = every_problem(task, shape, 10_000)
    found = drawn(task, length, 20_000, seed=3)
    as_set = [{tuple(map(bytes, problem)) for problem in ops} for ops in (every, found)]
    assert as_set[0] == as_set[1]
    assert len(every) == len(as_set[0])
    assert task.in_test_split(every).all()
    assert every_problem(task, shape, len(every) - 1) is None


def test_small_splits_are_run_through_once_and_called_so(trained):
    model, recipe = trained
    one, two = evaluate(model, recipe, lengths=(1, 2), count=1000)
    assert (one["grade"], one["distribution"]) == ("exhaustive", "every")
    assert one["drawn"] == one["count"] == one["exact"] == 15
    assert one["exact_low"] == one["exact_high"] == 1
    assert (two["grade"], two["drawn"]) == ("sampled", 1000)
    problems = {
        tuple(map(bytes, p))
        for p in recipe.task.operands(Address(0, "test", 0), Draw((2, 2), 1000))
    }
    assert two["count"] == len(problems) < 700
    assert (two["exact_low"], two["exact_high"]) == wilson(two["exact"], two["count"])


@pytest.mark.parametrize("many", [{"count": 10**18}, {"lengths": (10**18,)}, {"lengths": (5, 0)}])
def test_more_than_can_be_is_refused(trained, many):
    with pytest.raises(ValueError, match=r"expected (a count|lengths)"):
        evaluate(*trained, **many)


def test_equal_problems_are_taken_once():
    operands = Operands.from_ints([(1, 2), (12, 3), (1, 2), (1, 23), (12, 3), (2, 1)])
    kept = [tuple(text_of(part) for part in problem) for problem in different(operands)]
    assert kept == [("1", "2"), ("12", "3"), ("1", "23"), ("2", "1")]
    seen = set()
    assert len(different(operands, seen)) == 4
    assert len(different(operands, seen)) == 0


@pytest.mark.parametrize("task", [Addition(), TASKS["multiplication"](), Calculator()])
def test_randomized_ids_give_the_same_answer_alone_and_among_others(task):
    """Also in another order, and in what evaluates: an id is a function of the problem."""
    coupling = couplings.randomized(task, 3000)
    config = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=1,
        width=32,
        heads=2,
        hidden=32,
        blocks=("attention", "mlp"),
        encoding=Encoding(embedding=Learned(max_position=3000), windows=(None,)),
    )
    model = Transformer(config, seed=3).eval()
    recipe = replace(get_recipe("addition"), task=task, coupling=coupling, model=config)
    decode = Solver(model, recipe).decode
    operands = task.operands(Address(1, "all"), Draw((1, 7), 40))
    among = decode(operands)
    reverse = decode(operands.select(range(39, -1, -1)))[::-1]
    for i in range(40):
        alone = decode(operands.select([i]))[0]
        np.testing.assert_array_equal(among[i], alone)
        np.testing.assert_array_equal(reverse[i], alone)
    assert len({tokens.tobytes() for tokens in among}) > 20
