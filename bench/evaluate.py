"""One-pass verification, decoding and solving: seconds, time per digit, peak memory.

Measures the run in the folder that ARITHTF_RUN names, else a model of the recipe "addition"
trained for the purpose; no time depends on what the model has learnt, save that of long answers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from arithtf.evaluate import Solver, stress, verify_operands
from arithtf.model import Model
from arithtf.recipes import Recipe, get_recipe
from arithtf.runs import load_model
from arithtf.tasks import Address, Draw, Operands
from arithtf.train import train
from bench.registry import Row, benchmark
from bench.timing import best_seconds, peak_mib

DIGITS = [10**k for k in range(3, 8)]
REPEATS = 3
EQUAL_WORK = 1_000_000


@cache
def adder() -> tuple[Model, Recipe]:
    """The model under measurement and its recipe."""
    run = os.environ.get("ARITHTF_RUN")
    if run is not None:
        return load_model(Path(run))
    recipe = get_recipe("addition")
    return train(recipe, device="cpu"), recipe


@benchmark("verify")
def verify_rows() -> Iterator[Row]:
    """One pass over sums of 10^3 .. 10^7 digits, layout included; short ones many at a time."""
    model, recipe = adder()
    imports = peak_mib()
    for digits in DIGITS:
        operands = recipe.arithmetic.operands(
            Address(1, "all", 0), Draw((digits, digits), max(1, EQUAL_WORK // digits))
        )

        def work(operands: Operands = operands) -> None:
            verdict = verify_operands(model, recipe.arithmetic, recipe.coupling, operands)
            if not verdict.exact.all():
                raise RuntimeError("the model under measurement errs; train it to the end")

        seconds = best_seconds(work, REPEATS if digits < 10**7 else 1)
        yield {
            "what": "one-pass verification",
            "digits": digits,
            "sums": len(operands),
            "torch_threads": torch.get_num_threads(),
            "seconds": seconds,
            "us_per_digit": seconds / (digits * len(operands)) * 1e6,
            "peak_MiB": peak_mib(),
            "peak_MiB_before": imports,
        }


@benchmark("solve")
def solve_rows() -> Iterator[Row]:
    """Sums as text, by a fresh solver each time: 1,000 of 1,000 digits, and one full ripple."""
    model, recipe = adder()
    rng = np.random.default_rng(0)
    digits = rng.integers(1, 10, (1000, 2, 1000)).astype(str)
    many = ["+".join("".join(operand) for operand in problem) for problem in digits]
    for what, lines, length in (
        ("solve 1,000 sums", many, 1000),
        ("solve one full ripple", ["9" * 10**6 + "+1"], 10**6),
    ):

        def work(lines: list[str] = lines) -> None:
            if any(answer.text is None for answer in Solver(model, recipe).solve(lines)):
                raise RuntimeError("the model under measurement errs; train it to the end")

        yield {
            "what": what,
            "digits": length,
            "sums": len(lines),
            "torch_threads": torch.get_num_threads(),
            "seconds": best_seconds(work, REPEATS),
            "peak_MiB": peak_mib(),
        }


@benchmark("carry")
def carry_rows() -> Iterator[Row]:
    """The carry suite at every length of the ladder up to a million digits: exact match."""
    model, recipe = adder()
    began = time.perf_counter()
    rows = stress(model, recipe, "carry")
    seconds = time.perf_counter() - began
    for length in sorted({row["length"] for row in rows}):
        there = [row for row in rows if row["length"] == length]
        yield {
            "what": "carry suite",
            "digits": length,
            "sums": sum(row["count"] for row in there),
            "exact": sum(row["exact"] for row in there),
            "smallest_margin": min(row["margin"] for row in there),
            "seconds": sum(row["seconds"] for row in there),
            "seconds_of_suite": seconds,
        }
