"""`arithtf radius`: how far all weights may move before a certificate breaks."""

from __future__ import annotations

import argparse

from arithtf.certify import check_task, require_provable
from arithtf.certify.radius import attack, radius
from arithtf.console import count, figures, say
from arithtf.runs import load_model


def show(arguments: argparse.Namespace) -> int:
    """Print the proved radius and the attack's; exit code 0 only if there is a radius."""
    model, recipe = load_model(arguments.run_directory)
    task, encoding = recipe.arithmetic, recipe.model.encoding
    provable = require_provable(model, task, recipe.coupling)
    found = check_task(task, recipe.coupling, encoding.windows, sinks=encoding.sinks).contexts
    words = task.vocabulary
    proved = radius(provable, found, bos=words.bos)
    broken = attack(provable, found, bos=words.bos, pad=words.pad)
    with figures(arguments.json) as take:
        take([{"proved": proved, "broken": broken, "contexts": len(found.target)}])
        if proved:
            say(
                f"proved: all weights may move by a share of {proved:.2e} of each, in any "
                f"direction, and all {count(len(found.target))} contexts stay right in float32"
            )
            say(f"attacked: moved by {broken:.2e} along the worst direction found, one goes wrong")
        else:
            say("there is no radius: a context is wrong or not surely right; see `arithtf certify`")
    return 0 if proved else 1
