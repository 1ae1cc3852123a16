"""How often training shows each local context, and how many it never shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from arithtf.certify.exposure import exposure
from arithtf.recipes import get_recipe
from bench.registry import Row, benchmark
from bench.seeds import COLUMN_TASKS


@benchmark("exposure")
def exposures(recipes: Sequence[str] = ("addition", *COLUMN_TASKS)) -> Iterator[Row]:
    """A row per recipe, of what its training run learns from.

    Args:
        recipes: names.
    """
    for name in recipes:
        recipe = get_recipe(name)
        found = exposure(recipe)
        least, tenth, median = np.percentile(found.shown, [1, 10, 50]).tolist()
        yield {
            "recipe": name,
            "longest": recipe.lengths[1],
            "instances": (recipe.pool if recipe.local else recipe.steps) * recipe.batch,
            "queries": found.queries,
            "contexts": len(found.shown),
            "never_shown": int((found.shown == 0).sum()),
            "shown_1_percent": least,
            "shown_10_percent": tenth,
            "shown_median": median,
        }
