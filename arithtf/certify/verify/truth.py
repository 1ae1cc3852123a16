"""The declared rule against Python's integers: what it writes must be the true answer.

Every problem of short operands, then random ones of up to LONGEST digits, the same each time, until
so many tokens are written that more would take long. This is a test of the declaration, not a
proof: that a rule of a dozen lines adds is for a person to read. What is proved of the model is
that it writes what the rule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from random import Random

import numpy as np

from arithtf.tasks import ArithmeticTask
from arithtf.tasks.arithmetic.operands import digits_text
from arithtf.tasks.vocabulary import DIGITS

Digits = tuple[int, ...]
Write = Callable[[Sequence[Digits]], Sequence[int]]
SHORT, RANDOM, LONGEST = 1000, 200, 40
TOKENS = 100_000


def first_error(task: ArithmeticTask, write: Write) -> str:
    """The first problem that a rule answers wrongly, in words; empty if there is none.

    Args:
        task: the task; its `truth` and `render` are asked.
        write: operands' digits -> the answer's tokens, EOS included.
    """
    left = TOKENS
    for problem in _problems(task):
        if left < 0:
            break
        arrays = [np.array(digits, np.uint8) for digits in problem]
        if not task.is_valid(arrays):
            continue
        tokens = write(problem)
        left -= len(tokens)
        if task.base > len(DIGITS):
            continue  # there is no text to compare, only that something is written
        texts = [digits_text(digits) for digits in arrays]
        truth = task.truth(*(texts if task.strings else (int(t, task.base) for t in texts)))
        right = truth if isinstance(truth, str) else task.text(truth)
        try:
            found = task.render(np.array(tokens))
        except ValueError as error:
            found = f"what reads as no answer ({error})"
        if found != right:
            return f"the rule of {task.name} answers {task.question(texts)} by {found}, not {right}"
    return ""


def _problems(task: ArithmeticTask) -> Iterator[tuple[Digits, ...]]:
    """All of few digits, shortest first, then random ones."""
    base, arity, random = task.base, task.arity, Random(0)
    count = 0
    for length in range(1, 9):
        for lengths in product(range(1, length + 1), repeat=arity):
            if max(lengths) < length or count > SHORT:
                continue
            every = (product(range(base), repeat=n) for n in lengths)
            for problem in product(*([w for w in words if _stands(task, w)] for words in every)):
                count += 1
                yield problem
    for _ in range(RANDOM):
        drawn = [random.choices(range(base), k=random.randint(1, LONGEST)) for _ in range(arity)]
        yield tuple(tuple(d if _stands(task, tuple(d)) else [1, *d[1:]]) for d in drawn)


def _stands(task: ArithmeticTask, digits: Digits) -> bool:
    """Whether digits are an operand: a number has no zeros in front."""
    return task.strings or len(digits) == 1 or digits[0] > 0
