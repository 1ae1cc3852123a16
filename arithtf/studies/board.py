"""Boards: what a study has measured, a pure function of its run directories and predictions.

Every seed is shown, with the median and the worst; none is chosen. What is not there yet is named.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from arithtf.evaluate import wilson
from arithtf.studies.cells import Found, Record, look, predictions_hash
from arithtf.studies.claims import Claims
from arithtf.studies.predictions import read_predictions
from arithtf.studies.provenance import Code
from arithtf.studies.study import Cell, Row, Study
from arithtf.studies.worker import CLAIMS

FORMAT = 1


@dataclass(frozen=True)
class Status:
    """Where a cell stands.

    Args:
        cell: name of the run directory.
        recipe, seed: what it trains.
        state: finished, failed, damaged, running, begun (cut off, or free) or waiting.
        note: how it failed, what is damaged, or who works on it.
    """

    cell: str
    recipe: str
    seed: int
    state: str
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One measure of one recipe, over all its seeds.

    Args:
        recipe, hash: name, and hash but for the seed.
        factors: what the first columns show.
        measure, grade, unit: as `measured` has them.
        seeds: a mapping a seed: seed, value, and low and high of a share's 95 % Wilson interval.
        median, worst: of the values.
        hits, count: seeds that are so, of those there are, where the measure is yes or no.
        low, high: 95 % Wilson interval of the worst seed's share, or of `hits` of `count` seeds.
        missing: seeds that have no such figure yet, or never will.
        note: why they never will.
        predicted: what was expected; None if nothing was.
    """

    recipe: str
    hash: str
    factors: dict[str, Any]
    measure: str
    grade: str
    unit: str
    seeds: tuple[dict[str, Any], ...]
    median: float | None
    worst: float | None
    hits: int | None
    count: int | None
    low: float | None
    high: float | None
    missing: tuple[int, ...]
    note: str
    predicted: float | bool | None


@dataclass(frozen=True)
class Board:
    """All that a study has measured.

    Args:
        study, what: name, and one line.
        cells: how many there are.
        open: those that are not finished.
        lines: the figures.
        code: by which code cells were made, with how many of them.
        predicted_by: by which code the predictions were made; None: there are none.
        predicted_before: begun cells for which these predictions stood when the work began, and
            all that were begun.
    """

    study: str
    what: str
    cells: int
    open: tuple[Status, ...]
    lines: tuple[Line, ...]
    code: tuple[tuple[dict[str, Any], int], ...]
    predicted_by: dict[str, Any] | None
    predicted_before: tuple[int, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        code = [{**made, "cells": cells} for made, cells in self.code]
        return {"format": FORMAT, **asdict(self), "code": code}


def status_of(study: Study, folder: Path) -> list[Status]:
    """Where every cell stands at this moment."""
    claims = Claims(folder / CLAIMS)
    states = []
    for cell in study.cells():
        status = _status(cell, look(study, folder, cell))
        holder = claims.holder(cell.name)
        if status.state != "finished" and holder is not None and not holder.free:
            note = f"on {holder.host}, process {holder.pid}, sign of life {holder.age:.0f} s ago"
            status = replace(status, state="running", note=note)
        states.append(status)
    return states


def _status(cell: Cell, found: Found) -> Status:
    return Status(cell.name, cell.recipe.name, cell.recipe.seed, found.state, found.note)


def board_of(study: Study, folder: Path) -> Board:
    """The board of a study as its folder stands; who is at work now is no result."""
    cells = study.cells()
    found = {cell.name: look(study, folder, cell) for cell in cells}
    begun = [each.record for each in found.values() if each.record is not None]
    predicted = read_predictions(folder)
    expected = {(row["hash"], row["measure"]): row["value"] for row in predicted["rows"]}
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    stood = predictions_hash(folder)
    before = sum(stood is not None and record.predictions == stood for record in begun)
    return Board(
        study=study.name,
        what=study.what,
        cells=len(cells),
        open=tuple(
            _status(cell, found[cell.name])
            for cell in cells
            if found[cell.name].state != "finished"
        ),
        lines=tuple(line for g in groups.values() for line in _lines(study, g, found, expected)),
        code=_code(begun),
        predicted_by=predicted["code"],
        predicted_before=(before, len(begun)),
    )


def _code(records: Iterable[Record]) -> tuple[tuple[Code, int], ...]:
    """Code by which cells were made, each once, with its number of cells."""
    found = Counter(json.dumps(code) for record in records for code in record.code)
    return tuple((json.loads(code), cells) for code, cells in found.items())


def _lines(
    study: Study,
    group: Sequence[Cell],
    found: Mapping[str, Found],
    expected: dict[tuple[str, str], Any],
) -> list[Line]:
    """The lines of one recipe: figures in the order in which seeds have them, then predictions."""
    rows: dict[str, dict[int, Row]] = {}
    for cell in group:
        for row in found[cell.name].rows:
            rows.setdefault(row["measure"], {})[cell.recipe.seed] = row
    for hash_, measure in expected:
        if hash_ == group[0].group:
            rows.setdefault(measure, {})
    return [
        _line(study, group, measure, seeds, expected.get((group[0].group, measure)))
        for measure, seeds in rows.items()
    ]


def _line(
    study: Study, group: Sequence[Cell], measure: str, rows: dict[int, Row], predicted: Any
) -> Line:
    recipe = group[0].recipe
    there = {seed: row for seed, row in rows.items() if row["value"] is not None}
    values = [row["value"] for row in there.values()]
    seeds = tuple(_seed(seed, row) for seed, row in there.items())
    low = high = median = worst = hits = None
    if values and all(isinstance(value, bool) for value in values):
        hits = sum(values)
        low, high = wilson(hits, len(values))
    elif values:
        median = statistics.median(values)
        pick = min if next(iter(there.values()))["worst"] == "least" else max
        worst = pick(values)
        low, high = (seeds[values.index(worst)][end] for end in ("low", "high"))
    some: Row = next(iter(rows.values()), {})
    return Line(
        recipe=recipe.name,
        hash=group[0].group,
        factors=study.factors_of(recipe),
        measure=measure,
        grade=some.get("grade", ""),
        unit=some.get("unit", ""),
        seeds=seeds,
        median=median,
        worst=worst,
        hits=hits,
        count=None if hits is None else len(values),
        low=low,
        high=high,
        missing=tuple(c.recipe.seed for c in group if c.recipe.seed not in there),
        note="; ".join(sorted({row["note"] for row in rows.values() if row.get("note")})),
        predicted=predicted,
    )


def _seed(seed: int, row: Row) -> dict[str, Any]:
    low, high = (None, None) if row["hits"] is None else wilson(row["hits"], row["count"])
    if row["grade"] == "exhaustive":  # all problems that there are
        low = high = row["value"]
    return {"seed": seed, "value": row["value"], "low": low, "high": high}
