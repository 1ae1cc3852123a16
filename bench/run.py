"""`python -m bench NAME...`: print rows as they come; with --write append them to bench/results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from arithtf.runs import append_line
from bench.registry import ROOT, Row, discover, facts, rows

RESULTS = ROOT / "results"


def table(shown: Sequence[Row]) -> str:
    """Rows as an aligned table; numbers to the right, a column for every key."""
    keys = list(dict.fromkeys(key for row in shown for key in row))
    cells = [[_text(row.get(key, "")) for key in keys] for row in shown]
    widths = [max(len(key), *(len(line[k]) for line in cells)) for k, key in enumerate(keys)]
    lines = ["  ".join(f"{key:<{width}}" for key, width in zip(keys, widths, strict=True))]
    for row, line in zip(shown, cells, strict=True):
        right = [isinstance(row.get(key), int | float) for key in keys]
        lines.append(
            "  ".join(
                f"{text:>{width}}" if number else f"{text:<{width}}"
                for text, width, number in zip(line, widths, right, strict=True)
            )
        )
    return "\n".join(line.rstrip() for line in lines)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run benchmarks by name.

    Returns:
        0, or 2 for a name or a setting that does not exist.
    """
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks; none lists them")
    parser.add_argument("--write", action="store_true", help="append rows to bench/results/")
    parser.add_argument(
        "--recipe", action="append", metavar="NAME", help="of `step`; may be repeated"
    )
    options = parser.parse_args(arguments)
    settings = {} if options.recipe is None else {"recipes": options.recipe}
    known = discover()
    if not options.names:
        print("benchmarks: " + " ".join(known))
        return 0
    if unknown := [name for name in options.names if name not in known]:
        print(f"expected some of {' '.join(known)}; got {' '.join(unknown)}", file=sys.stderr)
        return 2
    print("  ".join(f"{key}={value}" for key, value in facts().items()))
    for name in options.names:
        try:
            measured = _measure(name, settings, RESULTS if options.write else None)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        print(table(measured))
    return 0


def _measure(name: str, settings: dict[str, object], results: Path | None) -> list[Row]:
    """A benchmark's rows without the common facts, each printed and written as it comes.

    So what a benchmark of hours has measured outlives its end by a kill.
    """
    measured = []
    for row in rows(name, **settings):
        if results is not None:
            results.mkdir(exist_ok=True)
            append_line(results / f"{name}.jsonl", row)
        measured.append({key: value for key, value in row.items() if key not in facts()})
        print("  ".join(f"{key}={_text(value)}" for key, value in measured[-1].items()), flush=True)
    return measured
