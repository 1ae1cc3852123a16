"""Finite pools: so many problems and no others, at every step, for any number of threads."""

from collections import Counter

import numpy as np
import pytest

from arithtf.tasks import (
    Addition,
    Address,
    Calculator,
    Copy,
    Division,
    Draw,
    ResidueAddition,
    RunningSum,
    TimesDigit,
    View,
)

TASKS = [
    *(Addition(), Addition(2, "padded", True), Copy(), TimesDigit(), RunningSum(), Division()),
    View(ResidueAddition(51), "blank"),
]
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.name}-{task.base}")


def problems(task, split, step, draw, seed=4, threads=0):
    drawn = task.operands(Address(seed, split, step), draw, threads=threads)
    return [tuple(digits.tobytes() for digits in problem) for problem in drawn]


def pool_of(task, split, draw, seed=4, steps=20):
    return {p for step in range(steps) for p in problems(task, split, step, draw, seed)}


@each_task
@pytest.mark.parametrize("split", ["train", "test", "all"])
def test_every_problem_of_all_steps_is_one_of_the_pool(task, split):
    draw = Draw((7, 12), 50, pool=9)
    pool = pool_of(task, split, draw)
    assert len(pool) == 9  # long ones: no two are alike by chance
    assert set(problems(task, split, 2**64 - 1, draw)) <= pool
    assert problems(task, split, 0, draw) != problems(task, split, 1, draw)
    assert pool_of(task, split, Draw((7, 12), 50, pool=12)) > pool
    assert not pool & pool_of(task, split, draw, seed=5)
    for step in range(3):
        drawn = task.operands(Address(4, split, step), draw)
        if split != "all":
            assert (task.in_test_split(drawn) == (split == "test")).all()


@each_task
def test_splits_of_short_problems_share_none(task):
    draw = Draw((1, 3), 400, pool=300)
    train, test = (pool_of(task, split, draw, steps=4) for split in ("train", "test"))
    assert train
    assert test
    assert not {frozenset(p) for p in train} & {frozenset(p) for p in test}


@each_task
def test_bytes_do_not_depend_on_threads_and_the_sample_is_its_operands(task):
    draw = Draw((1, 9), 60, pool=20)
    address = Address(1, "train", 3)
    made, again = (task.sample(address, draw, threads=threads) for threads in (1, 3))
    assert made.tokens.tobytes() == again.tokens.tobytes()
    assert made.targets.tobytes() == again.targets.tobytes()
    for one, other in zip(made.runs.arrays(), again.runs.arrays(), strict=True):
        np.testing.assert_array_equal(one, other)
    operands = task.operands(address, draw, threads=2)
    given = task.instances(operands, max_length=9)
    np.testing.assert_array_equal(made.tokens, given.tokens)


def test_which_problem_is_drawn_is_uniform_and_numpys():
    """One word of channel 1 at the step's own address says which."""
    task, pool, size = Addition(), 13, 4000
    drawn = problems(task, "train", 6, Draw((20, 20), size, pool=pool))
    names = {}
    for sample, problem in enumerate(drawn):
        counter = np.array([0, sample, 6, 1], np.uint64)
        generator = np.random.Philox(counter=counter, key=np.array([4, 0], np.uint64))
        number = int(generator.random_raw()) * pool >> 64
        assert names.setdefault(number, problem) == problem
    assert len(set(names.values())) == pool
    counts = np.array([*Counter(drawn).values()])
    assert ((counts - size / pool) ** 2).sum() / (size / pool) < 12 + 5 * np.sqrt(24)


def test_pools_of_other_distributions_and_of_parts():
    for distribution in ("ripple", "chain", "double"):
        chain = (3, 1) if distribution == "chain" else None
        draw = Draw((9, 9), 30, distribution, chain=chain, pool=4)
        assert len(pool_of(Addition(), "all", draw)) <= 4
    task, draw = Calculator(), Draw((9, 9), 64, pool=5)
    numbers = Counter(problem[0] for problem in pool_of(task, "train", draw))
    assert numbers == {bytes([sign]): 5 for sign in range(4)}  # one for each operation


def test_no_pool_is_drawn_from_an_empty_split():
    with pytest.raises(ValueError, match="pool must be at least 0 problems, got -1"):
        Addition().operands(Address(0, "all"), Draw((1, 2), 3, pool=-1))
    with pytest.raises(ValueError, match="is in split 'test'"):
        Addition(2).operands(Address(0, "test"), Draw((1, 1), 5, pool=3))
