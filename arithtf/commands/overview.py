"""`arithtf table`: all runs on one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from arithtf.console import figures, misuse, say, table, warn
from arithtf.report.overview import COLUMNS, Overview, markdown, ordered, overview, unreadable
from arithtf.runs import RunError, write_text

RUNS = Path("runs")

NOTES = (
    "certified: every operand length, all local contexts checked, rounding included. stressed: "
    "adversarial problems of the stated size. exhaustive: every problem held out from training at "
    "that length. sampled: random problems, each counted once.",
    "Published results were trained and tested by others in other ways: secondary ones are quoted "
    "by way of other papers.",
)
UNCHECKED = "Certificates are shown as they were written; --verify checks each by the second path."


def show(arguments: argparse.Namespace) -> int:
    """Print a row for each run; exit code 1 if a run cannot be read."""
    runs = arguments.run_directories or found_runs()
    with figures(arguments.json) as take:
        rows = _shown(runs, arguments)
        take(row.facts for row in rows)
    return 1 if any("error" in row.facts for row in rows) else 0


def _shown(runs: list[Path], arguments: argparse.Namespace) -> list[Overview]:
    """The rows of all runs, printed and written."""
    rows: list[Overview] = []
    for run in runs:
        try:
            rows.append(overview(run, verify=arguments.verify))
        except (RunError, OSError, MemoryError, TypeError, ValueError) as error:
            rows.append(unreadable(run, str(error)))
            warn(f"arithtf table: {run} cannot be read: {error}")
    rows = ordered(rows)
    notes = NOTES if arguments.verify else (*NOTES, UNCHECKED)
    table(COLUMNS, [(*row.cells, row.published_text) for row in rows])
    for note in notes:
        say(note)
    if arguments.out is not None:
        write_text(arguments.out, markdown(rows, notes))
        say(f"table: {arguments.out}")
    return rows


def found_runs() -> list[Path]:
    """All runs under runs/; exit code 2 if there are none."""
    runs = sorted(path.parent for path in RUNS.glob("*/config.json"))
    if not runs:
        misuse(f"there are no runs under {RUNS}/; make one with `arithtf train RECIPE`")
    return runs
