"""A cell on disk: where it stands, and how its work is done and written down.

| file of the run directory | content |
|---|---|
| cell.json | what was done, by which code, and which predictions stood when the work began |
| failure.json | the error that ended it |
| eval.jsonl | the rows of each evaluation, under its name |
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from arithtf.plain import from_fields
from arithtf.runs import RunError, lock, read_json, read_lines, write_json, write_lines
from arithtf.runs.shapes import COUNT, NUMBER, TEXT, misfit, shaped
from arithtf.studies.evaluations import damage, measured
from arithtf.studies.provenance import CODE, Code, code_of
from arithtf.studies.study import PREDICTIONS, Cell, Evaluation, Row, Study, identity
from arithtf.train import Metrics, train

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """cell.json.

    Args:
        study: the name.
        predictions: SHA-256 of predictions.json when the work began; None: there were none.
        code: all code that worked on the cell, see `provenance.code_of`.
        trained: whether that is done.
        evaluations: seconds of those that are done, by `identity`.
    """

    study: str
    predictions: str | None = None
    code: tuple[dict[str, Any], ...] = ()
    trained: bool = False
    evaluations: dict[str, float] = field(default_factory=dict)


class Found(NamedTuple):
    """What is found in a cell's directory.

    Args:
        state: waiting, begun, finished, failed or damaged.
        note: how it failed, or what is damaged.
        record: what was done; None if nothing was, or nobody can tell.
        rows: what was measured, as `measured` has it.
    """

    state: str
    note: str = ""
    record: Record | None = None
    rows: tuple[Row, ...] = ()


def predictions_hash(folder: Path) -> str | None:
    """SHA-256 of a study's predictions; None if it has none."""
    path = folder / PREDICTIONS
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def look(study: Study, folder: Path, cell: Cell) -> Found:
    """Where a cell stands; whether anyone works on it is the claims' business."""
    run = folder / cell.name
    try:
        record = _record(run)
        rows = () if record is None else tuple(_rows(run, record))
        failure = run / "failure.json"
        note = ""
        if failure.exists():
            said = read_json(failure, {"error": TEXT, "message": TEXT})
            note = f"{said['error']}: {said['message']}"
    except (RunError, ValueError, TypeError) as error:
        return Found("damaged", f"{error}; move {run} away and run the study again")
    if record is not None and record.trained and not _missing(study, record):
        return Found("finished", "", record, rows)
    state = "failed" if note else "waiting" if record is None else "begun"
    return Found(state, note, record, rows)


def _record(run: Path) -> Record | None:
    """What cell.json says; None if the cell was not begun."""
    if not (run / "cell.json").exists():
        return None
    values = read_json(run / "cell.json", {"format": COUNT})
    if (found := values.pop("format")) != FORMAT:
        raise ValueError(f"expected {run / 'cell.json'} of format {FORMAT}, got {found!r}")
    if wrong := misfit({"code": []} | values, {"code": shaped(CODE).listed()}):
        raise ValueError(f"{run / 'cell.json'} is damaged: {wrong}")
    return from_fields(Record, values, str(run / "cell.json"))


def _rows(run: Path, record: Record) -> Iterator[Row]:
    """The figures of finished evaluations, and the seconds of the training."""

    def ours(row: Row) -> bool:
        return "measure" in row and row.get("evaluation") in list(record.evaluations)

    for row in read_lines(run / "eval.jsonl", check=lambda row: damage(row) if ours(row) else ""):
        if ours(row):
            yield measured(**row)
    if record.trained and (run / "timing.json").exists():
        spent = read_json(run / "timing.json", {"seconds": NUMBER, "cpu_seconds": NUMBER})
        for name, field in (("training", "seconds"), ("training, processor", "cpu_seconds")):
            yield measured(name, spent[field], unit="s", worst="greatest")


def _missing(study: Study, record: Record) -> list[Evaluation]:
    return [e for e in study.evaluations if identity(e) not in record.evaluations]


def work_on(
    study: Study,
    folder: Path,
    cell: Cell,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Train and evaluate a cell, or what is left of that.

    Args:
        study, folder, cell: which.
        check: called between steps and evaluations; what it raises stops the work.

    Raises:
        Exception: whatever ended the training or an evaluation.
    """
    run = folder / cell.name
    run.mkdir(parents=True, exist_ok=True)
    record = _record(run) or Record(study.name, predictions_hash(folder))
    record = _noted(record, code_of(study, cell.recipe))
    _write(run, record)

    def watch(metrics: Metrics) -> None:
        check()

    if not record.trained:
        if study.trained:
            train(cell.recipe, run, resume=True, progress=watch)
        else:
            write_json(run / "config.json", cell.recipe.to_dict())
        record = replace(record, trained=True)
        _write(run, record)
    for evaluation in _missing(study, record):
        check()
        began, name = time.perf_counter(), identity(evaluation)
        rows = [row | {"evaluation": name} for row in _evaluated(evaluation, run)]
        check()
        with lock(run):
            # As a whole, and in place of those of an attempt that was cut off before it said so.
            write_lines(run / "eval.jsonl", [*_others(run, name), *rows])
            done = record.evaluations | {name: round(time.perf_counter() - began, 3)}
            record = replace(record, evaluations=done)
            _write(run, record)
    (run / "failure.json").unlink(missing_ok=True)


def _evaluated(evaluation: Evaluation, run: Path) -> list[Row]:
    found: Any = evaluation(run)
    rows = list(found) if isinstance(found, Iterator | list | tuple) else [found]
    for row in rows:
        if not isinstance(row, dict) or ("measure" in row and "value" not in row):
            raise TypeError(
                f"expected {identity(evaluation)} to yield rows as `measured` makes them, "
                f"got {row!r}"
            )
    return rows


def record_failure(run: Path, error: Exception) -> None:
    """Write down how a cell failed."""
    lines = traceback.format_exception(error)
    said = {"error": type(error).__name__, "message": str(error), "traceback": "".join(lines)}
    write_json(run / "failure.json", said)


def _others(run: Path, name: str) -> list[Row]:
    return [row for row in read_lines(run / "eval.jsonl") if row.get("evaluation") != name]


def _noted(record: Record, code: Code) -> Record:
    return record if code in record.code else replace(record, code=(*record.code, code))


def _write(run: Path, record: Record) -> None:
    write_json(run / "cell.json", {"format": FORMAT, **vars(record)})
