"""The law against brute force over all short problems, and against sampling."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from arithtf.certify import CannotCertify, check_task
from arithtf.certify.contexts import ContextSet, collect
from arithtf.certify.law import Law, law, powers
from arithtf.certify.law.chain import Chain
from arithtf.certify.law.places import places
from arithtf.cli import main
from arithtf.encodings import Encoding
from arithtf.evaluate.statistics import wilson
from arithtf.recipes import get_recipe
from arithtf.runs import load_model
from arithtf.tasks import Address, Batch, Draw, Operands, couplings
from arithtf.train import train

BASES = {
    "addition": (2, 3),
    "addition-symmetric": (2, 3),
    "subtraction": (2, 3),
    "comparison": (2, 3),
    "increment": (2, 10),
    "times-digit": (2, 3),
    "copy": (3,),
    "reverse": (3,),
    "parity": (10,),
    "residue-addition": (2, 3),
}


def planted(name, base, share, seed=0, **windows):
    """A recipe's contexts, some of them wrong, and the law of a model that errs in these."""
    recipe = get_recipe(name, f"task.base={base}")
    task, encoding = recipe.arithmetic, recipe.model.encoding
    found = check_task(task, recipe.coupling, encoding.windows, sinks=encoding.sinks).contexts
    draw = np.random.default_rng(seed)
    count = len(found.query_token)
    wrong = np.zeros(count, bool)
    wrong[draw.choice(count, max(1, int(share * count)), replace=False)] = True
    seen = places(task, recipe.coupling, encoding, task.rule())
    return recipe, found, wrong, Law(task, Chain(task, seen, found, wrong), found, recipe.coupling)


def problems(task, length):
    rule = task.rule()
    words = [*itertools.product(range(task.base), repeat=length)]
    numbers = [w for w in words if w[0] or length == 1 or rule.strings]
    digit = [[(d,) for d in range(task.base)]] if rule.last_digit else []
    return itertools.product(*[numbers] * rule.numbers, *digit)


def brute(recipe, found, wrong, length):
    """Share of all problems of a length that show no wrong context, by the core's own layout."""
    task, encoding = recipe.arithmetic, recipe.model.encoding
    number = {
        (int(found.query_token[i]), *found.entries(i)): i for i in range(len(found.query_token))
    }
    right = count = 0
    for problem in problems(task, length):
        digits = [np.array(word, np.uint8) for word in problem]
        batch = Batch.of(
            task.instances(Operands.from_digits([digits], arity=task.arity)), recipe.coupling
        )
        shown = ContextSet(**collect([batch], encoding.pairs(), encoding.sinks).contexts())
        seen = [number[int(query), *shown.entries(i)] for i, query in enumerate(shown.query_token)]
        right += not wrong[seen].any()
        count += 1
    return Fraction(right, count)


@pytest.mark.parametrize("share", [0, 0.02, 0.2])
@pytest.mark.parametrize(("name", "base"), [(n, b) for n, bases in BASES.items() for b in bases])
def test_equals_brute_force(name, base, share):
    recipe, found, wrong, law_ = planted(name, base, share)
    for length in range(1, 5):
        if base ** (length * recipe.arithmetic.rule().numbers) > 800:
            break
        right = brute(recipe, found, wrong, length)
        assert law_.exact(length) == right
        assert law_.at(length) == pytest.approx(float(right), abs=1e-12)


def test_answers_that_stop_after_some_columns():
    recipe, found, wrong, law_ = planted("modular-addition", 10, 0.001)
    assert law_.exact(1) == brute(recipe, found, wrong, 1)
    assert law_.at(5) == law_.at(10**9) == pytest.approx(float(law_.exact(5)))
    assert law_.survival == 1
    assert law_.costs() == []


@pytest.mark.parametrize("length", [5, 17, 60])
def test_floating_point_is_the_fraction(length):
    law_ = planted("addition", 10, 0.001)[3]
    assert law_.at(length) == pytest.approx(float(law_.exact(length)), rel=1e-12)


def test_weights_that_settle_give_what_squares_give(monkeypatch):
    squares = planted("addition", 10, 0.001)[3]
    monkeypatch.setattr(powers, "DENSE", 0)
    settling = planted("addition", 10, 0.001)[3]
    for length in (10, 1000, 10**9):
        assert settling.log_at(length) == pytest.approx(squares.log_at(length), rel=1e-9)
    assert settling.survival == pytest.approx(squares.survival, rel=1e-12)
    assert settling.first_failure == pytest.approx(squares.first_failure, rel=1e-9)


def test_survival_half_and_first_failure_follow_from_the_shares():
    law_ = planted("copy", 10, 0.001)[3]
    ratio = law_.exact(40) / law_.exact(39)
    assert law_.survival == pytest.approx(float(ratio), rel=1e-12)
    assert law_.at(law_.half) <= 0.5 < law_.at(law_.half - 1)
    # Of a copy a column fails by itself: the shares of lengths are those of prefixes.
    expected = sum(law_.at(n) for n in range(1, 2000))
    assert law_.first_failure == pytest.approx(expected, rel=1e-6)
    assert sum(cost.rate for cost in law_.costs(1000)) == pytest.approx(1 - law_.survival)


