"""The seed board: fresh weights to a certificate for 16 seeds, every one shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from arithtf.certify import certify
from arithtf.recipes import Recipe, get_recipe
from arithtf.train import train
from bench.registry import Row, benchmark

SEEDS = 16


def board(recipe: Recipe, seeds: int = SEEDS) -> Iterator[Row]:
    """One row per seed: seconds of training and of the certificate, verdict, smallest margin."""
    for seed in range(seeds):
        seeded = replace(recipe, seed=seed)
        begin = time.perf_counter()
        model = train(seeded)
        trained = time.perf_counter()
        certificate = certify(model, seeded.task, seeded.coupling)
        done = time.perf_counter()
        yield {
            "recipe": recipe.name,
            "seed": seed,
            "steps": recipe.steps,
            "parameters": model.num_parameters(),
            "training_s": trained - begin,
            "certificate_s": done - trained,
            "verdict": certificate.verdict,
            "contexts": certificate.contexts,
            "wrong": certificate.wrong,
            "smallest_margin": certificate.margin,
            "least_after_rounding": certificate.lower,
            "rounding_bound": certificate.bound,
        }


@benchmark("seeds")
def seeds() -> Iterator[Row]:
    """The main recipe, on torch's default number of threads."""
    yield from board(get_recipe("addition"))


@benchmark("seeds-formats")
def seeds_formats() -> Iterator[Row]:
    """The zero-padded format and the symmetric window, four seeds each."""
    for name in ("addition-padded", "addition-symmetric"):
        yield from board(get_recipe(name), seeds=4)
