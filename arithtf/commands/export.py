"""`arithtf export`: a model in a form that runs without arithtf."""

from __future__ import annotations

import argparse
from pathlib import Path

from arithtf.console import count, say
from arithtf.export import export_integers


def export(arguments: argparse.Namespace) -> int:
    """Write a run's model as integers; exit code 0 only if it is right in every context."""
    run: Path = arguments.run_directory
    out: Path = arguments.out or run.with_name(f"{run.resolve().name}-int{arguments.bits}")
    made = export_integers(run, out, bits=arguments.bits)
    if not made.certified:
        say(
            f"wrong in {count(made.wrong)} of {count(made.contexts)} contexts with "
            f"{arguments.bits} bits; export with more, as in --bits {arguments.bits + 4}"
        )
        return 1
    say(
        f"certified: right in all {count(made.contexts)} contexts, in integers of {made.bits} bits "
        f"and without any rounding, so exact at every length; written to {out}"
    )
    say(f'next: python {out / "solve.py"} "..."')
    return 0
