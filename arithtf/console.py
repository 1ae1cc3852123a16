"""What commands print: tables and progress, by rich on a terminal and as plain text elsewhere."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

Update = Callable[[int, str], None]
Take = Callable[[Iterable[Mapping[str, Any]]], None]
"""What takes figures, see `figures`."""


class Misuse(Exception):
    """The command was not given what it needs; the message says what, the exit code is 2."""


def say(text: str = "") -> None:
    """One line of result, at once."""
    print(printable(text), flush=True)


def warn(text: str) -> None:
    """One line beside the result."""
    print(printable(text), file=sys.stderr, flush=True)


def misuse(text: str) -> NoReturn:
    """Stop with exit code 2."""
    raise Misuse(text)


@contextlib.contextmanager
def figures(as_json: bool) -> Iterator[Take]:
    """A command's figures as JSON: then its lines for people go to stderr, and these to stdout.

    Args:
        as_json: whether they are wanted so; else all stays as it is.

    Yields:
        What takes figures, objects with the names of eval.jsonl where they mean the same. At the
        end they are printed as one list.
    """
    found: list[Mapping[str, Any]] = []
    if not as_json:
        yield found.extend
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield found.extend
    say(json.dumps(found, indent=1))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> None:
    """Print a table; a column whose cells all begin with a digit stands to the right.

    Args:
        columns: their names.
        rows: cells as text, one per column.
        title: a line above.
    """
    rows = [[" ".join(printable(cell).split("\n")) for cell in row] for row in rows]
    right = [bool(rows) and all(row[i][:1].isdigit() for row in rows) for i in range(len(columns))]
    if sys.stdout.isatty():
        _rich_table(columns, rows, right, title)
        return
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    if title:
        say(title)
    for number, line in enumerate(cells):
        padded = (
            cell.rjust(width) if aligned else cell.ljust(width)
            for cell, width, aligned in zip(line, widths, right, strict=True)
        )
        say("  ".join(padded).rstrip())
        if number == 0:
            say("  ".join("-" * width for width in widths))


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, of cells that are Markdown (see `markdown_text`)."""
    first, *others = ("| " + " | ".join(line) + " |" for line in (columns, *rows))
    return [first, "|" + "---|" * len(columns), *others]


def markdown_text(text: str) -> str:
    """Markdown that shows a text as it is, in one line, whatever stands in it."""
    shown = printable(" ".join(text.split()))
    shown = re.sub(
        r"[\\`*_|~$]|^(?:>|[#+=-](?=[\s#=-]))|(?<=^\d)[.)](?=\s)|\](?=[(\[:])", r"\\\g<0>", shown
    )
    return shown.replace("&", "&amp;").replace("<", "&lt;")


def printable(text: str) -> str:
    """A text without what moves a terminal's cursor, turns writing round or cannot be encoded."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _rich_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold")
    for name, aligned in zip(columns, right, strict=True):
        drawn.add_column(name, justify="right" if aligned else "left", overflow="fold")
    for row in rows:
        # Text and not str: brackets in a cell are no markup.
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Update]:
    """A progress bar on a terminal; elsewhere a plain line at about every twentieth part.

    Args:
        what: named beside the bar.
        total: steps.

    Yields:
        update(done, text): `done` steps are finished, `text` is the newest figure.
    """
    if not sys.stdout.isatty():
        yield _plain_progress(what, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        TextColumn("{task.fields[text]}", style="dim"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(what, total=total, text="")
        yield lambda done, text: bar.update(task, completed=done, text=text)


def _plain_progress(what: str, total: int) -> Update:
    shown = -1

    def update(done: int, text: str) -> None:
        nonlocal shown
        part = 20 * done // max(total, 1)
        if part > shown or done >= total:
            shown = part
            say(f"{what} {done}/{total}  {text}")

    return update


def percent(share: float) -> str:
    """A share as text that never rounds up to 100 %: "99.99 %" is not "100 %"."""
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    for places in range(1, 9):
        text = f"{100 * share:.{places}f}"
        if float(text) not in (0.0, 100.0):
            return f"{text} %"
    return f"{100 * share!r} %"


def count(number: int) -> str:
    """A whole number with thin groups: 1,000,000."""
    return f"{number:,}"


def seconds(value: float) -> str:
    """A duration for people."""
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"
