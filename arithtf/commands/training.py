"""`arithtf train`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from arithtf.certify import CannotCertify, Clash, check_task, require_provable_config
from arithtf.console import count, figures, percent, progress, say, seconds
from arithtf.model import Model
from arithtf.recipes import Recipe, folder_name, get_recipe, run_name
from arithtf.runs import read_json, read_lines
from arithtf.tasks import ArithmeticTask
from arithtf.train import Metrics
from arithtf.train import train as train_recipe


def train(arguments: argparse.Namespace) -> int:
    """Train a recipe into a run directory."""
    given = [(name, getattr(arguments, name)) for name in ("seed", "steps")]
    shortcuts = [f"{name}={value}" for name, value in given if value is not None]
    settings = [*arguments.settings, *shortcuts]
    recipe = get_recipe(arguments.recipe, *settings)
    usual = get_recipe(arguments.recipe, *(text for text in settings if text.startswith("task")))
    # Named after its task if it is as usual, and else so that no other recipe has the directory.
    out = arguments.out or Path("runs") / (
        folder_name(recipe.name) if recipe == usual else run_name(recipe)
    )
    with figures(arguments.json) as take:
        if not arguments.anyway and not arguments.resume:
            check_shown(recipe)
        model = train_shown(recipe, out, resume=arguments.resume)
        say(f"next: arithtf {'certify' if _provable(recipe) is None else 'evaluate'} {out}")
        if arguments.json:
            take([_figures(recipe, out, model)])
    return 0


def _figures(recipe: Recipe, out: Path, model: Model) -> dict[str, Any]:
    """What training came to: its size and time, and the last line of metrics.jsonl."""
    facts = {"run": str(out), "recipe": recipe.name, "parameters": model.num_parameters()}
    facts["seconds"] = read_json(out / "timing.json")["seconds"]
    for row in read_lines(out / "metrics.jsonl")[-1:]:
        facts |= row
    return facts


def check_shown(recipe: Recipe) -> None:
    """Say whether any two problems of any length clash in what a model of the recipe sees.

    Raises:
        Clash: two do, so that it cannot become exact.
    """
    encoding = recipe.model.encoding
    if not isinstance(recipe.task, ArithmeticTask):
        return say(
            f"not checked for conflicts: {recipe.task.name} is no task on operands, so what its "
            "problems show at all lengths cannot be enumerated"
        )
    reason = _provable(recipe)
    if reason is not None and not recipe.model.windowed:
        return say(f"not checked for conflicts: {reason}")
    try:
        found = check_task(recipe.task, recipe.coupling, encoding.windows, sinks=encoding.sinks)
    except Clash as clash:
        raise Clash(f"{clash}. No training makes it exact; --anyway trains it") from None
    except CannotCertify as unknown:
        return say(f"not checked for conflicts: {unknown}")
    say(f"checked: {count(len(found.contexts.target))} local contexts at all lengths, no conflict")


def _provable(recipe: Recipe) -> CannotCertify | None:
    """Why no model of a recipe can be certified; None if one might."""
    try:
        require_provable_config(recipe.model, recipe.task, recipe.coupling)
    except CannotCertify as reason:
        return reason
    return None


def train_shown(recipe: Recipe, out: Path, *, resume: bool = False) -> Model:
    """Train with progress, and say how it ended."""
    last: list[Metrics] = []
    with progress(f"train {recipe.name}", recipe.steps) as update:

        def show(metrics: Metrics) -> None:
            last[:] = [metrics]
            update(metrics.step, f"loss {metrics.loss:.2e}  exact {percent(metrics.exact)}")

        model = train_recipe(recipe, out, resume=resume, progress=show)
    right = f"whole work right in {percent(last[0].exact)} of its last batch" if last else ""
    ended = right or "nothing to do"
    spent = seconds(read_json(out / "timing.json")["seconds"])
    say(
        f"trained {recipe.name} on {recipe.trained_on}: {count(model.num_parameters())} "
        f"parameters, {recipe.budget}, in {spent}, {ended}; run in {out}"
    )
    return model
