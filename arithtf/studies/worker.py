"""A worker: takes a cell that nobody works on, finishes it, and takes the next.

Workers know nothing of each other but the files in the study's folder, see `claims`.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from arithtf.runs import RunBusy, RunError
from arithtf.studies.cells import look, record_failure, work_on
from arithtf.studies.claims import ClaimLost, Claims
from arithtf.studies.shards import ALL, Shard
from arithtf.studies.study import Cell, Study
from arithtf.train import Interrupted, terminable

CLAIMS = ".claims"

ENDED = frozenset({"finished", "failed", "damaged"})
"""States of cells that are not worked on."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that are no failures of a cell: the next one would fail as well."""


class Outcome(NamedTuple):
    """How a worker ended.

    Args:
        finished, failed: cells of its shard, whoever worked on them; damaged ones have failed.
        elsewhere: cells that other workers hold.
    """

    finished: int
    failed: int
    elsewhere: int


Tell = Callable[[str], None]


def run_study(
    study: Study,
    folder: Path,
    *,
    shard: Shard = ALL,
    retry: bool = False,
    tell: Tell = lambda line: None,
) -> Outcome:
    """Work on a study until no cell is left that is neither finished nor failed nor held by others.

    Args:
        study: what.
        folder: where; any number of workers may share it.
        shard: which cells.
        retry: try cells that failed before once more.
        tell: called with a line for each cell that ends.

    Raises:
        Interrupted: SIGINT or SIGTERM; the cell's state is saved, and it is free for others.
        RunError: the disk is full; the cell's state is as of its last checkpoint.
    """
    claims = Claims(folder / CLAIMS)
    mine = study.cells()[shard.i :: shard.n]
    skipped = ENDED - {"failed"} if retry else ENDED
    todo = [cell for cell in mine if look(study, folder, cell).state not in skipped]
    while todo:
        left = [c for c in todo if not _attempt(study, folder, c, claims, skipped, tell)]
        # Others' cells may have become free meanwhile: another round, until one changes nothing.
        if len(left) == len(todo):
            break
        todo = [cell for cell in left if look(study, folder, cell).state not in ENDED]
    states = []
    for cell in mine:
        found = look(study, folder, cell)
        states.append(found.state)
        if found.state == "damaged":
            tell(f"{_label(cell)}: damaged: {found.note}")
    finished, failed = states.count("finished"), states.count("failed") + states.count("damaged")
    return Outcome(finished, failed, len(mine) - finished - failed)


def _label(cell: Cell) -> str:
    return f"{cell.recipe.name}, seed {cell.recipe.seed}"


def _attempt(
    study: Study,
    folder: Path,
    cell: Cell,
    claims: Claims,
    skipped: frozenset[str],
    tell: Tell,
) -> bool:
    """Work on a cell; False if another worker is at it."""
    claim = claims.take(cell.name)
    if claim is None:
        return False
    label, began = _label(cell), time.perf_counter()
    with claim:
        # Only now is it known that nobody finishes it at this moment.
        if look(study, folder, cell).state in skipped:
            return True
        try:
            with terminable():
                work_on(study, folder, cell, check=claim.check)
        except (ClaimLost, RunBusy) as reason:
            tell(f"{label}: left to another worker: {reason}")
            return False
        except KeyboardInterrupt as stop:
            raise Interrupted(
                f"interrupted in {label}; the same command goes on", getattr(stop, "number", 2)
            ) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise RunError(
                    f"{error.strerror} in {label}: {error.filename}; make room, then the same "
                    "command goes on"
                ) from None
            record_failure(folder / cell.name, error)
            tell(f"{label}: failed: {type(error).__name__}: {error}")
            return True
    tell(f"{label}: finished in {time.perf_counter() - began:.1f} s")
    return True
