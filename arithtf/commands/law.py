"""`arithtf law`: a model's exact-match rate at every length, computed."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from arithtf.certify.law import LENGTHS, Law, law
from arithtf.console import count, figures, say, table
from arithtf.runs import load_model


def show(arguments: argparse.Namespace) -> int:
    """Print the law of a run's model; exit code 0 whatever it is."""
    model, recipe = load_model(arguments.run_directory)
    found = law(model, recipe.arithmetic, recipe.coupling)
    lengths = arguments.lengths or LENGTHS
    with figures(arguments.json) as take:
        if arguments.json:
            take([_row(found, length) for length in lengths])
        else:
            _show(found, lengths)
    return 0


def _show(found: Law, lengths: Sequence[int]) -> None:
    """The law for people."""
    rows = [(count(n), _share(found.log_at(n) if found.wrong else 0.0)) for n in lengths]
    table(("digits", "exact match, computed"), rows)
    say(f"of problems whose operands have so many digits each, {_distribution(found)}")
    if not found.wrong:
        return say(
            "the model is right in every context; `arithtf certify` proves it, rounding included"
        )
    say(f"wrong in {count(found.wrong)} of {count(len(found.chain.wrong))} contexts")
    if found.chain.edges.rule.limit:
        return
    half = found.half
    say(f"half of the problems fail from {count(half)} digits on" if half else "half never fail")
    say(
        f"each further digit leaves {found.survival:.9g} of them right; the first mistake comes "
        f"after {found.first_failure:.4g} digits on average"
    )
    costs = found.costs()
    if costs:
        say("contexts that cost most, and the share of columns that fail in them:")
        table(("share", "context"), [(f"{cost.rate:.2e}", cost.context) for cost in costs])


def _row(found: Law, length: int) -> dict[str, float | int | str | None]:
    log = found.log_at(length) if found.wrong else 0.0
    return {
        "length": length,
        "exact": found.at(length),
        "log10": log / math.log(10) if math.isfinite(log) else None,
        "grade": "computed",
        "distribution": _distribution(found),
    }


def _distribution(found: Law) -> str:
    return "all strings alike" if found.chain.edges.rule.strings else "all numbers alike"


def _share(log: float) -> str:
    """A share by its logarithm: 64.84 %, or a power of ten."""
    if log == 0:
        return "100 %"
    if log == -math.inf:
        return "0"
    if log > math.log(1e-4):
        return f"{100 * math.exp(log):.4f} %"
    return f"10^{log / math.log(10):,.1f}"
