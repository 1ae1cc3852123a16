"""Recipes by name, as functions of their task, with fields set by texts; as JSON and back."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from arithtf.encodings import Encoding
from arithtf.origin import SourceChanged, SourceMissing
from arithtf.recipes import RECIPES, Recipe, RecipeFunction, build, get_recipe, recipe
from arithtf.tasks import (
    TASKS,
    Addition,
    Copy,
    FactoredVocabulary,
    Reverse,
    Subtraction,
    Vocabulary,
    couplings,
)
from arithtf.train import train

VARIANTS = (
    "addition task.format=padded",
    "addition task.base=2",
    "addition task.base=16",
    "modular-addition task.modulus=8",
    "modular-addition task.modulus=250",
    "residue-addition task.modulus=51",
)


@pytest.mark.parametrize("name", [*RECIPES, *VARIANTS])
def test_recipes_are_named_and_read_back(name):
    made = get_recipe(*name.split())
    assert made.name.startswith(name.split()[0])
    assert Recipe.from_dict(made.to_dict()) == made
    assert RECIPES.resolve(name.split()[0]).task is not None


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_train(name):
    assert train(get_recipe(*name.split(), steps=2, batch=4, local_batches=2)).num_parameters() > 0


@pytest.mark.parametrize(
    ("name", "modulus", "windows"),
    [
        ("modular-addition", 40, ((0, 0), (0, 2))),
        ("modular-addition", 125, ((0, 0), (0, 3))),
        ("modular-addition", 50, ((1, 0), (0, 1))),
        ("residue-addition", 77, ((0, 0),)),
    ],
)
def test_sizes_follow_the_task(name, modulus, windows):
    made = get_recipe(name, f"task.modulus={modulus}")
    assert made.name == f"{name}-modulus-{modulus}"
    assert made.task.modulus == modulus
    assert made.task.example == f"(12+34)%{modulus}"
    assert made.model.vocabulary == made.task.vocabulary.size
    assert made.model.encoding.windows == windows


def test_bases_have_their_own_sizes():
    three, sixteen = (get_recipe("addition", f"task.base={base}") for base in (3, 16))
    assert (three.name, three.steps, three.model.hidden) == ("addition-base-3", 500, 256)
    assert (sixteen.name, sixteen.steps, sixteen.model.hidden) == ("addition-base-16", 1600, 512)
    assert get_recipe("addition", "task.base=10") == get_recipe("addition")
    assert get_recipe("addition", task=Addition(base=16)) == sixteen
    # What is set by hand goes before what follows from the task.
    assert get_recipe("addition", "steps=7", "task.base=16").steps == 7


def test_fields_are_set_by_texts_and_by_values():
    made = get_recipe(
        "addition", "lengths=1-8", "model.width=96", "seed=3", "model.encoding.windows=2-0", steps=9
    )
    assert (made.lengths, made.model.width, made.seed, made.steps) == ((1, 8), 96, 3, 9)
    assert made.model.encoding.windows == ((2, 0),)
    assert made.coupling == get_recipe("addition").coupling


def test_a_coupling_by_name_brings_its_levels():
    made = get_recipe("comparison", "coupling=lookups")
    assert made == get_recipe("comparison")
    made = get_recipe("subtraction", "coupling=index", "model.encoding.windows=1-0")
    assert made.coupling == couplings.index(Subtraction())
    assert made.model.levels == 1
    with pytest.raises(ValueError, match="no coupling is named 'digits'; did you mean digit-col"):
        get_recipe("subtraction", "coupling=digits")
    with pytest.raises(ValueError, match="one window per level: 1 levels, 7 windows"):
        get_recipe("subtraction", "coupling=index")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("modular-addition", "task.modulus=7", "divides a power of 10, got 7; residue-addition"),
        ("modular-addition", "task.modulus=0", "divides a power of 10, got 0"),
        ("modular-addition", "task.modulus=256", "at most 240 tokens, got 256"),
        ("residue-addition", "task.modulus=241", "modulus in 2..240, got 241"),
        ("residue-addition", "task.modulus=²", "task.modulus: expected a whole number, got '²'"),
        ("residue-addition", "task.moduls=3", "task has no field 'moduls'; did you mean modulus"),
        ("addition", "model.heads=5", "multiple of heads, got width=64, heads=5"),
        ("addition", "model.vocabulary=5", "the model has 5 tokens, the task addition 15"),
        ("addition", "step=5", "a recipe has no field 'step'; did you mean steps. Its fields: nam"),
        ("addition-7", "seed=0", "no recipe is named 'addition-7'; did you mean addition"),
        ("-8", "seed=0", "no recipe is named '-8'; `arithtf data` lists all; one of your own"),
    ],
)
def test_what_cannot_be_is_refused_in_words(name, settings, message):
    with pytest.raises(ValueError, match=message):
        get_recipe(name, settings)


def test_a_decorated_function_is_a_recipe():
    @recipe(Copy())
    def say_again(task: Copy) -> Recipe:
        """Says what it is for."""
        return build(task, couplings.from_left(task), Encoding(windows=((0, 0),)))

    assert isinstance(say_again, RecipeFunction)
    assert say_again().name == "say-again"
    assert say_again.__doc__ == "Says what it is for."
    with pytest.raises(TypeError, match="recipe say-again is for tasks of type Copy, got Reverse"):
        say_again(Reverse())


OUTSIDE = """
from arithtf.recipes import Recipe, build, get_recipe, recipe
from arithtf.tasks import Copy, Coupling, couplings
from arithtf.encodings import Encoding

