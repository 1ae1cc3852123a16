"""The rule against Python's integers: also where it is wrong for long operands alone."""

import contextlib

import pytest

from arithtf.certify.verify import derive
from arithtf.certify.verify.contexts import NotDerivable
from arithtf.certify.verify.truth import LEAST, LONGEST, first_error
from arithtf.recipes import RECIPES, get_recipe


def rules():
    """What writes the answers of each recipe's task, where the second path knows that."""
    found = {}
    for recipe in map(get_recipe, RECIPES):
        windows = [(0, 0)] * len(recipe.coupling.levels)
        with contextlib.suppress(NotDerivable):
            found[recipe.task] = derive(recipe.task, recipe.coupling, windows, 0)[1]
    return found


RULES = rules()


def test_rules_are_those_of_the_recipes():
    known = {"addition", "multiplication", "running-sum", "division", "calculator"}
    assert known <= {task.name for task in RULES}


@pytest.mark.parametrize("task", RULES, ids=str)
def test_long_problems_are_asked(task):
    longest = []

    def counting(problem):
        longest.append(max(map(len, problem)))
        return RULES[task](problem)

    assert first_error(task, counting) == ""
    long = [length for length in longest if length >= 3]
    assert len(long) >= LEAST
    assert max(long) <= LONGEST
    assert max(long) >= 10


@pytest.mark.parametrize("task", RULES, ids=str)
def test_a_rule_that_is_wrong_for_long_operands_alone_is_found(task):
    def mutant(problem):
        return RULES[task]([digits[:2] for digits in problem])

    assert f"the rule of {task.name} answers" in first_error(task, mutant)


@pytest.mark.parametrize("task", RULES, ids=str)
def test_a_rule_that_is_wrong_where_all_operands_are_long_is_found(task):
    """It forgets a digit there; an operand that can have one digit alone has that."""
    single = {k for k, length in enumerate(task.stress_lengths(9)[0]) if length == 1}

    def mutant(problem):
        if any(len(digits) < 3 for k, digits in enumerate(problem) if k not in single):
            return RULES[task](problem)
        k = 0 if 0 not in single else 1
        return RULES[task]([d[:-1] if i == k else d for i, d in enumerate(problem)])

    assert f"the rule of {task.name} answers" in first_error(task, mutant)