@pytest.mark.parametrize("name", ["addition", "addition-symmetric", "subtraction", "copy"])
def test_a_model_that_is_always_wrong_is_right_nowhere(name):
    law_ = planted(name, 2, 1)[3]
    assert law_.exact(1) == law_.exact(4) == law_.at(3) == law_.at(10**9) == law_.survival == 0
    assert law_.log_at(10**9) == -math.inf
    assert law_.first_failure == 0
    assert law_.half == 1
    assert law_.costs() == []


@pytest.mark.parametrize("name", ["addition", "addition-symmetric"])
def test_first_failure_is_the_mean_over_endless_problems(name):
    """Random long problems, read until the first column that shows a wrong context."""
    recipe, found, wrong, law_ = planted(name, 2, 0.1)
    task, encoding = recipe.arithmetic, recipe.model.encoding
    number = {
        (int(found.query_token[i]), *found.entries(i)): i for i in range(len(found.query_token))
    }
    columns = []
    for problem in task.operands(Address(5, "all", 0), Draw((60, 60), 400)):
        alone = Operands.from_digits([problem], arity=2)
        batch = Batch.of(task.instances(alone), recipe.coupling)
        collector = collect([batch], encoding.pairs(), encoding.sinks)
        shown = ContextSet(**collector.contexts())
        bad = [
            int(shown.column[i])
            for i, query in enumerate(shown.query_token)
            if wrong[number[int(query), *shown.entries(i)]]
        ]
        columns.append(min(bad, default=batch.start + 59) - batch.start)
    error = np.std(columns) / len(columns) ** 0.5
    assert abs(np.mean(columns) - law_.first_failure) < 5 * error


def test_half_is_where_half_fail_from_there_on(monkeypatch):
    """One digit may be worse than more."""
    law_ = planted("increment", 10, 0.01)[3]
    shares = {1: 0.4, 2: 0.45, 3: 0.9}
    monkeypatch.setattr(law_, "at", lambda n: shares.get(n, 0.9 if n < 1234 else 0.3))
    assert law_.half == 1234
    monkeypatch.setattr(law_, "at", lambda n: 0.4 if n > 1 else 0.6)
    assert law_.half == 2


def test_no_wrong_context_is_no_failure():
    law_ = planted("addition", 10, 0.001)[3]
    law_.chain.wrong[:] = False
    right = Law(law_.task, law_.chain, law_.contexts, law_.coupling)
    assert right.at(10**9) == right.exact(3) == 1
    assert right.half is None
    assert right.first_failure == math.inf


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A run that was trained for too few steps."""
    run = tmp_path_factory.mktemp("runs") / "unfinished"
    train(get_recipe("addition", "steps=260"), run, device="cpu")
    return run


def test_is_within_the_interval_of_samples(unfinished):
    model, recipe = load_model(unfinished)
    law_ = law(model, recipe.task, recipe.coupling)
    assert 0 < law_.wrong < 2000
    task = recipe.arithmetic
    for length in (10, 20):
        drawn = task.operands(Address(7, "all", 0), Draw((length, length), 4000))
        batch = Batch.of(task.instances(drawn), recipe.coupling)
        right = int(right_rows(model, batch).sum())
        low, high = wilson(right, 4000, level=0.9999)
        assert low <= law_.at(length) <= high


def right_rows(model, batch):
    arrays = [torch.from_numpy(a) for a in (batch.tokens, batch.query_ids, batch.key_ids)]
    with torch.inference_mode():
        answers = model(*arrays, start=batch.start).argmax(-1).numpy()
    targets = batch.targets[:, batch.start :]
    return ((answers == targets) | (targets == 255)).all(1)


def test_command(unfinished, capsys):
    assert main(["law", str(unfinished), "--lengths", "10,1000000000", "--json"]) == 0
    near, far = json.loads(capsys.readouterr().out)
    assert (near["length"], near["grade"]) == (10, "computed")
    assert 0 < near["exact"] < 1
    assert far["exact"] == 0
    assert far["log10"] < -1000
    assert main(["law", str(unfinished)]) == 0
    shown = capsys.readouterr().out
    assert "half of the problems fail from" in shown
    assert "after" in shown


def test_tasks_without_columns_are_refused():
    recipe = get_recipe("multiplication")
    with pytest.raises(CannotCertify, match="law for column tasks only"):
        law(recipe.model.build(), recipe.arithmetic, recipe.coupling)


def test_ids_at_no_fixed_offset_are_refused():
    recipe = get_recipe("addition")
    task = recipe.arithmetic
    coupling = couplings.index(task)  # the answer's distance from a digit grows with the operands
    encoding = Encoding(windows=((8, 0),), sinks=1)
    with pytest.raises(CannotCertify, match="no fixed number of columns"):
        places(task, coupling, encoding, task.rule())
