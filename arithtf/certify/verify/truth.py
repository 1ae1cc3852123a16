"""The declared rule against Python's integers: what it writes must be the true answer.

Every problem of short operands, then random long ones, the same each time: the longest operand has
3 digits in the first and LONGEST in the last. Of either kind there are no more once TOKENS tokens
are written, but at least LEAST long ones: work that grows with the square of the length ends at a
dozen digits. This is a test of the declaration, not a proof: that a rule of a dozen lines adds is
for a person to read. What is proved of the model is that it writes what the rule says.
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
Problem = tuple[Digits, ...]
Write = Callable[[Sequence[Digits]], Sequence[int]]
TOKENS = 50_000
SHORT = 1000
LONG, LEAST, LONGEST, OPERANDS = 200, 50, 40, 10
TRIES = 200  # to draw a valid problem of given lengths


def first_error(task: ArithmeticTask, write: Write) -> str:
    """The first problem that a rule answers wrongly, in words; empty if there is none.

    Args:
        task: the task; its `truth` and `render` are asked.
        write: operands' digits -> the answer's tokens, EOS included.
    """
    for problems, least in ((_short(task), 0), (_long(task), LEAST)):
        left, asked = TOKENS, 0
        for problem in problems:
            if left < 0 and asked >= least:
                break
            tokens = write(problem)
            left, asked = left - len(tokens), asked + 1
            if error := _error(task, problem, tokens):
                return error
        if asked < least:
            return (
                f"of {least} long problems of {task.name}, only {asked} could be drawn to be asked"
            )
    return ""


def _error(task: ArithmeticTask, problem: Problem, tokens: Sequence[int]) -> str:
    if task.base > len(DIGITS):
        return ""  # there is no text to compare, only that something is written
    texts = [digits_text(np.array(digits, np.uint8)) for digits in problem]
    truth = task.truth(*(texts if task.strings else (int(t, task.base) for t in texts)))
    right = truth if isinstance(truth, str) else task.text(truth)
    try:
        found = task.render(np.array(tokens))
    except ValueError as error:
        found = f"what reads as no answer ({error})"
    if found == right:
        return ""
    return f"the rule of {task.name} answers {task.question(texts)} by {found}, not {right}"


def _short(task: ArithmeticTask) -> Iterator[Problem]:
    """All problems of few digits, shortest first."""
    count = 0
    for length in range(1, 9):
        for lengths in product(range(1, length + 1), repeat=task.arity):
            if max(lengths) < length or count > SHORT:
                continue
            every = (product(range(task.base), repeat=n) for n in lengths)
            for problem in product(*([w for w in words if _stands(task, w)] for words in every)):
                count += 1
                if _is_valid(task, problem):
                    yield problem


def _long(task: ArithmeticTask) -> Iterator[Problem]:
    """Random problems of at most OPERANDS operands, one of them of 3 digits, later of more."""
    random = Random(0)
    for number in range(LONG):
        longest = 3 + number * (LONGEST - 2) // LONG
        shapes = [s for s in task.stress_lengths(longest) if len(s) <= OPERANDS]
        for _ in range(TRIES):
            shape = random.choice(shapes)
            whole = random.choice([k for k, length in enumerate(shape) if length == longest])
            lengths = [n if k == whole else random.randint(1, n) for k, n in enumerate(shape)]
            problem = tuple(_draw(task, n, random) for n in lengths)
            if _is_valid(task, problem):
                yield problem
                break


def _draw(task: ArithmeticTask, length: int, random: Random) -> Digits:
    digits = tuple(random.choices(range(task.base), k=length))
    return digits if _stands(task, digits) else (1, *digits[1:])


def _is_valid(task: ArithmeticTask, problem: Problem) -> bool:
    return task.is_valid([np.array(digits, np.uint8) for digits in problem])


def _stands(task: ArithmeticTask, digits: Digits) -> bool:
    """Whether digits are an operand: a number has no zeros in front."""
    return task.strings or len(digits) == 1 or digits[0] > 0
