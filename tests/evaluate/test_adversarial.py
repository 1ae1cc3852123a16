"""Suites of every task: what the problems are, and that they fit into what they may cost."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from arithtf.evaluate import stress
from arithtf.evaluate.adversarial import PATTERNS, Maker, choose
from arithtf.evaluate.problems import Part, parts_of, shapes, tokens_of, too_large
from arithtf.recipes import RECIPES, get_recipe
from arithtf.tasks import Addition, Batch, Copy, Multiplication, Operands, Subtraction, TimesDigit
from arithtf.train import train

MAIN = [name for name in RECIPES if name == get_recipe(name).task.name]


def families(task, shape, most=10_000):
    return choose(task.is_valid, Maker(task, 0).families(shape), most)


def number(digits, base=10):
    value = 0
    for digit in digits.tolist():
        value = value * base + digit
    return value


@pytest.mark.parametrize("base", [2, 10, 16])
@pytest.mark.parametrize(
    "shape", [(1,), (7,), (1, 1), (6, 6), (6, 1), (2, 9), (5, 5, 5), (4, 1, 2)]
)
def test_problems_have_their_shape_and_no_zeros_in_front(base, shape):
    class Any(Addition):
        def is_valid(self, _):
            return True

    found = families(Any(base=base), shape)
    assert found
    if len(shape) > 2:
        for problem in found.pop("one long operand"):
            assert sorted(map(len, problem)) == [1] * (len(shape) - 1) + [max(shape)]
    for problem in itertools.chain(*found.values()):
        assert tuple(map(len, problem)) == shape
        for operand in problem:
            assert operand.dtype == np.uint8
            assert operand.max() < base
            assert len(operand) == 1 or operand[0] > 0


def test_families_are_what_they_are_called():
    found = families(Subtraction(), (8, 8))
    pairs = {kind: [(number(a), number(b)) for a, b in p] for kind, p in found.items()}
    assert set(PATTERNS) <= set(pairs)
    assert {a for a, _ in pairs["nines"]} == {99999999}
    assert (10**7, 10**7) in pairs["power"]
    assert all(a == b for a, b in pairs["equal"])
    assert any(a + b == 10**8 for a, b in pairs["complements"])
    assert (2 * 10**7, 10**7 + 1) in pairs["borrows"]
    for a, b in pairs["neighbours"]:
        assert sum(x != y for x, y in zip(f"{a:08}", f"{b:08}", strict=True)) == 1
    multiples = families(Subtraction(), (8, 3))["multiples"]
    rests = {
        number(a) % number(b) - (number(b) if i % 2 else 0)
        for i, (a, b) in enumerate(multiples[:4])
    }
    assert rests == {0, -1}


def test_strings_may_begin_with_zeros_and_numbers_must_not():
    assert [digits.tolist() for (digits,) in families(Copy(), (4,))["all zeros"]] == [[0] * 4]
    assert "all zeros" not in families(get_recipe("increment").task, (4,))


def test_few_problems_come_from_every_family_in_turn():
    every = families(Addition(), (6, 6))
    few = families(Addition(), (6, 6), most=len(every) + 2)
    assert list(few) == list(every)
    assert sum(map(len, few.values())) == len(every) + 2
    assert list(families(Addition(), (6, 6), most=1)) == ["nines"]


def test_a_task_decides_what_it_is_given():
    class Nonzero(Addition):
        """As division by zero is none."""

        def is_valid(self, problem):
            return super().is_valid(problem) and bool(problem[1].any())

    assert any(not b.any() for kind in families(Addition(), (3, 1)).values() for _, b in kind)
    assert all(b.any() for kind in families(Nonzero(), (3, 1)).values() for _, b in kind)
    assert TimesDigit().stress_lengths(50) == [(50, 1)]
    assert families(TimesDigit(), (3, 2)) == {}


def test_shapes_stop_where_their_tokens_do():
    task = Multiplication()
    columns = {shape: tokens_of(task, shape) for shape in [(10, 10), (100, 100), (100, 1)]}
    most = columns[100, 100] - 1
    assert shapes(Part(task, task), (10, 100), most) == [
        (10, 10),
        (10, 1),
        (1, 10),
        (100, 1),
        (1, 100),
    ]
    assert too_large(task, 100, most) == [("multiplication", (100, 100), most + 1)]
    assert too_large(task, 100, most + 1) == []
    # What a shape is said to cost is what its layout takes.
    problem = families(task, (10, 10))["nines"][0]
    batch = Batch.of(
        task.instances(Operands.from_digits([problem])), get_recipe("multiplication").coupling
    )
    assert batch.tokens.shape[1] == columns[10, 10]


@pytest.mark.parametrize("name", MAIN)
def test_every_recipe_has_suites(name):
    recipe = replace(get_recipe(name), steps=1, batch=4)
    task, model = recipe.task, train(recipe)
    parts = {part.sign: part.task for part in parts_of(task)}
    suites = ["adversarial", "ladder"]
    if len(task.stress_lengths(10)[0]) > 1:
        suites.append("grid")
    for suite in suites:
        rows = stress(model, recipe, suite, max_digits=11, max_tokens=350)
        assert max(row["length"] for row in rows) >= 10
        for row in rows:
            assert row["suite"] == suite
            assert 0 <= row["exact"] <= row["count"] > 0
            assert row["grade"] == "stressed"
            assert 1 <= row["length"] <= 11
            if row["operands"] == 2 and row["left"] and row["right"]:
                part = parts.get(row["distribution"][:2], task)
                assert tokens_of(part, (row["left"], row["right"])) <= 350


def test_a_trained_copier_passes():
    recipe = get_recipe("copy")
    rows = stress(train(recipe), recipe, max_digits=1000)
    assert {row["length"] for row in rows if row["suite"] == "ladder"} == {10, 100, 1000}
    assert {row["suite"] for row in rows} == {"adversarial", "ladder", "tour"}
    assert all(row["exact"] == row["count"] for row in rows)


def test_suites_that_a_task_does_not_have():
    recipe = replace(get_recipe("copy"), steps=1)
    model = train(recipe)
    with pytest.raises(ValueError, match="'carry' is about sums"):
        stress(model, recipe, "carry")
    with pytest.raises(ValueError, match="copy has one"):
        stress(model, recipe, "grid")


def test_sums_have_up_to_a_thousand_operands_and_divisors_are_not_0():
    sums, division = get_recipe("running-sum").task, get_recipe("division").task
    assert {len(shape) for shape in sums.stress_lengths(5)} >= {2, 3, 10, 100, 1000}
    found = families(sums, (3,) * 10)
    assert [digits.tolist() for digits in found["nines"][0]] == [[9, 9, 9]] * 10
    assert {len(problem) for kind in found.values() for problem in kind} == {10}
    divisors = [b for kind in families(division, (3, 1)).values() for _, b in kind]
    assert divisors
    assert all(b.any() for b in divisors)


def test_a_joint_task_has_the_suites_of_its_parts():
    recipe = replace(get_recipe("calculator"), steps=1, batch=8)
    model = train(recipe)
    rows = stress(model, recipe, "ladder", max_digits=10, max_tokens=3000)
    assert {row["distribution"].split()[0] for row in rows} == set("+-*/")
    assert {row["operands"] for row in rows} == {2}
    shapes_of = {
        sign: {(r["left"], r["right"]) for r in rows if r["distribution"][0] == sign}
        for sign in "+*/"
    }
    # A division of 10 x 10 digits has 3,106 columns.
    assert (10, 10) in shapes_of["*"]
    assert (10, 10) not in shapes_of["/"]
    assert (10, 5) in shapes_of["/"]
    left_out = too_large(recipe.task, 10, 3000)
    assert [(name, shape) for name, shape, _ in left_out] == [("division", (10, 10))]
    assert recipe.task.parts["+"].stress_lengths(10)[-1] == (10,) * 1000
    assert shapes_of["+"] == {(10, 10)}
