"""Tasks without their work: blanks where it was, the same answer asked for."""

import numpy as np
import pytest
from addresses import batch_at, operands_at

from arithtf.recipes import get_recipe
from arithtf.tasks import (
    IGNORE,
    Batch,
    Comparison,
    Operands,
    Parity,
    ResidueAddition,
    Subtraction,
    View,
)


def value(digits, base=10):
    total = 0
    for digit in digits.tolist():
        total = total * base + digit
    return total


def parity(words, digits):
    return [int(digits.sum()) % 2]


def comparison(words, a, b):
    a, b = value(a), value(b)
    return [words.id("<") if a < b else words.id(">") if a > b else words.equals]


def residue(words, a, b):
    return [(value(a) + value(b)) % 101]


def difference(words, a, b):
    digits, width = abs(value(a) - value(b)), max(a.size, b.size)
    sign = words.id("-" if value(a) < value(b) else "+")
    return [sign, *(digits // 10**k % 10 for k in range(width))]


CASES = [
    (Parity(), "parity", parity),
    (Comparison(), "comparison", comparison),
    (ResidueAddition(101), None, residue),
    (Subtraction(), "subtraction", difference),
]


@pytest.mark.parametrize(("task", "recipe", "oracle"), CASES)
def test_only_the_answer_is_asked_for_and_the_work_is_blank(task, recipe, oracle):
    from arithtf.tasks import couplings

    coupling = get_recipe(recipe).coupling if recipe else couplings.index(task)
    plain, words = View(task, "blank"), task.vocabulary
    address = {"seed": 3, "split": "train", "step": 1, "lengths": (1, 9), "size": 40}
    batch, whole = batch_at(plain, coupling, **address), batch_at(task, coupling, **address)
    problems = list(operands_at(plain, **address))
    for row, problem in enumerate(problems):
        asked = np.flatnonzero(batch.targets[row] != IGNORE)
        expected = [*oracle(words, *problem), words.eos]
        assert batch.targets[row, asked].tolist() == expected
        assert (np.diff(asked) == 1).all()
        blank = slice(batch.start + 1, asked[0] + 1)
        assert (batch.tokens[row, blank] == words.pad).all()
        rest = np.ones(batch.tokens.shape[1], bool)
        rest[blank] = False
        assert (batch.tokens[row, rest] == whole.tokens[row, rest]).all()
    assert (batch.key_ids == whole.key_ids).all()
    operands = Operands.from_digits(problems, arity=task.arity)
    answers = [tokens.tolist() for tokens in plain.answer(operands)]
    assert answers == [oracle(words, *problem) for problem in problems]
    with pytest.raises(ValueError, match="solved=True"):
        Batch.of(plain.instances(operands, solved=False), coupling)


def test_a_task_without_work_has_none():
    task = get_recipe("addition").task
    (tokens,) = task.answer(Operands.from_ints([(958, 67)]))
    assert task.scratchpad_length(tokens) == 0
