"""The recipe that trains multiplication with its work written out."""

from __future__ import annotations

from collections.abc import Callable

from arithtf.encodings import Encoding
from arithtf.model import ModelConfig
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import Multiplication, couplings


def multiplication() -> Recipe:
    """n x m digits from 5 x 5, by four levels of coupled ids and windows of one token each.

    A digit of a row is computed from a digit of each operand, one of the running sum and the carry.
    A local context is the same wherever it stands, so operands of one length show them all; equal
    lengths leave no column of a batch empty.
    """
    task, coupling = Multiplication(), couplings.work()
    model = ModelConfig(
        vocabulary=task.vocabulary.size,
        levels=len(coupling.levels),
        width=64,
        heads=4,
        hidden=192,
        blocks=("attention", "mlp", "mlp"),
        encoding=Encoding(mechanism="table", windows=couplings.WORK_WINDOWS, reach=1, sinks=1),
    )
    return Recipe(
        name="multiplication",
        task=task,
        coupling=coupling,
        model=model,
        lengths=(5, 5),
        batch=48,
        steps=2000,
        learning_rate=1e-2,
        warmup=100,
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"multiplication": multiplication}
