"""Sampled evidence: random problems of the test split, with intervals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from arithtf.evaluate.groups import TOKENS
from arithtf.evaluate.problems import tokens_of
from arithtf.evaluate.results import Row, result_row
from arithtf.evaluate.statistics import wilson
from arithtf.evaluate.verify import Verdict, verify
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import weights_hash
from arithtf.tasks import Address, Batch, Calculator, Draw


def evaluate(
    model: Model,
    recipe: Recipe,
    *,
    lengths: Sequence[int] = (10, 100, 1000),
    count: int = 1000,
    seed: int = 0,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Exact match and per-digit accuracy on uniform problems that training never drew.

    Args:
        model: the model.
        recipe: the recipe it was trained by.
        lengths: digits of both operands, one row each.
        count: problems a length, drawn independently.
        seed: of the problems.
        progress: called with each row.

    Returns:
        Rows (see `results`) with `accuracy` (share of right answer tokens) and the 95 % Wilson
        intervals exact_low, exact_high, accuracy_low, accuracy_high. Tokens of one answer are not
        independent, so theirs is a description and not a bound.

    Raises:
        ValueError: no length, a length or count below 1, or a model that cannot take the length.
    """
    if not lengths or min(lengths) < 1 or count < 1:
        raise ValueError(f"expected lengths >= 1 and count >= 1, got {tuple(lengths)} and {count}")
    weights = weights_hash(model)
    rows = []
    for length in lengths:
        began = time.perf_counter()
        shape = _sampled(recipe, length)
        verdict = Verdict.join(list(_verdicts(model, recipe, length, count, seed)))
        row = result_row(
            "sampled",
            "uniform",
            verdict,
            length=length,
            **dict(zip(("left", "right"), shape, strict=False)),
            operands=len(shape),
            seconds=time.perf_counter() - began,
            weights=weights,
            split="test",
            seed=seed,
        )
        right = row["tokens"] - row["wrong_tokens"]
        row["accuracy"] = right / row["tokens"]
        row["exact_low"], row["exact_high"] = wilson(row["exact"], row["count"])
        row["accuracy_low"], row["accuracy_high"] = wilson(right, row["tokens"])
        rows.append(row)
        if progress is not None:
            progress(row)
    return rows


def _sampled(recipe: Recipe, length: int) -> tuple[int, ...]:
    """Operand lengths of the problems that are sampled."""
    task = recipe.arithmetic
    return task.stress_lengths(length)[0][1 if isinstance(task, Calculator) else 0 :]


def longest_of(recipe: Recipe, length: int) -> int:
    """Columns of problems of the shape that is sampled, all operands of `length` digits."""
    return tokens_of(recipe.arithmetic, recipe.arithmetic.stress_lengths(length)[0])


def _verdicts(
    model: Model, recipe: Recipe, length: int, count: int, seed: int
) -> Iterator[Verdict]:
    """Verdicts on `count` problems, a bounded number of tokens at a time."""
    at_once = min(count, max(1, TOKENS // longest_of(recipe, length)))
    for step, first in enumerate(range(0, count, at_once)):
        draw = Draw((length, length), size=min(at_once, count - first))
        # Written as given problems, so that what is random in their ids follows from each problem.
        operands = recipe.arithmetic.operands(Address(seed, "test", step), draw)
        batch = Batch.of(recipe.arithmetic.instances(operands, max_length=length), recipe.coupling)
        yield verify(model, batch)
