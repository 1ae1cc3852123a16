"""How often training shows a model each local context that can occur.

A context that training never shows is right only if the model generalises to it, and one that is
shown rarely is learnt late. So before steps or sizes are raised, this tells whether the lengths
trained on and the way problems are drawn are to blame.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.provable import check_task
from arithtf.model import ContextSet, collect
from arithtf.recipes import Recipe
from arithtf.tasks import IGNORE, Batch
from arithtf.train.data import drawn


class Exposure(NamedTuple):
    """What a training run is shown.

    Args:
        contexts: every context that can occur, at any length.
        shown: int64 [N], how often training shows each; where it goes through the contexts of its
            first batches in turns, how often at least.
        queries: predictions trained on.
    """

    contexts: ContextSet
    shown: NDArray[np.int64]
    queries: int


def exposure(recipe: Recipe) -> Exposure:
    """Count the contexts in what a training run learns from; nothing is trained.

    Args:
        recipe: the run; a task whose contexts can be enumerated.

    Raises:
        CannotCertify: they cannot be.
    """
    task, coupling, encoding = recipe.arithmetic, recipe.coupling, recipe.model.encoding
    possible = check_task(task, coupling, encoding.windows, sinks=encoding.sinks)
    queries = 0

    def batches() -> Iterator[Batch]:
        nonlocal queries
        for step in range(1, (recipe.local_batches if recipe.local else recipe.steps) + 1):
            batch = drawn(recipe, step)
            queries += int((batch.targets != IGNORE).sum())
            yield batch

    met = ContextSet(**collect(batches(), possible.windows, possible.sinks).contexts())
    counts = met.count
    if recipe.local:
        queries = recipe.steps * recipe.local
        counts = np.full(len(counts), queries // len(counts))
    count = dict(zip(_names(met), counts.tolist(), strict=True))
    shown = np.array([count.get(name, 0) for name in _names(possible.contexts)], np.int64)
    return Exposure(possible.contexts, shown, queries)


def _names(contexts: ContextSet) -> Iterator[bytes]:
    """Each context as bytes, equal for equal contexts."""
    head = contexts.query_token.tobytes()
    entries = np.stack([contexts.level, contexts.difference, contexts.token], 1).astype(np.int32)
    ends = contexts.offsets.tolist()
    for i in range(len(contexts.target)):
        yield head[i : i + 1] + entries[ends[i] : ends[i + 1]].tobytes()
