"""Studies by name: boards of seeds, of things taken away, of encodings, of what training shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from arithtf.certify.teaching import TeachingSet, teaching_set
from arithtf.recipes import RECIPES, Recipe, get_recipe
from arithtf.recipes.ablation import ablations, columns
from arithtf.studies.evaluations import Certify, ExactMatch, Exposure
from arithtf.studies.study import STUDIES, Study

COLUMN_TASKS = (
    "subtraction",
    "comparison",
    "increment",
    "times-digit",
    "modular-addition",
    "residue-addition",
    "copy",
    "reverse",
    "parity",
)
"""Recipes of tasks that are written column by column, but for addition."""

FACTORS = (1, 2, 5, 10)
"""Lengths that ablations are measured at, as multiples of the longest that was trained."""

LONGEST = 2500
"""Columns of the longest problems of ablations: without windows their cost is quadratic in it."""

MANY = 500
"""Of problems with more columns than this, ablations measure a quarter as many."""


def named(recipes: Sequence[str]) -> Iterator[Recipe]:
    """Recipes by texts, which may have settings: "residue-addition task.modulus=51"."""
    for text in recipes:
        yield get_recipe(*text.split())


def seed_board(recipes: tuple[str, ...] = ("addition",), seeds: int = 16) -> Study:
    """Fresh weights to a certificate for many seeds: how many certify, margins, seconds."""
    return Study(
        name="seeds",
        what="Fresh weights to a certificate: how many seeds certify, their margins and seconds",
        recipes=lambda: named(recipes),
        seeds=range(seeds),
        evaluations=(Certify(),),
    )


def column_seeds(seeds: int = 8) -> Study:
    """The same for every column task but addition."""
    return seed_board(COLUMN_TASKS, seeds)


def ablation(recipe: str = "addition", seeds: int = 8, without: tuple[str, ...] = ()) -> Study:
    """One thing taken away from a recipe at a time: exact match against length.

    Args:
        recipe: from which it is taken.
        seeds: how many.
        without: what is taken away; everything that can be if empty.

    Raises:
        ValueError: the recipe has not what is to be taken away.
    """
    (whole,) = named([recipe])
    there = ablations(whole)
    if unknown := [thing for thing in without if thing not in there]:
        raise ValueError(
            f"expected some of {', '.join(there)} to take away from {recipe}, got {unknown[0]!r}"
        )
    lengths = sorted({factor * whole.lengths[1] for factor in FACTORS})
    lengths = [n for n in lengths if n == lengths[0] or columns(whole, n) <= LONGEST]
    count = 200 if columns(whole, lengths[-1]) <= MANY else 50
    shown = {f"{whole.name} without {thing}": thing for thing in without or there}

    def recipes() -> Iterator[Recipe]:
        for name, thing in shown.items():
            yield replace(there[thing], name=name)

    return Study(
        name="ablation",
        what=f"Exact match of {whole.name}, trained on {whole.trained_on}, without one thing",
        recipes=recipes,
        seeds=range(seeds),
        evaluations=(ExactMatch(tuple(lengths), count),),
        factors=lambda made: {"recipe": whole.name, "without": shown[made.name]},
    )


def encodings(seeds: int = 3) -> Study:
    """Every recipe of addition: same data, sizes and steps; exact match beyond what was trained."""
    return Study(
        name="encodings",
        what="Exact match of addition by encoding, trained on 1 to 10 digits",
        recipes=lambda: named([name for name in RECIPES if name.startswith("addition")]),
        seeds=range(seeds),
        evaluations=(ExactMatch((10, 20, 100)),),
    )


def exposures(recipes: tuple[str, ...] = ("addition", *COLUMN_TASKS)) -> Study:
    """How often training shows each local context; nothing is trained."""
    return Study(
        name="exposure",
        what="How often training shows each local context, and how many it never shows",
        recipes=lambda: named(recipes),
        seeds=(0,),
        evaluations=(Exposure(),),
        trained=False,
    )


SHARES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Of the local contexts, that problems taught show at least."""


@lru_cache(maxsize=4)
def _teaching_order(recipe: Recipe, digits: int) -> tuple[TeachingSet, tuple[float, ...]]:
    """Problems in the order that a greedy search chooses, and what share the first k show."""
    encoding, missing = recipe.model.encoding, list[int]()
    found = teaching_set(
        recipe.arithmetic,
        recipe.coupling,
        encoding,
        digits=digits,
        rounds=0,
        progress=lambda _, left: missing.append(left),
    )
    return found, tuple(1 - left / found.contexts for left in missing)


def teaching(
    recipe: str = "carried-addition",
    seeds: int = 8,
    digits: int = 10,
    shares: tuple[float, ...] = SHARES,
) -> Study:
    """How many seeds certify that were taught a part of the contexts.

    Args:
        recipe: whose problems are chosen greedily; a part is the first of them.
        seeds: how many.
        digits: of the longest operand.
        shares: of the contexts, that a part shows at least.
    """
    (whole,) = named([recipe])

    def taught() -> Iterator[Recipe]:
        found, shown = _teaching_order(whole, digits)
        for share in shares:
            count = next(k for k, part in enumerate(shown, start=1) if part >= share)
            name = f"{whole.name} taught by {count}"
            yield replace(whole, name=name, problems=found.problems[:count])

    def factors(made: Recipe) -> dict[str, object]:
        _, shown = _teaching_order(whole, digits)
        part = shown[len(made.problems) - 1]
        return {"problems": len(made.problems), "contexts shown": round(part, 3)}

    return Study(
        name="teaching",
        what=f"{whole.name} taught by few problems: seeds that certify by share of contexts shown",
        recipes=taught,
        seeds=range(seeds),
        evaluations=(Certify(),),
        factors=factors,
    )


for _name, _function in (
    ("seeds", seed_board),
    ("seeds-columns", column_seeds),
    ("ablation", ablation),
    ("encodings", encodings),
    ("exposure", exposures),
    ("teaching", teaching),
):
    STUDIES.add(_name, _function)
