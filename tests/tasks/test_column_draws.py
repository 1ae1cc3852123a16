"""Draws of column tasks: pure, split, those of NumPy; JSON."""

import json

import numpy as np
import pytest
from addresses import batch_at, operands_at
from column_oracle import STRINGS, TASKS, named, rich

from arithtf.tasks import (
    Address,
    Batch,
    Comparison,
    Copy,
    Draw,
    Increment,
    Parity,
    Subtraction,
    TimesDigit,
    couplings,
    task_from_dict,
    task_to_dict,
)


def words_of(seed, stream, step, sample):
    generator = np.random.Philox(
        counter=np.array([0, sample, step, 0], np.uint64), key=np.array([seed, stream], np.uint64)
    )
    while True:
        yield int(generator.random_raw())


def oracle_digits(words, base, count):
    group = max(k for k in range(1, 40) if base**k <= 2**32)
    digits = []
    while len(digits) < count:
        word = next(words)
        for _ in range(min(group, count - len(digits))):
            digits.append(word * base >> 64)
            word = word * base % 2**64
    return digits


@pytest.mark.parametrize("task", [Copy(), Parity(), TimesDigit(), TimesDigit(7), Increment(16)])
def test_draws_are_those_of_numpy(task):
    low, high = 2, 25
    drawn = task.operands(Address(5, "all", 3), Draw((low, high), 30))
    for sample, problem in enumerate(drawn):
        words = words_of(5, 2, 3, sample)
        word = next(words) * (high - low + 1)
        length, rest = low + (word >> 64), word % 2**64
        if isinstance(task, STRINGS):
            digits = oracle_digits(words, task.base, length)
        else:
            leading = 1 + (rest * (task.base - 1) >> 64)
            digits = [leading, *oracle_digits(words, task.base, length - 1)]
        assert problem[0].tolist() == digits
        if isinstance(task, TimesDigit):
            assert problem[1].tolist() == [next(words) * task.base >> 64]


def test_half_of_the_comparisons_agree_in_low_digits():
    """Against the draws of subtraction, which are the same words without relating the operands."""
    draw = dict(seed=1, split="all", step=0, lengths=(1, 6), size=4000)
    plain, related = operands_at(Subtraction(), **draw), operands_at(Comparison(), **draw)
    shared = np.zeros(7)
    for (a, b), (x, y) in zip(plain, related, strict=True):
        np.testing.assert_array_equal(a, x)
        assert b.size == y.size
        assert y.size == 1 or y[0] > 0
        n = min(x.size, y.size)
        differs = np.flatnonzero(x[::-1][:n] != y[::-1][:n])
        if n == 4:
            shared[differs[0] if differs.size else n] += 1
    assert (shared[:5] > 0.06 * shared.sum()).all()
    assert shared[4] < 0.2 * shared.sum()


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_batches_are_pure_and_split(task):
    coupling = rich(task)
    draw = dict(seed=3, step=8, lengths=(1, 9), size=70)
    for split in ("train", "test", "all"):
        batch = batch_at(task, coupling, split=split, threads=1, **draw)
        again = batch_at(task, coupling, split=split, threads=3, **draw)
        operands = operands_at(task, split=split, **draw)
        for one, other in zip(batch[:4], again[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        laid = Batch.of(task.instances(operands, max_length=9), couplings.index(task))
        np.testing.assert_array_equal(batch.tokens, laid.tokens)
        np.testing.assert_array_equal(batch.targets, laid.targets)
        assert batch.start == laid.start
        if split != "all":
            assert (task.in_test_split(operands) == (split == "test")).all()


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_structured_kinds(task):
    drawn = {}
    for kind in task.distributions[1:]:
        chain = (2, 1) if kind == "chain" else None
        drawn[kind] = task.operands(Address(0, "all", 0), Draw((4, 9), 40, kind, chain=chain))
        assert task.answer(drawn[kind])
    if task.arity == 1 or isinstance(task, TimesDigit):
        assert all((p[0] == task.base - 1).all() for p in drawn["ripple"])
        assert all((p[0] == p[0][0]).all() for p in drawn["repdigit"])
        assert any((p[0][1:] == 0).all() for p in drawn["zeros"])
        with pytest.raises(ValueError, match="must be one of uniform, ripple"):
            task.operands(Address(0, "all", 0), Draw((4, 9), 1, "double"))
    else:
        assert all(p[0].tolist() == p[1].tolist() for p in drawn["double"])
    with pytest.raises(ValueError, match="expected split 'all'"):
        task.operands(Address(0, "train", 0), Draw((4, 9), 1, "zeros"))


@pytest.mark.parametrize("task", TASKS, ids=named)
def test_round_trip_through_json(task):
    assert task_from_dict(json.loads(json.dumps(task_to_dict(task)))) == task
