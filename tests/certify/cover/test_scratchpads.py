"""Covering sets of scratchpads show exactly the contexts that occur; small models certify."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from arithtf.certify import certify
from arithtf.certify.contexts import collect, enumerate_contexts, layouts
from arithtf.certify.cover import covering_set
from arithtf.certify.provable import CannotCertify, check_task
from arithtf.certify.verify import verify_certificate
from arithtf.evaluate.verify import verify_operands
from arithtf.model import ModelConfig
from arithtf.recipes import get_recipe
from arithtf.runs import write_json
from arithtf.tasks import (
    Calculator,
    Coupling,
    Division,
    Multiplication,
    Operands,
    RunningSum,
    couplings,
)
from arithtf.train import train


def work(task):
    """A task's lookup coupling and its windows."""
    coupling = couplings.lookups(task)
    return coupling, ((0, 0),) * len(coupling.levels)


def contexts_of(task, operands):
    coupling, windows = work(task)
    return collect(layouts(task, coupling, operands), list(windows), 0)


BRUTE = [
    (Multiplication(2), (range(64), range(64))),
    (Multiplication(3), (range(243), range(243))),
    (RunningSum(2), (range(18), range(18), range(18))),
    (RunningSum(3), (range(28), range(28), range(28))),
    (Division(3), (range(729), range(1, 82))),
]


@pytest.mark.parametrize(("task", "ranges"), BRUTE)
def test_the_covering_set_equals_brute_force(task, ranges):
    problems = Operands.from_ints(itertools.product(*ranges), base=task.base, arity=len(ranges))
    brute = contexts_of(task, problems)
    known = contexts_of(task, covering_set(task, *work(task)))
    assert known.missing(brute) == 0
    assert brute.missing(known) == 0
    assert not brute.conflicts()


def test_no_long_problem_shows_anything_else():
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (30, 30), (3, 60), (60, 3), (1, 90), (90, 1)]
    problems = [[rng.integers(1, 10, k) for k in s] for s in sizes]
    problems += [[np.full(30, 9), np.full(40, 9)], [np.array([1] + [0] * 30), np.full(30, 9)]]
    problems += [[np.zeros(1), np.full(20, 9)]]
    for task in (Multiplication(), Division()):
        known = contexts_of(task, covering_set(task, *work(task)))
        found = contexts_of(task, Operands.from_digits(problems))
        assert len(found) > 1000
        assert known.missing(found) == 0
    task = RunningSum()
    known = contexts_of(task, covering_set(task, *work(task)))
    for terms in (2, 10, 120):
        many = [[rng.integers(1, 10, int(rng.integers(1, 30))) for _ in range(terms)]]
        many += [[np.full(20, 9)] * terms]
        assert known.missing(contexts_of(task, Operands.from_digits(many, arity=terms))) == 0


@pytest.mark.parametrize("kind", [Multiplication, RunningSum, Division, Calculator])
def test_a_query_sees_at_most_one_token_a_level(kind):
    task = kind()
    found = enumerate_contexts(task, *work(task), 0).contexts
    context = np.repeat(np.arange(len(found.target)), np.diff(found.offsets))
    assert len(np.unique([context, found.level], axis=1).T) == len(found.token)


@pytest.mark.parametrize(
    ("task", "level"),
    [
        (task, k)
        for task in (Multiplication(), RunningSum(), Division())
        for k in range(len(work(task)[1]))
    ],
)
def test_a_level_less_is_a_conflict_named_by_two_problems(task, level):
    """The marks too, which alone tell apart two kinds of query for the same cells."""
    coupling, windows = work(task)
    levels = tuple(x for i, x in enumerate(coupling.levels) if i != level)
    sign = "\\" + task.sign
    with pytest.raises(CannotCertify, match=rf"\d{sign}\d.* and \d+{sign}\d.*different tokens"):
        check_task(task, Coupling("less", levels), windows[1:])


@pytest.mark.parametrize("kind", [RunningSum, Division, Calculator])
def test_other_windows_and_levels_are_refused(kind):
    task = kind()
    coupling, windows = work(task)
    with pytest.raises(CannotCertify, match=r"for windows \(0, 0\), got \(1, 0\)"):
        check_task(task, coupling, ((1, 0), *windows[1:]))
    with pytest.raises(CannotCertify, match="infinite window"):
        check_task(task, coupling, (*windows[:2], None, *windows[3:]))
    other = replace(coupling.levels[0], key={})
    with pytest.raises(CannotCertify, match=f"none of the lookup coupling of {task.name}"):
        check_task(task, Coupling("other", (other,)), ((0, 0),))


LONG = [[[2] * 60, [1, 2] * 12], [[2], [2] * 50]]


@pytest.mark.parametrize(
    ("name", "task", "lengths", "contexts", "long"),
    [
        ("multiplication", Multiplication(3), (6, 6), 202, LONG),
        ("running-sum", RunningSum(3), (1, 4), 85, LONG),
        ("division", Division(3), (1, 4), 214, LONG),
    ],
)
def test_small_bases_train_and_certify(name, task, lengths, contexts, long, tmp_path):
    """A proof for every size, re-checked by the second path, and a run on long problems."""
    recipe = get_recipe(name)
    width = 6 * recipe.model.heads
    sizes = {**vars(recipe.model), "vocabulary": task.vocabulary.size, "width": width, "hidden": 64}
    recipe = replace(
        recipe,
        task=task,
        coupling=work(task)[0],
        model=ModelConfig(**sizes),
        lengths=lengths,
        batch=128,
        local_batches=32,
        local=256,
        steps=600,
    )
    model = train(recipe, tmp_path, device="cpu")
    certificate = certify(tmp_path)
    assert certificate.certified, certificate.reason
    assert certificate.contexts == contexts
    write_json(tmp_path / "certificate.json", certificate.to_dict())
    assert not verify_certificate(tmp_path / "certificate.json", tmp_path).problems
    operands = Operands.from_digits(long)
    assert verify_operands(model, task, recipe.coupling, operands).exact.all()
