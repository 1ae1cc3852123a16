"""One pass over large scratchpads: products, sums of many operands, quotients."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from arithtf.evaluate import verify_operands
from arithtf.recipes import get_recipe
from arithtf.tasks import Operands
from arithtf.train import train
from bench.registry import Row, benchmark
from bench.timing import peak_mib

LENGTHS: dict[str, tuple[tuple[int, ...], ...]] = {
    "multiplication": ((100, 100), (1000, 1000), (100_000, 1)),
    "running-sum": ((1000,) * 10, (1000,) * 100, (1000,) * 1000),
    "division": ((100, 50), (100, 100), (300, 150)),
}
"""Recipe -> digits of each operand."""


@benchmark("scratchpads")
def scratchpads() -> Iterator[Row]:
    """A random problem of each size, by the recipe's seed 0, layout included."""
    for name, problems in LENGTHS.items():
        recipe = get_recipe(name)
        model = train(recipe, device="cpu")
        random = np.random.default_rng(0)
        for lengths in problems:
            operands = Operands.from_digits(
                [[_number(random, digits) for digits in lengths]], arity=len(lengths)
            )
            begin = time.perf_counter()
            verdict = verify_operands(model, recipe.arithmetic, recipe.coupling, operands)
            seconds = time.perf_counter() - begin
            yield {
                "recipe": name,
                "operands": len(lengths),
                "digits": lengths[0],
                "last": lengths[-1],
                "grade": "sampled",
                "exact": int(verdict.exact.sum()),
                "of": len(verdict),
                "predictions": int(verdict.tokens.sum()),
                "seconds": seconds,
                "torch_threads": torch.get_num_threads(),
                "peak_MiB": peak_mib(),
            }


def _number(random: np.random.Generator, digits: int) -> npt.NDArray[np.uint8]:
    """A number of exactly so many digits."""
    number = random.integers(0, 10, digits).astype(np.uint8)
    number[0] = random.integers(1, 10)
    return number
