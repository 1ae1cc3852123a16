"""Teaching sets show everything, are train problems, and are near their lower bound."""

import json

import numpy as np
import pytest

from arithtf.certify import CannotCertify, certify, check_task, collect, layouts
from arithtf.certify.teaching import teaching_set
from arithtf.cli import main
from arithtf.model import ContextSet
from arithtf.recipes import get_recipe
from arithtf.tasks import Operands
from arithtf.train.data import Turns


def chosen(name, *settings, **options):
    recipe = get_recipe(name, *settings)
    return recipe, teaching_set(
        recipe.arithmetic, recipe.coupling, recipe.model.encoding, **options
    )


def operands_of(recipe, problems):
    parsed = [recipe.task.parse(problem) for problem in problems]
    return Operands.from_digits(parsed, arity=len(parsed[0]))


@pytest.mark.parametrize(
    ("name", "settings", "digits"),
    [
        ("carried-addition", ("task.base=3",), 5),
        ("addition", ("task.base=2",), 6),
        ("increment", ("task.base=3",), 5),
        ("times-digit", ("task.base=3",), 5),
        ("parity", (), 4),
        ("copy", (), 5),
        ("comparison", ("task.base=3",), 5),
    ],
)
def test_shows_every_context(name, settings, digits):
    recipe, found = chosen(name, *settings, digits=digits, rounds=1)
    operands = operands_of(recipe, found.problems)
    encoding = recipe.model.encoding
    windows = [pair for pair in encoding.pairs() if pair is not None]
    shown = collect(layouts(recipe.task, recipe.coupling, operands), windows, encoding.sinks)
    every = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    assert len(shown) == len(every.contexts.query_token) == found.contexts
    assert found.bound <= len(found.problems)
    assert not recipe.arithmetic.in_test_split(operands).any()
    assert max(np.diff(operands.offsets)) <= digits


def test_bound_counts_what_one_problem_can_show():
    # 6 digits show at most 6 of the 100 contexts of "copy" that have a digit after a digit.
    recipe, found = chosen("copy", digits=6, rounds=0)
    contexts = check_task(recipe.task, recipe.coupling, recipe.model.encoding.windows, sinks=0)
    digits = int((np.diff(contexts.contexts.offsets) > 0).sum())
    assert -(-digits // 7) <= found.bound <= len(found.problems)


def test_the_search_follows_its_seed():
    first, again = (chosen("copy", seed=1, digits=5, rounds=1)[1] for _ in range(2))
    assert first == again


def test_too_few_digits_are_refused():
    with pytest.raises(CannotCertify, match="allow more digits"):
        chosen("addition", "task.base=2", digits=1)


def test_turns_go_through_all_before_any_comes_again():
    turns = Turns(3, 10)
    rows = np.concatenate([turns.take(step, 4) for step in range(1, 6)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert (Turns(3, 10).take(4, 4) == rows[12:16]).all()


def test_teaches_and_certifies(tmp_path, capsys):
    out = tmp_path / "taught"
    arguments = ["teach", "parity", "--digits", "4", "--rounds", "1", "--out", str(out), "--json"]
    assert main(arguments) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["seeds"][0]["verdict"] == "certified"
    config = json.loads((out / "seed-0" / "config.json").read_text())
    assert config["problems"] == shown["problems"]
    assert certify(out / "seed-0").certified
    assert main(arguments) == 0  # goes on with what is there


def test_problems_of_a_recipe_are_what_it_learns_from():
    from arithtf.train.data import drawn

    problems = ["12+34", "5+9", "70+8"]
    recipe = get_recipe("addition", "batch=2", "problems=" + ",".join(problems))
    met = ContextSet(**collect([drawn(recipe, s) for s in (1, 2, 3)], [(1, 0)], 1).contexts())
    operands = operands_of(recipe, problems)
    own = collect(layouts(recipe.task, recipe.coupling, operands), [(1, 0)], 1)
    assert len(met.query_token) == len(own)
    with pytest.raises(ValueError, match="expected one '\\+'"):
        get_recipe("addition", "problems=12-3,4+4")
