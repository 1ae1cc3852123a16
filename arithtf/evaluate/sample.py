"""Sampled evidence: random problems of the test split, with intervals; all, where they are few."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from arithtf.evaluate.groups import TOKENS
from arithtf.evaluate.problems import LONGEST, different, every_problem, tokens_of
from arithtf.evaluate.results import Row, result_row
from arithtf.evaluate.score import Scorer, Scores
from arithtf.evaluate.statistics import wilson
from arithtf.evaluate.verify import verify
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import weights_hash
from arithtf.tasks import Address, ArithmeticTask, Batch, Calculator, Draw, Operands

MOST = 10**7
"""Problems of a length at most: they narrow an interval to some 10^-7."""


def evaluate(
    model: Model,
    recipe: Recipe,
    *,
    lengths: Sequence[int] = (10, 100, 1000),
    count: int = 1000,
    seed: int = 0,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Right answers, right work and right digits on uniform problems that training never drew.

    Where the test split has no more than `count` problems of a length, each is taken once: the
    row's grade is "exhaustive" and its share the split's own. Else problems are drawn, and those
    drawn more than once count once: intervals are about different problems.

    Of a task without operands the work is the answer and its tokens are the digits: one
    teacher-forced pass over the task's sample tells.

    Args:
        model: the model.
        recipe: the recipe it was trained by.
        lengths: digits of both operands, or sizes of the task's problems; one row each.
        count: problems a length, drawn independently.
        seed: of the problems.
        progress: called with each row.

    Returns:
        Rows (see `results`) with `accuracy` (share of right digits) and the 95 % Wilson intervals
        exact_low, exact_high (answers), whole_work_low, whole_work_high, accuracy_low,
        accuracy_high. Digits of one answer are not independent, so theirs is a description and not
        a bound. Of an exhaustive row each interval is the share itself.

    Raises:
        ValueError: no length, a length outside 1..LONGEST, a count outside 1..MOST, or a model that
            cannot take the length.
    """
    if not lengths or not all(1 <= length <= LONGEST for length in lengths):
        raise ValueError(f"expected lengths in 1..{LONGEST} digits, got {tuple(lengths)}")
    if not 1 <= count <= MOST:
        raise ValueError(f"expected a count of 1..{MOST} problems a length, got {count}")
    weights = weights_hash(model)
    on_operands = isinstance(recipe.task, ArithmeticTask)
    rows = []
    for length in lengths:
        began = time.perf_counter()
        shape = _sampled(recipe, length)
        every = every_problem(recipe.arithmetic, shape, count) if on_operands else None
        if on_operands:
            drawn = _drawn(recipe, length, count, seed) if every is None else [every]
            score = Scorer(model, recipe.arithmetic, recipe.coupling)
            scores = Scores.join([score(operands) for operands in drawn if len(operands)])
        else:
            scores = Scores.join(list(_without_operands(model, recipe, length, count, seed)))
        row = result_row(
            "sampled",
            "uniform" if every is None else "every",
            scores,
            length=length,
            **dict(zip(("left", "right"), shape, strict=False)),
            operands=len(shape) or None,
            drawn=count if every is None else len(every),
            seconds=time.perf_counter() - began,
            weights=weights,
            split="test",
            seed=seed,
        )
        rows.append(_with_shares(row if every is None else row | {"grade": "exhaustive"}))
        if progress is not None:
            progress(rows[-1])
    return rows


def _with_shares(row: Row) -> Row:
    """A row with the share of right digits and all intervals."""
    right = row["digits"] - row["wrong_digits"]
    shares = {
        "exact": (row["exact"], row["count"]),
        "whole_work": (row["whole_work"], row["count"]),
        "accuracy": (right, row["digits"]),
    }
    found = row | {"accuracy": right / row["digits"]}
    for name, (hits, count) in shares.items():
        ends = (hits / count,) * 2 if row["grade"] == "exhaustive" else wilson(hits, count)
        found[f"{name}_low"], found[f"{name}_high"] = ends
    return found


def _sampled(recipe: Recipe, length: int) -> tuple[int, ...]:
    """Operand lengths of the problems that are sampled; none of a task without operands."""
    task = recipe.task
    if not isinstance(task, ArithmeticTask):
        return ()
    return task.stress_lengths(length)[0][1 if isinstance(task, Calculator) else 0 :]


def longest_of(recipe: Recipe, length: int) -> int:
    """Columns of problems of the shape that is sampled, all operands of `length` digits."""
    task = recipe.task
    if isinstance(task, ArithmeticTask):
        return tokens_of(task, task.stress_lengths(length)[0])
    width: int = task.sample(Address(0, "test"), Draw((length, length), 1)).tokens.shape[1]
    return width


def _drawn(recipe: Recipe, length: int, count: int, seed: int) -> Iterator[Operands]:
    """The different ones of `count` problems, a bounded number of tokens at a time."""
    at_once = min(count, max(1, TOKENS // longest_of(recipe, length)))
    seen: set[bytes] = set()
    for step, first in enumerate(range(0, count, at_once)):
        draw = Draw((length, length), size=min(at_once, count - first))
        yield different(recipe.arithmetic.operands(Address(seed, "test", step), draw), seen)


def _without_operands(
    model: Model, recipe: Recipe, length: int, count: int, seed: int
) -> Iterator[Scores]:
    """Scores of `count` problems of the task's sample, a bounded number of tokens at a time."""
    at_once = min(count, max(1, TOKENS // longest_of(recipe, length)))
    for step, first in enumerate(range(0, count, at_once)):
        draw = Draw((length, length), size=min(at_once, count - first))
        made = recipe.task.sample(Address(seed, "test", step), draw)
        work = verify(model, Batch.of(made, recipe.coupling))
        yield Scores(work, work.exact, work.tokens, work.wrong)
