"""`arithtf teach`: the fewest problems that show all there is, and models trained on them."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from arithtf.certify import certify
from arithtf.certify.teaching import TeachingSet, teaching_set
from arithtf.commands.training import train_shown
from arithtf.console import count, progress, say, table
from arithtf.recipes import get_recipe
from arithtf.runs import write_json
from arithtf.train import train


def teach(arguments: argparse.Namespace) -> int:
    """Choose problems, train on them, certify; exit code 0 only if every seed certifies."""
    recipe = get_recipe(arguments.recipe, *arguments.settings)
    out: Path = arguments.out or Path("runs") / f"teach-{recipe.name}"
    task, encoding = recipe.arithmetic, recipe.model.encoding
    with contextlib.ExitStack() as stack:
        update = None
        if not arguments.json:
            update = stack.enter_context(progress(f"choose problems of {recipe.name}", 1))

        def note(problems: int, missing: int) -> None:
            if update is not None:
                update(0, f"{problems} problems, {count(missing)} contexts missing")

        found = teaching_set(
            task,
            recipe.coupling,
            encoding,
            digits=arguments.digits,
            seed=arguments.seed,
            rounds=arguments.rounds,
            progress=note,
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "problems.json", vars(found))
    if not arguments.json:
        say(
            f"{count(len(found.problems))} problems of up to {arguments.digits} digits show all "
            f"{count(found.contexts)} local contexts; at least {count(found.bound)} are needed; "
            f"written to {out / 'problems.json'}"
        )
    rows = []
    for seed in range(arguments.seeds):
        taught = replace(
            recipe,
            seed=seed,
            problems=found.problems,
            local_batches=max(recipe.local_batches, -(-len(found.problems) // recipe.batch)),
        )
        run = out / f"seed-{seed}"
        begun = (run / "config.json").exists()
        (train if arguments.json else train_shown)(taught, run, resume=begun)
        certificate = certify(run)
        certificate.save(run / "certificate.json")
        rows.append((seed, certificate.verdict, certificate.wrong, certificate.margin))
    certified = sum(verdict == "certified" for _, verdict, _, _ in rows)
    if arguments.json:
        print(json.dumps(_plain(found, rows), indent=1))
    elif rows:
        table(
            ("seed", "verdict", "wrong contexts", "smallest margin"),
            [(str(s), v, count(w), f"{m:.2f}" if m is not None else "-") for s, v, w, m in rows],
        )
        say(f"{certified} of {len(rows)} seeds certify, trained on these problems alone")
    return 0 if certified == len(rows) else 1


def _plain(found: TeachingSet, rows: Sequence[tuple[object, ...]]) -> dict[str, object]:
    names = ("seed", "verdict", "wrong", "margin")
    return {**vars(found), "seeds": [dict(zip(names, row, strict=True)) for row in rows]}
