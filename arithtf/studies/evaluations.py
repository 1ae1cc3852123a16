"""What is measured of a finished run: functions of its directory that yield rows of eval.jsonl."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arithtf.certify import certify
from arithtf.certify.exposure import exposure
from arithtf.evaluate import evaluate
from arithtf.evaluate.problems import writes_work
from arithtf.runs import load_model, load_recipe
from arithtf.runs.shapes import COUNT, FIGURE, TEXT, misfit
from arithtf.studies.study import Row


def measured(
    measure: str,
    value: float | bool | None,
    *,
    grade: str = "",
    unit: str = "",
    hits: int | None = None,
    count: int | None = None,
    worst: str = "least",
    **facts: Any,
) -> Row:
    """A row that boards read: one figure of one run.

    Args:
        measure: its name; one line of a board.
        value: the figure. True or False is summed up as how many of the seeds; None is no figure,
            and `note` among the facts says why.
        grade: sampled, exhaustive, stressed, computed or certified; empty for what is no evidence,
            like a time.
        unit: "share" for what people read in percent, or a unit like "s".
        hits, count: of a sampled share, from which its interval follows.
        worst: whether the "least" or the "greatest" value of several seeds is the worst.
        facts: anything else.

    Raises:
        TypeError: the value is no figure.
        ValueError: hits without count or the reverse, or another word than least and greatest.
    """
    if item := getattr(value, "item", None):  # NumPy's and PyTorch's numbers have no form in JSON
        value = item()
    if not isinstance(value, bool | int | float | None) or value != value:
        raise TypeError(
            f"expected a number, True, False or None as the value of {measure!r}, got {value!r}"
        )
    if (hits is None) != (count is None) or worst not in ("least", "greatest"):
        raise ValueError(
            f"expected hits and count of {measure!r} both or neither and worst='least' or "
            f"'greatest', got hits={hits!r}, count={count!r}, worst={worst!r}"
        )
    return {
        "measure": measure,
        "value": value,
        "grade": grade,
        "unit": unit,
        "hits": hits,
        "count": count,
        "worst": worst,
    } | facts


MEASURED = {
    "measure": TEXT,
    "value": FIGURE,
    "grade": TEXT,
    "unit": TEXT,
    "hits": COUNT.or_null(),
    "count": COUNT.or_null(),
    "worst": TEXT,
    "note": TEXT.or_null(),
}
"""What a row of `measured` must hold when it is read again, but for what it has by default."""

DEFAULT: Row = {"grade": "", "unit": "", "hits": None, "count": None, "worst": "least"}


def damage(row: Row) -> str:
    """Why a row of eval.jsonl is none of `measured`; empty where it is one."""
    row = {"note": None} | DEFAULT | row
    wrong = misfit(row, MEASURED)
    if not wrong and row["hits"] is not None and not row["hits"] <= (row["count"] or 0) > 0:
        wrong = f"{row['hits']} of {row['count']} are so"
    return wrong


@dataclass(frozen=True)
class ExactMatch:
    """Exact match on random problems of the test split (`arithtf.evaluate.evaluate`).

    That is right answers; of a task with work also how often the whole work is right.

    Args:
        lengths: digits of the operands.
        count: problems of each length.
        seed: of the problems: the same for all seeds of a recipe.
    """

    lengths: Sequence[int]
    count: int = 200
    seed: int = 0

    def __call__(self, run: Path) -> Iterator[Row]:
        """A row a length; no figure where the model has no place for so long a problem."""
        model, recipe = load_model(run, "cuda" if torch.cuda.is_available() else "cpu")
        for length in self.lengths:
            name = f"exact match, {length:,} digits"
            try:
                (row,) = evaluate(
                    model, recipe, lengths=(length,), count=self.count, seed=self.seed
                )
            except ValueError as error:  # an id beyond a learned table
                yield measured(name, None, grade="sampled", unit="share", note=str(error))
                continue
            figures = {name: row["exact"]}
            if writes_work(recipe.arithmetic):
                figures[f"whole work, {length:,} digits"] = row["whole_work"]
            for measure, right in figures.items():
                share = right / row["count"]
                yield row | measured(
                    measure,
                    share,
                    grade=row["grade"],
                    unit="share",
                    hits=right,
                    count=row["count"],
                )


@dataclass(frozen=True)
class Certify:
    """Certificate, margins and seconds; the certificate itself goes into the run's directory."""

    def __call__(self, run: Path) -> Iterator[Row]:
        """The verdict, then its figures: None where nothing can be proved."""
        certificate = certify(run)
        certificate.save(run / "certificate.json")
        facts: Row = {
            "verdict": certificate.verdict,
            "reason": certificate.reason,
            "contexts": certificate.contexts,
            "wrong": certificate.wrong,
            "parameters": load_model(run)[0].num_parameters(),
        }
        yield measured("certified", certificate.certified, grade="certified", **facts)
        wrong = certificate.wrong if certificate.contexts else None  # None: nothing was looked at
        for name, value, worst in (
            ("wrong contexts", wrong, "greatest"),
            ("smallest margin", certificate.margin, "least"),
            ("least margin after rounding", certificate.lower, "least"),
            ("rounding bound", certificate.bound, "greatest"),
        ):
            yield measured(name, value, grade="computed", worst=worst)
        yield measured("certificate", certificate.seconds, unit="s", worst="greatest")


@dataclass(frozen=True)
class Exposure:
    """How often training shows each local context, and how many it never shows."""

    def __call__(self, run: Path) -> Iterator[Row]:
        """Rows of what a recipe's training learns from; its weights play no part."""
        recipe = load_recipe(run)
        found = exposure(recipe)
        least, tenth, median = np.percentile(found.shown, [1, 10, 50]).tolist()
        instances = (recipe.local_batches if recipe.local else recipe.steps) * recipe.batch
        never = int((found.shown == 0).sum())
        facts: Row = {"queries": found.queries, "instances": instances}
        for name, value, worst in (
            ("contexts", len(found.shown), "greatest"),
            ("contexts never shown", never, "greatest"),
            ("times shown, median context", median, "least"),
            ("times shown, 10 % of contexts at most", tenth, "least"),
            ("times shown, 1 % of contexts at most", least, "least"),
        ):
            yield measured(name, value, grade="computed", worst=worst, **facts)
