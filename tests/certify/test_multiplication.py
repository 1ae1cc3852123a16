"""The cover of multiplication holds exactly the contexts that occur; a small model certifies."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from arithtf.certify import certify
from arithtf.certify.contexts import ContextSet, collect, enumerate_contexts, layouts
from arithtf.certify.provable import CannotCertify, check_task
from arithtf.evaluate.verify import verify_operands
from arithtf.model import ModelConfig
from arithtf.recipes import get_recipe
from arithtf.tasks import Coupling, Multiplication, Operands
from arithtf.tasks.couplings import WORK_WINDOWS, work
from arithtf.train import train


def entries_of(contexts: ContextSet) -> set[tuple]:
    return {
        (int(contexts.query_token[i]), tuple(contexts.entries(i)), int(contexts.target[i]))
        for i in range(len(contexts.target))
    }


def table(base: int) -> set[tuple]:
    """All contexts, written down from the definition of a row (c <= d is what carries can be)."""
    eos, equals, separator = base + 2, base + 3, base + 5
    found = set()
    for d, x in itertools.product(range(base), repeat=2):
        for s in [None, *range(base)]:
            # In the first row c < d, as x * d + c < d * base; no carry at all for d = 0.
            highest = d if s is not None else max(d - 1, 0)
            for c in [None, *range(highest + 1)]:
                value = x * d + (s or 0) + (c or 0)
                digit, carry = value % base, value // base

                def see(difference: int, s=s, x=x, d=d) -> tuple:
                    keys = [(0, difference, x), (1, difference, d)]
                    return tuple(keys if s is None else [*keys, (2, difference, s)])

                found.add((separator if c is None else c, see(0), digit))
                found.add((digit, see(-1), carry))
    for t in range(base):
        found |= {(q, ((1, 0, t),), separator) for q in (*range(base), equals)}
        found.add((t, (), equals))
        found |= {(q, ((0, 0, equals), (3, 0, t)), t) for q in (*range(base), equals)}
        found.add((t, ((0, 0, equals),), eos))
    return found


@pytest.mark.parametrize("base", [2, 3, 4, 7, 10])
def test_cover_holds_exactly_the_contexts_of_the_table(base):
    contexts, conflicts = enumerate_contexts(Multiplication(base), work(), WORK_WINDOWS)
    assert not conflicts
    assert entries_of(contexts) == table(base)


@pytest.mark.parametrize(("base", "digits"), [(2, 6), (3, 4)])
def test_cover_equals_brute_force(base, digits):
    task = Multiplication(base)
    problems = itertools.product(range(base**digits), repeat=2)
    brute = collect(layouts(task, work(), Operands.from_ints(problems, base=base)), WORK_WINDOWS, 1)
    cover = collect(layouts(task, work(), task.cover(work(), WORK_WINDOWS)), WORK_WINDOWS, 1)
    assert cover.missing(brute) == 0
    assert brute.missing(cover) == 0
    assert not brute.conflicts()


def test_no_long_product_shows_anything_else():
    task = Multiplication()
    cover = collect(layouts(task, work(), task.cover(work(), WORK_WINDOWS)), WORK_WINDOWS, 1)
    rng = np.random.default_rng(0)
    sizes = [(1, 1), (40, 40), (3, 90), (90, 3), (1, 200), (200, 1)]
    problems = [[rng.integers(1, 10, k) for k in s] for s in sizes]
    problems += [[np.full(50, 9), np.full(60, 9)], [np.array([1] + [0] * 30), np.full(30, 9)]]
    problems += [[np.zeros(1), np.full(20, 9)], [np.full(20, 9), np.zeros(1)]]
    found = collect(layouts(task, work(), Operands.from_digits(problems)), WORK_WINDOWS, 1)
    assert len(found) > 3000
    assert cover.missing(found) == 0


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_a_level_less_is_a_conflict_named_by_two_problems(level):
    levels = tuple(x for i, x in enumerate(work().levels) if i != level)
    windows = [w for i, w in enumerate(WORK_WINDOWS) if i != level]
    with pytest.raises(CannotCertify, match=r"\d\*\d+=\d.* and \d+\*\d+=\d.*different tokens"):
        check_task(Multiplication(), Coupling("less", levels), windows)


def test_windows_too_small_and_too_large():
    with pytest.raises(CannotCertify, match="need different tokens"):
        check_task(Multiplication(), work(), ((1, 0), (1, 0), (0, 0), (0, 0)))
    with pytest.raises(CannotCertify, match=r"up to \(1, 0\), got \(2, 0\)"):
        check_task(Multiplication(), work(), ((2, 0), (1, 0), (1, 0), (0, 0)))
    with pytest.raises(CannotCertify, match="infinite window"):
        check_task(Multiplication(), work(), ((1, 0), (1, 0), None, (0, 0)))
    other = replace(work().levels[0], key={})
    with pytest.raises(CannotCertify, match=r"none of couplings\.work"):
        check_task(Multiplication(), Coupling("other", (other,)), ((1, 0),))


def test_a_small_base_trains_and_certifies(tmp_path):
    """Base 3: a model of 198 contexts, proved for every n x m and then run on a long product."""
    recipe = get_recipe("multiplication")
    task = Multiplication(3)
    sizes = {**vars(recipe.model), "vocabulary": task.vocabulary.size, "width": 32, "hidden": 64}
    recipe = replace(
        recipe, task=task, model=ModelConfig(**sizes), lengths=(4, 4), batch=32, steps=300
    )
    model = train(recipe, tmp_path, device="cpu")
    certificate = certify(tmp_path)
    assert certificate.certified, certificate.reason
    assert certificate.contexts == 198
    rng = np.random.default_rng(1)
    long = [rng.integers(1, 3, 60), rng.integers(1, 3, 50)]
    operands = Operands.from_digits([long, [np.full(1, 2), np.full(300, 2)], [[0], [1, 0, 0]]])
    assert verify_operands(model, task, recipe.coupling, operands).exact.all()
