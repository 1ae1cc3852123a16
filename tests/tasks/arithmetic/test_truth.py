"""What a task says is true against the answers that the core writes."""

import itertools
import random

import numpy as np
import pytest
from column_oracle import STRINGS, TASKS, named, whole

from arithtf.tasks import (
    Addition,
    Calculator,
    Division,
    Multiplication,
    Operands,
    RunningSum,
    TimesDigit,
    View,
)
from arithtf.tasks.arithmetic.operands import int_digits
from arithtf.tasks.vocabulary import DIGITS

ALL = [
    *TASKS,
    *(Addition(), Addition(2), Addition(36), Addition(16, "padded")),
    *(Addition(10, "natural", True), Addition(3, "padded", True)),
    *(Multiplication(), Multiplication(3), Division(), Division(3)),
    *(RunningSum(), RunningSum(2, 5), View(RunningSum()), View(Division(), "blank")),
    *(Calculator(), Calculator(4)),
]
SMALL = {1: 1000, 2: 24, 3: 8, 5: 4}


def short(task):
    """All problems of small numbers, or all short strings as digits."""
    if isinstance(task, STRINGS):
        return (s for n in (1, 2, 3) for s in itertools.product(range(task.base), repeat=n))
    if isinstance(task, Calculator):
        return itertools.product(range(4), range(24), range(24))
    if isinstance(task, TimesDigit):
        return itertools.product(range(200), range(task.base))
    return itertools.product(range(SMALL[task.arity]), repeat=task.arity)


def long(task):
    """Problems of many digits."""
    rng, base = random.Random(7), task.base
    for length in (5, 9, 17, 40) * 5:
        if isinstance(task, STRINGS):
            yield tuple(rng.randrange(base) for _ in range(length))
            continue
        lengths = [length, *(rng.randint(1, length) for _ in range(task.arity - 1))]
        problem = [rng.randrange(base**n) for n in lengths]
        if isinstance(task, Calculator):
            problem[0] %= 4
        if isinstance(task, TimesDigit):
            problem[1] %= base
        yield tuple(problem)


def digits_of(task, problem):
    if isinstance(task, STRINGS):
        return (np.array(problem, np.uint8),)
    return tuple(int_digits(number, task.base) for number in problem)


@pytest.mark.parametrize("problems", [short, long])
@pytest.mark.parametrize("task", ALL, ids=named)
def test_truth_is_what_the_core_writes(task, problems):
    """Of strings the truth of a text, of all others that of integers."""
    given = [p for p in problems(whole(task)) if task.is_valid(digits_of(task, p))]
    operands = Operands.from_digits([digits_of(task, p) for p in given], arity=task.arity)
    assert len(given) >= 14
    for problem, answer in zip(given, task.answer(operands), strict=True):
        text = "".join(DIGITS[digit] for digit in problem) if isinstance(task, STRINGS) else None
        truth = task.truth(text) if text else task.truth(*problem)
        assert task.render(answer) == (truth if isinstance(truth, str) else task.text(truth))
