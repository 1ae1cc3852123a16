"""Cells and their names, studies by name, settings from a command line."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from arithtf.recipes import get_recipe, recipe_hash
from arithtf.studies import STUDIES, ExactMatch, Study, get_study, measured

OUTSIDE = """
from arithtf.recipes import get_recipe
from arithtf.studies import Study

def made(widths: tuple[int, ...] = (8, 16), seeds: int = 2) -> Study:
    '''Parity by width.'''
    def recipes():
        for width in widths:
            yield get_recipe("parity", f"model.width={width}", name=f"width {width}")
    return Study(name="made", recipes=recipes, seeds=range(seeds))
"""


def test_a_cell_is_a_recipe_with_a_seed(study):
    cells = study().cells()
    assert [(c.recipe.model.width, c.recipe.seed) for c in cells] == [
        (width, seed) for width in (8, 16) for seed in range(3)
    ]
    assert [c.name.rpartition("-")[0] for c in cells[:4]] == [
        "width-8-s0",
        "width-8-s1",
        "width-8-s2",
        "width-16-s0",
    ]
    assert len({c.name for c in cells}) == 6
    assert len({c.group for c in cells}) == 2
    assert cells == study().cells()


def test_hashes_follow_every_field_and_nothing_else(tiny):
    assert recipe_hash(tiny) == recipe_hash(replace(tiny))
    others = [
        replace(tiny, seed=1),
        replace(tiny, schedule="cosine"),
        replace(tiny, weight_decay=1e-9),
        replace(tiny, model=replace(tiny.model, hidden=17)),
    ]
    assert len({recipe_hash(recipe) for recipe in [tiny, *others]}) == 5


def test_hashes_are_the_same_in_another_process_and_another_folder(tmp_path):
    """Also for a recipe with a part of a file: where the file is plays no part."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "mine.py"
        file.write_text(f"# {folder}\ndef loss(logits, targets, model): ...\n")
    code = """
from arithtf.recipes import get_recipe, recipe_hash
print(recipe_hash(get_recipe("parity", "objective=mine.py:loss")))
"""
    command = [sys.executable, "-c", code]
    there = subprocess.run(command, cwd=tmp_path / "b", capture_output=True, text=True, check=True)
    here = recipe_hash(get_recipe("parity", f"objective={tmp_path / 'a' / 'mine.py'}:loss"))
    assert there.stdout.strip() == here


def test_what_cannot_be_a_study(study, tiny):
    with pytest.raises(ValueError, match=r"name of letters, digits.*got 'a/b'"):
        Study(name="a/b", recipes=list)
    with pytest.raises(ValueError, match="no seeds"):
        study(seeds=())
    with pytest.raises(ValueError, match=r"study t has no recipes; its function recipes= must"):
        Study(name="t", recipes=list).cells()
    with pytest.raises(TypeError, match=r"expected a Recipe, got 'parity'; arithtf\.recipes\.get"):
        Study(name="t", recipes=lambda: ["parity"]).cells()

    def second():
        yield tiny
        yield get_recipe("parity", "model.width=-1")

    with pytest.raises(ValueError, match=r"study t: recipe number 2 cannot be made: .*width"):
        Study(name="t", recipes=second).cells()
    with pytest.raises(ValueError, match="'width 8' with seed 1 twice"):
        study(seeds=(1, 1)).cells()
    with pytest.raises(ValueError, match="twice"):
        Study(name="t", recipes=lambda: [tiny, replace(tiny, seed=5)]).cells()


@dataclass(frozen=True)
class Scored:
    score: Callable[[float], float]

    def __call__(self, run):
        yield measured("score", self.score(1.0))


@pytest.mark.parametrize(
    ("evaluations", "name"),
    [
        ((lambda run: [], lambda run: []), "<lambda>"),
        ((ExactMatch((1,)), ExactMatch((1,))), "ExactMatch"),
        ((functools.partial(measured, "a"),), "functools.partial"),
        ((Scored(lambda x: x),), "Scored"),
    ],
)
def test_evaluations_have_names_that_last(study, evaluations, name):
    """Finished ones are known by them, in any process."""
    with pytest.raises(ValueError, match=f"study t: expected evaluations that .*got .*{name}"):
        study(*evaluations)
    study(ExactMatch((1,)), ExactMatch((2,)))


def test_figures_are_plain_numbers():
    assert measured("a", np.float32(0.5))["value"] == 0.5
    assert measured("a", np.bool_(True))["value"] is True
    assert measured("a", torch.tensor(3))["value"] == 3
    for value in ("1", float("nan"), [1.0]):
        with pytest.raises(TypeError, match="True, False or None as the value of 'a', got"):
            measured("a", value)
    with pytest.raises(ValueError, match="hits and count of 'a' both or neither"):
        measured("a", 0.5, hits=1)
    with pytest.raises(ValueError, match=r"worst='least' or 'greatest', got .*'lowest'"):
        measured("a", 0.5, worst="lowest")


def test_a_study_of_a_file_takes_settings(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(OUTSIDE)
    assert len(get_study(str(path)).cells()) == 4
    found = get_study(f"{path}:made", "widths=32", "seeds=3")
    assert [c.recipe.model.width for c in found.cells()] == [32] * 3
    with pytest.raises(ValueError, match="no field 'sedes'; did you mean seeds"):
        get_study(str(path), "sedes=3")
    with pytest.raises(ValueError, match="seeds: expected a whole number, got 'many'"):
        get_study(str(path), "seeds=many")
    with pytest.raises(ValueError, match=r"expected seeds=VALUE, got fields of it: first"):
        get_study(str(path), "seeds.first=3")
    with pytest.raises(ValueError, match=r"no study is named 'sed'; did you mean seeds"):
        get_study("sed")


def test_one_study_takes_no_settings(tmp_path):
    path = tmp_path / "one.py"
    path.write_text(OUTSIDE + "\none = made()\n")
    assert get_study(f"{path}:one").name == "made"
    with pytest.raises(ValueError, match="takes no settings; to give it some, write it as a func"):
        get_study(f"{path}:one", "seeds=3")


def test_studies_by_name_have_cells():
    for name in STUDIES:
        cells = get_study(name).cells()
        assert cells
        json.dumps([cell.recipe.to_dict() for cell in cells])
    assert len(get_study("seeds").cells()) == 16
    two = get_study("seeds", "recipes=parity,copy", "seeds=2").cells()
    assert [cell.recipe.name for cell in two] == ["parity", "parity", "copy", "copy"]
    (modulus,) = get_study("seeds", "recipes=residue-addition task.modulus=51", "seeds=1").cells()
    assert modulus.recipe.task.modulus == 51


def test_ablations_are_of_one_thing_each():
    study = get_study("ablation", "recipe=parity", "seeds=1")
    without = [study.factors_of(cell.recipe)["without"] for cell in study.cells()]
    assert without == ["nothing", "window", "coupling", "scratchpad"]
    assert study.evaluations[0].lengths == (6, 12, 30, 60)
    assert study.evaluations[0].count == 200
    few = get_study("ablation", "recipe=parity", "without=window,coupling", "seeds=2")
    assert len(few.cells()) == 4
    with pytest.raises(ValueError, match=r"nothing, window.* take away from parity, got 'sink'"):
        get_study("ablation", "recipe=parity", "without=sink")
