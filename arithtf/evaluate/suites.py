"""Stressed evidence: suites of adversarial problems for any task.

Uniform digits are weak evidence: the longest carry chain of a random sum of a million digits is
about six columns. So the suites choose digits, chains, places and lengths on purpose. What a task
declares (its base, the shapes of its problems, what it takes) decides what it is given; the columns
of a problem decide how large its problems become, since the work of a product is quadratic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from arithtf.certify.contexts import enumerate_contexts
from arithtf.evaluate.adversarial import Maker, Problem, choose
from arithtf.evaluate.problems import (
    LONGEST,
    SHARE,
    Part,
    carry_problems,
    different,
    grid_problems,
    ladder_lengths,
    parts_of,
    shapes,
    tokens_of,
)
from arithtf.evaluate.results import Row, result_row
from arithtf.evaluate.score import Scorer, Scores
from arithtf.model import Model
from arithtf.recipes import Recipe
from arithtf.runs import weights_hash
from arithtf.tasks import Addition, ArithmeticTask, Calculator, Coupling, Operands

SUITES = ("carry", "adversarial", "ladder", "grid", "tour")
MAX_DIGITS = 1_000_000

MAX_TOKENS = 1 << 22
"""Columns of the largest problems: products of 1000 x 1000 digits, sums of a million."""

LADDER = ("nines", "random", "complements", "borrows", "one long operand")
"""Distributions of the ladder, where the shape has them."""

FEW = 4
"""Problems of one distribution at a step of the ladder."""

SHORT = (1, 2, 3, 5)
"""Lengths below the decades that the adversarial suite begins with."""


def stress(
    model: Model,
    recipe: Recipe,
    suite: str = "all",
    *,
    max_digits: int = MAX_DIGITS,
    max_tokens: int = MAX_TOKENS,
    seed: int = 0,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Run one suite or all that the task has.

    Args:
        model: the model.
        recipe: the recipe it was trained by.
        suite: "carry" (sums only: chain length x place, at 10, 10^2 .. max_digits), "adversarial"
            (every shape of short and long operands, digits of every pattern), "ladder" (the same
            shapes, few distributions, to the largest that fit), "grid" (length x length, or
            operands x length), "tour" (problems that contain every local context) or "all".
        max_digits: longest operand; the tour has its own lengths.
        max_tokens: columns of the largest problem, its work included.
        seed: of the random digits.
        progress: called with each row as soon as there is one.

    Returns:
        Rows, see `results`.

    Raises:
        ValueError: an unknown suite, max_digits outside 1..LONGEST, max_tokens below 1, a suite
            that the task does not have, a model that cannot take the lengths, or a tour of contexts
            that cannot be enumerated; "all" leaves out suites that there are not.
    """
    if suite not in (*SUITES, "all"):
        raise ValueError(f"expected a suite of {(*SUITES, 'all')}, got {suite!r}")
    if not 1 <= max_digits <= LONGEST or max_tokens < 1:
        raise ValueError(
            f"expected max_digits in 1..{LONGEST} and max_tokens >= 1, got {max_digits} and "
            f"{max_tokens}"
        )
    judge, rows = _Judge(model, recipe, max_digits, max_tokens, seed), []
    for name in SUITES if suite == "all" else (suite,):
        try:
            for row in _RUN[name](judge):
                rows.append(row)
                if progress is not None:
                    progress(row)
        except _NoSuite as error:
            if suite != "all":
                raise ValueError(str(error)) from error
    return rows


class _NoSuite(ValueError):
    """The task or the model does not have this suite."""


class _Judge:
    """Verifies problems of one model, as large as they may become, and writes rows."""

    def __init__(
        self, model: Model, recipe: Recipe, max_digits: int, max_tokens: int, seed: int
    ) -> None:
        self.max_digits, self.max_tokens, self.seed = max_digits, max_tokens, seed
        self.model, self.weights = model, weights_hash(model)
        self.task: ArithmeticTask = recipe.arithmetic
        self.coupling: Coupling = recipe.coupling
        self.scorer = Scorer(model, self.task, self.coupling)

    def scores(self, operands: Operands) -> tuple[Scores, float]:
        """The scores and the seconds they took."""
        began = time.perf_counter()
        return self.scorer(operands), time.perf_counter() - began

    def row(self, suite: str, distribution: str, operands: Operands, **facts: int) -> Row:
        """One row about problems of one distribution, equal ones taken once."""
        scores, seconds = self.scores(different(operands))
        facts |= {"drawn": len(operands)}
        return self._row(suite, distribution, scores, seconds, sizes_of(operands) | facts)

    def rows(
        self, suite: str, part: Part, groups: Mapping[str, Sequence[Problem]]
    ) -> Iterator[Row]:
        """A row for each group of problems, all judged together: alone they are too few.

        Of equal problems of a group one is taken.
        """
        if not groups:
            return
        made = {
            name: Operands.from_digits(problems, arity=len(problems[0]))
            for name, problems in groups.items()
        }
        taken = {name: different(operands) for name, operands in made.items()}
        together = [(*part.prefix, *problem) for found in taken.values() for problem in found]
        scores, seconds = self.scores(Operands.from_digits(together, arity=len(together[0])))
        first = 0
        for name, operands in taken.items():
            end = first + len(operands)
            share = seconds * (end - first) / len(together)
            facts = sizes_of(operands) | {"drawn": len(made[name])}
            yield self._row(suite, f"{part.sign}{name}", scores[first:end], share, facts)
            first = end

    def _row(
        self, suite: str, distribution: str, scores: Scores, seconds: float, facts: dict[str, Any]
    ) -> Row:
        return result_row(
            suite, distribution, scores, seconds=seconds, weights=self.weights, **facts
        )


