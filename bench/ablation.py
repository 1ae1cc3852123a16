"""Ablations: one thing taken away from a recipe, exact match against length, every seed counted."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from arithtf.evaluate import evaluate
from arithtf.recipes import get_recipe
from arithtf.recipes.ablation import ablations, columns
from arithtf.train import train
from bench.registry import Row, benchmark

SEEDS = 8
COUNT = 200
FACTORS = (1, 2, 5, 10)
"""Lengths that are measured, as multiples of the longest that was trained."""
MOST_COLUMNS = 2500
"""Longest problems measured: without windows their cost is quadratic in it."""
MANY_COLUMNS = 500
"""Of longer problems than this, a quarter as many are measured."""


def measure(case: tuple[str, str, int]) -> tuple[dict[int, float], float]:
    """One seed of one ablation: exact match by length, and seconds of training.

    Args:
        case: recipe, what is taken away, seed.
    """
    name, without, seed = case
    recipe = replace(ablations(get_recipe(name))[without], seed=seed)
    begin = time.perf_counter()
    model = train(recipe, device="cpu")
    seconds = time.perf_counter() - begin
    rows = evaluate(model, recipe, lengths=lengths_of(name), count=count_of(name))
    return {row["length"]: row["exact"] / row["count"] for row in rows}, seconds


def lengths_of(name: str) -> list[int]:
    """The lengths at which a recipe is measured."""
    recipe = get_recipe(name)
    found = sorted({max(1, int(factor * recipe.lengths[1])) for factor in FACTORS})
    return [n for n in found if n == found[0] or columns(recipe, n) <= MOST_COLUMNS]


def count_of(name: str) -> int:
    """Problems of each length on which a recipe is measured."""
    longest = columns(get_recipe(name), lengths_of(name)[-1])
    return COUNT if longest <= MANY_COLUMNS else COUNT // 4


def study(name: str, seeds: int = SEEDS, only: Sequence[str] = ()) -> Iterator[Row]:
    """A row for each ablation of a recipe, all seeds in it: as many at a time as there are cores.

    Args:
        name: of the recipe.
        seeds: how many.
        only: what is taken away; everything that can be, one at a time, if nothing is named.

    Raises:
        ValueError: the recipe has not what is to be taken away.
    """
    there = list(ablations(get_recipe(name)))
    if unknown := [without for without in only if without not in there]:
        raise ValueError(
            f"expected some of {', '.join(there)} to take away from {name}, got {unknown[0]!r}"
        )
    cases = [(name, without, seed) for without in only or there for seed in range(seeds)]
    # Each training has one thread. Processes begin afresh: torch's threads survive no fork.
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        found = pool.imap(measure, cases)
        for without in dict.fromkeys(case[1] for case in cases):
            yield row_of(name, without, [next(found) for _ in range(seeds)])


def row_of(name: str, without: str, seeds: Iterable[tuple[dict[int, float], float]]) -> Row:
    """Median and worst exact match at each length, over all seeds."""
    shares, seconds = zip(*seeds, strict=True)
    row: Row = {
        "recipe": name,
        "without": without,
        "grade": "sampled",
        "seeds": len(shares),
        "count": count_of(name),
        "trained_to": get_recipe(name).lengths[1],
    }
    for length in shares[0]:
        values = [share[length] for share in shares]
        row[f"median_{length}"], row[f"worst_{length}"] = statistics.median(values), min(values)
    return {**row, "training_s": statistics.median(seconds)}


@benchmark("ablation")
def ablation(
    recipes: Sequence[str] = ("addition",), seeds: int = SEEDS, without: Sequence[str] = ()
) -> Iterator[Row]:
    """Ablations of recipes, addition if none is named."""
    for name in recipes:
        yield from study(name, seeds, without)
