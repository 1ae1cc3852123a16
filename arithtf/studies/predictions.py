"""Predictions: what a study expects of its recipes, written down before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from arithtf.runs import RunError, read_json, write_json
from arithtf.runs.shapes import COUNT, FIGURE, TEXT, misfit, shaped
from arithtf.studies.provenance import CODE, code_of
from arithtf.studies.study import PREDICTIONS, Study

FORMAT = 1


SHAPE = {
    "format": COUNT,
    "code": shaped(CODE),
    "rows": shaped({"hash": TEXT, "measure": TEXT, "value": FIGURE}).listed(),
}


def read_predictions(folder: Path) -> dict[str, Any]:
    """A study's predictions: their code and rows; no code if there are none.

    Raises:
        RunError: the file is of another form.
    """
    path = folder / PREDICTIONS
    if not path.exists():
        return {"code": None, "rows": []}
    found = read_json(path)
    if misfit(found, SHAPE) or found["format"] != FORMAT:
        raise RunError(
            f"{path} does not hold predictions of format {FORMAT}; restore it, or predict anew in "
            "another --out"
        )
    return found


def predict(study: Study, folder: Path) -> int:
    """Write a study's predictions, before it is run.

    The rows are a function of the study. Where the file is there already with these rows it stays
    as it is: they were predicted by the code that it names.

    Returns:
        How many figures are predicted.

    Raises:
        ValueError: the study has no predictions.
        RunError: others are there already.
    """
    if study.predictions is None:
        raise ValueError(
            f"study {study.name} predicts nothing; give it predictions=, a function of a recipe "
            "that yields rows of `measured`"
        )
    rows = []
    recipes = {cell.group: cell.recipe for cell in reversed(study.cells())}
    for group, recipe in reversed(recipes.items()):
        named = {"recipe": recipe.name, "hash": group, "factors": study.factors_of(recipe)}
        rows += [named | row for row in study.predictions(recipe)]
    rows = json.loads(json.dumps(rows))  # as they are read back: tuples are lists
    path = folder / PREDICTIONS
    if path.exists() and read_predictions(folder)["rows"] != rows:
        raise RunError(
            f"{path} holds other predictions, and those came first; to predict anew, choose another"
            " --out"
        )
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        code = code_of(study)
        data = {"format": FORMAT, "study": study.name, "code": code, "rows": rows}
        write_json(path, data)
    return len(rows)