@recipe(Copy())
def twice(task: Copy) -> Recipe:
    return build(task, couplings.from_left(task), Encoding(windows=((0, 0),)), steps=2, batch=4)

def plain() -> Recipe:
    return get_recipe("parity", steps=2)

VALUE = get_recipe("reverse", steps=2)

def mine(task: Copy) -> Coupling:
    return couplings.from_left(task)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "outside.py"
    path.write_text(OUTSIDE)
    return path


def test_recipes_and_couplings_of_a_file(file):
    assert get_recipe(f"{file}:twice", "seed=4").seed == 4
    assert get_recipe(f"{file}:plain", "seed=4").name == "parity"
    assert get_recipe(f"{file}:VALUE", "seed=4").name == "reverse"
    with pytest.raises(
        ValueError, match=r"defines 3 objects that are a Recipe .*twice, plain, VAL"
    ):
        get_recipe(str(file))
    with pytest.raises(ValueError, match="is a recipe for one task"):
        get_recipe(f"{file}:VALUE", "task.base=3")
    assert get_recipe("copy", f"coupling={file}") == get_recipe("copy")


TASK = """
from arithtf.tasks import Copy

class Echo(Copy):
    name = "echo"
"""


def test_a_recipe_of_an_outside_task_is_read_back_by_another_process(tmp_path):
    file = tmp_path / "echo.py"
    file.write_text(TASK)
    task = TASKS.resolve(str(file))()
    data = get_recipe("copy", task=task).to_dict()
    assert data["task"]["task"] == "echo.py:Echo"
    assert data["sources"]["echo.py"]["path"] == str(file)
    assert Recipe.from_dict(data).task == task
    code = (
        "import json, sys; from arithtf.recipes import Recipe;"
        "print(Recipe.from_dict(json.load(sys.stdin)).task.name)"
    )
    command = [sys.executable, "-c", code]
    told = subprocess.run(
        command, input=json.dumps(data), capture_output=True, text=True, check=True, cwd="/"
    )
    assert told.stdout == "echo\n"
    other = {"echo.py": {**data["sources"]["echo.py"], "sha256": "0" * 64}}
    with pytest.warns(SourceChanged, match=r"echo.py, from which echo.py:Echo came, has changed"):
        assert Recipe.from_dict({**data, "sources": other}).task == task
    file.unlink()
    with pytest.raises(SourceMissing, match=r"expected .*echo.py, from which echo.py:Echo came"):
        Recipe.from_dict(data)


@pytest.mark.parametrize("older", [1, 2])  # of format 2 `pool` was what `local_batches` is now
def test_runs_of_older_formats_are_refused_with_what_to_do(older):
    data = {**get_recipe("copy").to_dict(), "format": older}
    with pytest.raises(ValueError, match=rf"format 3, got {older}; .*train again with this one"):
        Recipe.from_dict(data)


def test_a_model_has_the_vocabulary_of_every_factor():
    """Factored tokens: a state of three values and a mark of two beside each other."""
    factors = FactoredVocabulary((Vocabulary("_^ab"), Vocabulary("xyz")))
    assert (factors.sizes, factors.pad, factors.dtype) == ((4, 3), 0, np.uint8)
    assert factors != FactoredVocabulary(factors.factors[:1])
    wide = FactoredVocabulary((Vocabulary("ab"), Vocabulary([str(n) for n in range(300)])))
    assert wide.dtype == np.uint16
    task = SimpleNamespace(name="states", vocabulary=factors)
    recipe = build(task, couplings.index(Addition()), Encoding())
    assert recipe.model.vocabulary == (4, 3)
    for wrong in (4, (4,), (3, 4), (4, 3, 2)):
        with pytest.raises(ValueError, match=r"the task states \(4, 3\); build it with"):
            replace(recipe, model=replace(recipe.model, vocabulary=wrong))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("seed", -1),
        ("seed", 1 << 64),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("warmup", -1),
        ("final_rate", 1.5),
        ("final_rate", float("nan")),
        ("betas", (0.9, 1.0)),
        ("betas", (-0.1, 0.9)),
        ("weight_decay", -0.1),
        ("weight_decay", float("nan")),
        ("clip", 0.0),
        ("clip", float("nan")),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(name, bad):
    recipe = get_recipe("addition")
    with pytest.raises(ValueError, match=rf"expected {name} to be .*; got .*: set {name}="):
        replace(recipe, **{name: bad})
