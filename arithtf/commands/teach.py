"""`arithtf teach`: the fewest problems that show all there is, and models trained on them."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from arithtf.certify import certify
from arithtf.certify.teaching import TeachingSet, teaching_set
from arithtf.commands.training import train_shown
from arithtf.console import count, figures, progress, say, table
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import write_json
from arithtf.train import Interrupted


def teach(arguments: argparse.Namespace) -> int:
    """Choose problems, train on them, certify; exit code 0 only if every seed certifies."""
    recipe = get_recipe(arguments.recipe, *arguments.settings)
    out: Path = arguments.out or Path("runs") / f"teach-{recipe.name}"
    with figures(arguments.json) as take:
        found = _chosen(recipe, arguments)
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "problems.json", vars(found))
        say(
            f"{count(len(found.problems))} problems of up to {arguments.digits} digits show all "
            f"{count(found.contexts)} local contexts; at least {count(found.bound)} are needed; "
            f"written to {out / 'problems.json'}"
        )
        rows = [_taught(recipe, found, seed, out) for seed in range(arguments.seeds)]
        certified = sum(row["verdict"] == "certified" for row in rows)
        take([{**vars(found), "certified": certified, "seeds": rows}])
        if rows:
            _show(rows)
            say(f"{certified} of {len(rows)} seeds certify, trained on these problems alone")
    return 0 if certified == len(rows) else 1


def _chosen(recipe: Recipe, arguments: argparse.Namespace) -> TeachingSet:
    """The problems, with progress."""
    with progress(f"choose problems of {recipe.name}", 1) as update:

        def note(problems: int, missing: int) -> None:
            update(0, f"{problems} problems, {count(missing)} contexts missing")

        return teaching_set(
            recipe.arithmetic,
            recipe.coupling,
            recipe.model.encoding,
            digits=arguments.digits,
            seed=arguments.seed,
            rounds=arguments.rounds,
            progress=note,
        )


def _taught(recipe: Recipe, found: TeachingSet, seed: int, out: Path) -> dict[str, Any]:
    """What became of a seed; a run that is there already goes on."""
    batches = max(recipe.local_batches, -(-len(found.problems) // recipe.batch))
    own = replace(recipe, seed=seed, problems=found.problems, local_batches=batches)
    run = out / f"seed-{seed}"
    try:
        train_shown(own, run, resume=(run / "config.json").exists())
    except Interrupted as stop:
        message = f"interrupted at seed {seed}; the same command goes on"
        raise Interrupted(message, stop.number) from None
    certificate = certify(run)
    certificate.save(run / "certificate.json")
    names = ("verdict", "wrong", "margin")
    return {"seed": seed} | {name: getattr(certificate, name) for name in names}


def _show(rows: list[dict[str, Any]]) -> None:
    cells = [
        (
            str(row["seed"]),
            row["verdict"],
            count(row["wrong"]),
            "-" if row["margin"] is None else f"{row['margin']:.2f}",
        )
        for row in rows
    ]
    table(("seed", "verdict", "wrong contexts", "smallest margin"), cells)
