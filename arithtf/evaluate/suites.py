"""Stressed evidence: the suites carry, ladder, grid and tour for addition.

Uniform digits are weak evidence: the longest carry chain of a random sum of a million digits is
about six columns. So the suites choose chains, places and lengths on purpose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from arithtf.evaluate.problems import carry_problems, grid_problems, ladder_problems
from arithtf.evaluate.results import Row, result_row
from arithtf.evaluate.verify import Verdict, verify_operands
from arithtf.model import Transformer
from arithtf.recipes import Recipe
from arithtf.runs import weights_hash
from arithtf.tasks import Addition, Operands

SUITES = ("carry", "ladder", "grid", "tour")
MAX_DIGITS = 1_000_000


def stress(
    model: Transformer,
    recipe: Recipe,
    suite: str = "all",
    *,
    max_digits: int = MAX_DIGITS,
    seed: int = 0,
    progress: Callable[[Row], None] | None = None,
) -> list[Row]:
    """Run one suite or all.

    Args:
        model: the model.
        recipe: the recipe it was trained by.
        suite: "carry" (chain length x place, and structured digits, at 10, 10^2 .. max_digits),
            "ladder" (the same lengths, uniform and full ripples), "grid" (length x length),
            "tour" (problems that contain every local context) or "all".
        max_digits: longest operand; the tour has its own lengths.
        seed: of the random digits.
        progress: called with each row as soon as there is one.

    Returns:
        Rows, see `results`.

    Raises:
        ValueError: an unknown suite, max_digits below 1, another task than addition, a model that
            cannot take the lengths, or a tour of contexts that cannot be enumerated; "all" leaves
            such a tour out.
    """
    if suite not in (*SUITES, "all"):
        raise ValueError(f"expected a suite of {(*SUITES, 'all')}, got {suite!r}")
    if max_digits < 1:
        raise ValueError(f"expected max_digits >= 1, got {max_digits}")
    if not isinstance(recipe.task, Addition):
        raise ValueError(f"the suites are for addition, got the task {recipe.task.name!r}")
    rows = []
    for name in SUITES if suite == "all" else (suite,):
        try:
            for row in _RUN[name](_Judge(model, recipe, recipe.task), max_digits, seed):
                rows.append(row)
                if progress is not None:
                    progress(row)
        except _NoTour as error:
            if suite != "all":
                raise ValueError(str(error)) from error
    return rows


def ladder_lengths(max_digits: int) -> list[int]:
    """10, 100, .. up to max_digits, which comes last."""
    lengths = [10**k for k in range(1, len(str(max_digits))) if 10**k < max_digits]
    return [*lengths, max_digits]


class _NoTour(ValueError):
    """The contexts of this model cannot be enumerated."""


class _Judge:
    """Verifies problems of one model and writes rows."""

    def __init__(self, model: Transformer, recipe: Recipe, task: Addition) -> None:
        self.model, self.task, self.coupling = model, task, recipe.coupling
        self.weights = weights_hash(model)

    def verdict(self, operands: Operands) -> tuple[Verdict, float]:
        """The verdict and the seconds it took."""
        began = time.perf_counter()
        verdict = verify_operands(self.model, self.task, self.coupling, operands)
        return verdict, time.perf_counter() - began

    def row(self, suite: str, kind: str, operands: Operands, **facts: int) -> Row:
        """One row about problems of one kind."""
        verdict, seconds = self.verdict(operands)
        lengths = np.diff(operands.offsets)
        facts = {"length": int(lengths.max()), **facts}
        return result_row(suite, kind, verdict, seconds=seconds, weights=self.weights, **facts)


def _carry(judge: _Judge, max_digits: int, seed: int) -> Iterator[Row]:
    for length in ladder_lengths(max_digits):
        for kind, operands, chain, place in carry_problems(judge.task, length, seed):
            yield judge.row("carry", kind, operands, length=length, chain=chain, place=place)


def _ladder(judge: _Judge, max_digits: int, seed: int) -> Iterator[Row]:
    for length in ladder_lengths(max_digits):
        for kind, operands in ladder_problems(judge.task, length, seed):
            yield judge.row("ladder", kind, operands, length=length, left=length)


def _grid(judge: _Judge, max_digits: int, seed: int) -> Iterator[Row]:
    for cells in grid_problems(judge.task, ladder_lengths(max_digits), max_digits, seed):
        # All cells of a group at once: alone they are too small for a forward pass.
        operands = Operands.from_digits([p for cell in cells for p in cell.problems])
        verdict, seconds = judge.verdict(operands)
        first = 0
        for cell in cells:
            end = first + len(cell.problems)
            yield result_row(
                "grid",
                "mixed",
                _part(verdict, slice(first, end)),
                length=max(cell.left, cell.right),
                left=cell.left,
                right=cell.right,
                seconds=seconds / len(cells),
                weights=judge.weights,
            )
            first = end


def _tour(judge: _Judge, max_digits: int, seed: int) -> Iterator[Row]:
    # Certificates import the verifier: here, so that either room can be imported first.
    from arithtf.certify.contexts import layouts, tour

    encoding = judge.model.config.encoding
    try:
        operands, coverage = tour(judge.task, judge.coupling, encoding.windows, encoding.sinks)
    except ValueError as error:
        raise _NoTour(f"there is no tour for this model: {error}") from error
    row = judge.row("tour", "tour", operands)
    met, contexts = coverage(layouts(judge.task, judge.coupling, operands))
    yield row | {"contexts": contexts, "covered": met}


_RUN: dict[str, Callable[[_Judge, int, int], Iterator[Row]]] = {
    "carry": _carry,
    "ladder": _ladder,
    "grid": _grid,
    "tour": _tour,
}


def _part(verdict: Verdict, part: slice) -> Verdict:
    arrays: dict[str, npt.NDArray[Any]] = {name: x[part] for name, x in vars(verdict).items()}
    return Verdict(**arrays)