def sizes_of(operands: Operands) -> dict[str, Any]:
    """The longest operand, the number of operands, and lengths that all problems share.

    Returns:
        Keys "length", "operands", "left" and "right" of a row, see `results`.
    """
    lengths = np.diff(operands.offsets).reshape(-1, operands.arity)
    facts: dict[str, Any] = {"length": int(lengths.max()), "operands": operands.arity}
    for name, column in zip(("left", "right"), lengths.T[:2], strict=False):
        if operands.arity <= 2 and (column == column[0]).all():
            facts[name] = int(column[0])
    return facts


def _carry(judge: _Judge) -> Iterator[Row]:
    task = judge.task
    if not isinstance(task, Addition):
        raise _NoSuite(f"the suite 'carry' is about sums of two numbers, not about {task.name}")
    for length in ladder_lengths(judge.max_digits):
        if tokens_of(task, (length, length)) > judge.max_tokens:
            return
        for distribution, operands, chain, place in carry_problems(task, length, judge.seed):
            row = judge.row(
                "carry", distribution, operands, length=length, chain=chain, place=place
            )
            yield row | {"left": None, "right": None}


def _adversarial(judge: _Judge) -> Iterator[Row]:
    lengths = sorted(
        {n for n in SHORT if n <= judge.max_digits} | set(ladder_lengths(judge.max_digits))
    )
    for part in parts_of(judge.task):
        maker = Maker(part.task, judge.seed)
        for shape in shapes(part, lengths, judge.max_tokens):
            most = max(1, SHARE // tokens_of(part.task, shape))
            found = choose(part.is_valid, maker.families(shape), most)
            yield from judge.rows("adversarial", part, found)


def _ladder(judge: _Judge) -> Iterator[Row]:
    for part in parts_of(judge.task):
        maker = Maker(part.task, judge.seed + 1)
        for shape in shapes(part, ladder_lengths(judge.max_digits), judge.max_tokens):
            most = max(1, min(FEW, SHARE // tokens_of(part.task, shape)))
            for family in maker.families(shape):
                if family.distribution in LADDER:
                    # One at a time: the largest problems fill the memory alone.
                    yield from judge.rows("ladder", part, choose(part.is_valid, [family], most))


def _grid(judge: _Judge) -> Iterator[Row]:
    if judge.task.arity < 2:
        raise _NoSuite(f"the suite 'grid' is about several operands, {judge.task.name} has one")
    for part in parts_of(judge.task):
        for cells in grid_problems(part, judge.max_digits, judge.max_tokens, judge.seed):
            groups = {f"{number}": cell.problems for number, cell in enumerate(cells)}
            for cell, row in zip(cells, judge.rows("grid", part, groups), strict=True):
                sides = {"left": cell.left, "right": cell.right}
                yield row | {"distribution": f"{part.sign}mixed"} | sides


def _tour(judge: _Judge) -> Iterator[Row]:
    encoding = judge.model.config.encoding
    if not judge.model.config.windowed:
        raise _NoSuite(
            "there is no tour for this model: its predictions are no functions of what stands in "
            "the windows of one attention block"
        )
    try:
        found = enumerate_contexts(judge.task, judge.coupling, encoding.windows, encoding.sinks)
    except ValueError as error:
        raise _NoSuite(f"there is no tour for this model: {error}") from error
    row = judge.row("tour", "tour", found.operands) | {"left": None, "right": None}
    if isinstance(judge.task, Calculator):
        row["operands"] = found.operands.arity - 1
    covered = found.covered(found.layouts())
    yield row | {"contexts": len(found.collector), "covered": covered}


_RUN: dict[str, Callable[[_Judge], Iterator[Row]]] = {
    "carry": _carry,
    "adversarial": _adversarial,
    "ladder": _ladder,
    "grid": _grid,
    "tour": _tour,
}
