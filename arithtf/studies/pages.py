"""Boards for people: as text cells, as Markdown, and as one HTML file without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from arithtf.console import count, markdown_table, markdown_text, percent
from arithtf.studies.board import Board, Line
from arithtf.studies.provenance import code_text

STRIP = (120, 14)
"""Width and height of a picture of shares, in pixels."""

STYLE = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 75em; margin: 2em auto; }
table { border-collapse: collapse; } th, td { padding: .2em .8em .2em 0; text-align: left; }
th { border-bottom: 1px solid #888; } td { border-bottom: 1px solid #ddd; vertical-align: top; }
circle { fill: #1f6feb; fill-opacity: .55; } path { stroke: #d1242f; stroke-width: 2; }
rect { fill: #eee; }"""


def headings(board: Board) -> list[str]:
    """Names of the columns of `cells`."""
    factors = list(dict.fromkeys(name for line in board.lines for name in line.factors))
    names = [*factors, "measure", "grade", "median", "worst [95 %]", "each seed"]
    return [*names, "predicted"] if board.predicted_by is not None else names


def cells(board: Board) -> list[tuple[str, ...]]:
    """A row of text for each line of a board."""
    named = headings(board)
    factors = named[: named.index("measure")]
    rows = []
    for line in board.lines:
        row = [str(line.factors.get(name, "")) for name in factors]
        row += [line.measure, line.grade or "-", _median(line), _worst(line), _each(line)]
        if board.predicted_by is not None:
            row.append(_value(line.predicted, line.unit))
        rows.append(tuple(row))
    return rows


def notes(board: Board) -> list[str]:
    """What a board says beside its figures: what is open, by which code it was made."""
    done = board.cells - len(board.open)
    found = [f"{count(done)} of {count(board.cells)} cells finished."]
    for status in board.open:
        why = f": {status.note}" if status.note else ""
        found.append(f"{status.state}: {status.recipe}, seed {status.seed}{why}")
    found += [f"no figure: {_named(line)}: {line.note}" for line in board.lines if line.note]
    found += [f"made by {code_text(code)}: {count(n)} cells" for code, n in board.code]
    if board.predicted_by is not None:
        before, begun = board.predicted_before
        found.append(
            f"predicted by {code_text(board.predicted_by)}, before the work began in "
            f"{count(before)} of {count(begun)} cells"
        )
    return found


def markdown(board: Board) -> str:
    """The board as Markdown."""
    lines = [f"# {markdown_text(board.study)}", ""]
    lines += [f"{markdown_text(board.what)}.", ""] if board.what else []
    head, *body = (list(map(markdown_text, row)) for row in (headings(board), *cells(board)))
    lines += markdown_table(head, body)
    said = (f"- {markdown_text(note)}" for note in notes(board))
    return "\n".join([*lines, "", *said, ""])


def html(board: Board) -> str:
    """The board as one page; beside a share's line a picture of its seeds, from 0 to 1."""
    head = "".join(f"<th>{escape(name)}</th>" for name in [*headings(board), ""])
    body = []
    for line, row in zip(board.lines, cells(board), strict=True):
        texts = "".join(f"<td>{escape(text)}</td>" for text in row)
        body.append(f"<tr>{texts}<td>{_strip(line)}</td></tr>")
    said = "".join(f"<li>{escape(note)}</li>" for note in notes(board))
    title = escape(board.study)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{escape(board.what)}</p>\n"
        f"<table>\n<tr>{head}</tr>\n" + "\n".join(body) + f"\n</table>\n<ul>{said}</ul>\n"
        "<p>Every seed is shown; none is chosen. In pictures a dot is a seed, from 0 to 1, and a "
        "stroke what was predicted.</p>\n</html>\n"
    )


def _named(line: Line) -> str:
    return ", ".join([*map(str, line.factors.values()), line.measure])


def _median(line: Line) -> str:
    if line.hits is not None and line.count is not None:
        return f"{line.hits} of {line.count}"
    return _value(line.median, line.unit)


def _worst(line: Line) -> str:
    interval = ""
    if line.low is not None and line.high is not None:
        interval = f"[{percent(line.low)}, {percent(line.high)}]"
    worst = "" if line.worst is None else _value(line.worst, line.unit)
    return " ".join(part for part in (worst, interval) if part) or "-"


def _each(line: Line) -> str:
    """All seeds in their order; - where there is no figure."""
    values = {seed["seed"]: _value(seed["value"], line.unit) for seed in line.seeds}
    values |= dict.fromkeys(line.missing, "-")
    return ", ".join(values[seed] for seed in sorted(values)) or "-"


def _value(value: Any, unit: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if unit == "share":
        return percent(value)
    whole = float(value).is_integer() or abs(value) >= 1e4
    shown = count(round(value)) if whole and abs(value) < 1e15 else f"{value:.4g}"
    return f"{shown} {unit}".rstrip()


def _strip(line: Line) -> str:
    """A picture of shares: a dot a seed, a stroke for the prediction."""
    values: Sequence[Any] = [seed["value"] for seed in line.seeds]
    if line.unit != "share" or not values:
        return ""
    wide, high = STRIP
    middle, reach = high / 2, wide - high

    def at(share: float) -> float:
        return round(middle + reach * min(1.0, max(0.0, share)), 1)

    dots = "".join(f'<circle cx="{at(v)}" cy="{middle}" r="4"/>' for v in values)
    stroke = "" if line.predicted is None else f'<path d="M{at(line.predicted)} 1V{high - 1}"/>'
    bar = f'<rect x="{middle}" y="{middle - 1}" width="{reach}" height="2"/>'
    return f'<svg width="{wide}" height="{high}" role="img">{bar}{stroke}{dots}</svg>'
