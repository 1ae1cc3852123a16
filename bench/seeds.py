"""The seed board: fresh weights to a certificate for many seeds, every one shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from arithtf.certify import certify
from arithtf.recipes import Recipe, get_recipe
from arithtf.train import train
from bench.registry import Row, benchmark

SEEDS = 16
COLUMN_SEEDS = 8
COLUMN_TASKS = (
    "subtraction",
    "comparison",
    "increment",
    "times-digit",
    "modular-addition",
    "residue-addition",
    "copy",
    "reverse",
    "parity",
)


def board(recipe: Recipe, seeds: int = SEEDS) -> Iterator[Row]:
    """One row per seed: seconds of training and of the certificate, verdict, smallest margin.

    Processor seconds are shown too: on a machine that does other work, they say what it costs.
    """
    for seed in range(seeds):
        seeded = replace(recipe, seed=seed)
        begin, worked = time.perf_counter(), time.process_time()
        model = train(seeded)
        trained, worked = time.perf_counter(), time.process_time() - worked
        certificate = certify(model, seeded.arithmetic, seeded.coupling)
        done = time.perf_counter()
        yield {
            "recipe": recipe.name,
            "seed": seed,
            "steps": recipe.steps,
            "parameters": model.num_parameters(),
            "training_s": trained - begin,
            "training_cpu_s": worked,
            "certificate_s": done - trained,
            "verdict": certificate.verdict,
            "contexts": certificate.contexts,
            "wrong": certificate.wrong,
            "smallest_margin": certificate.margin,
            "least_after_rounding": certificate.lower,
            "rounding_bound": certificate.bound,
        }


def summary(rows: Sequence[Row]) -> Row:
    """What a board says in one row: how many certified, medians and the worst seed."""
    row: Row = {
        "recipe": rows[0]["recipe"],
        "seed": "all",
        "verdict": f"{sum(r['verdict'] == 'certified' for r in rows)} of {len(rows)} certified",
        "wrong": sum(r["wrong"] for r in rows),
    }
    for name in ("training_s", "training_cpu_s", "certificate_s"):
        row[name] = statistics.median(r[name] for r in rows)
        row[f"worst_{name}"] = max(r[name] for r in rows)
    for name in ("smallest_margin", "least_after_rounding"):
        row[name] = min((r[name] for r in rows if r[name] is not None), default=None)
    row["rounding_bound"] = max((r["rounding_bound"] or 0.0 for r in rows), default=None)
    return row


@benchmark("seeds")
def seeds(recipes: Sequence[str] = ("addition",), seeds: int = SEEDS) -> Iterator[Row]:
    """Any recipes, the main one by default: a row per seed, then one that sums them up.

    Args:
        recipes: names.
        seeds: 0 .. seeds - 1 are trained.
    """
    for name in recipes:
        rows = []
        for row in board(get_recipe(*name.split()), seeds):
            rows.append(row)
            yield row
        yield summary(rows)


@benchmark("seeds-columns")
def seeds_columns() -> Iterator[Row]:
    """Every column task."""
    yield from seeds(COLUMN_TASKS, COLUMN_SEEDS)


@benchmark("seeds-formats")
def seeds_formats() -> Iterator[Row]:
    """The zero-padded format and the symmetric window, four seeds each."""
    for name in ("addition task.format=padded", "addition-symmetric"):
        yield from board(get_recipe(*name.split()), seeds=4)
