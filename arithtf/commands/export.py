"""`arithtf export`: a model in a form that runs without arithtf."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from arithtf.console import count, figures, say
from arithtf.export import IntegerCertificate, export_integers


def export(arguments: argparse.Namespace) -> int:
    """Write a run's model as integers; exit code 0 only if it is right in every context."""
    run: Path = arguments.run_directory
    out: Path = arguments.out or run.with_name(f"{run.resolve().name}-int{arguments.bits}")
    with figures(arguments.json) as take:
        made = export_integers(run, out, bits=arguments.bits)
        _show(made, out)
        take([{"run": str(run), "certified": made.certified, **asdict(made)}])
    return 0 if made.certified else 1


def _show(made: IntegerCertificate, out: Path) -> None:
    """What came of it, and what to do next."""
    if not made.certified:
        return say(
            f"wrong in {count(made.wrong)} of {count(made.contexts)} contexts with {made.bits} "
            f"bits; export with more, as in --bits {made.bits + 4}"
        )
    say(
        f"certified: right in all {count(made.contexts)} contexts, in integers of {made.bits} bits "
        f"and without any rounding, so exact at every length; written to {out}"
    )
    say(f'next: python {out / "solve.py"} "..."')
