"""Encodings side by side: exact match at 10, 20 and 100 digits, same data, model and steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace

from arithtf.evaluate import evaluate
from arithtf.recipes import RECIPES, Recipe, get_recipe
from arithtf.train import train
from bench.registry import Row, benchmark

LENGTHS = (10, 20, 100)
SEEDS = 3
COUNT = 200


def study(recipe: Recipe, seeds: int = SEEDS) -> Row:
    """Median and worst exact match over all seeds; `beyond` where a table of positions ends."""
    exact: dict[int, list[float]] = {length: [] for length in LENGTHS}
    begin = time.perf_counter()
    for seed in range(seeds):
        seeded = replace(recipe, seed=seed)
        model = train(seeded)
        for length in LENGTHS:
            try:
                row = evaluate(model, seeded, lengths=(length,), count=COUNT)[0]
            except ValueError:  # an id beyond the learned table
                continue
            exact[length].append(row["exact"] / row["count"])
    found: Row = {"recipe": recipe.name, "grade": "sampled", "seeds": seeds, "count": COUNT}
    for length, shares in exact.items():
        found[f"median_{length}"] = statistics.median(shares) if shares else "beyond"
        found[f"worst_{length}"] = min(shares) if shares else "beyond"
    return {**found, "steps": recipe.steps, "seconds": time.perf_counter() - begin}


@benchmark("encodings")
def encodings() -> Iterator[Row]:
    """Every recipe of addition."""
    for name in RECIPES:
        if name.startswith("addition"):
            yield study(get_recipe(name))
