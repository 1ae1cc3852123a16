"""Ablations: a recipe with one thing taken away, or None where it does not have that thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from arithtf.encodings import Encoding, NoPE, Shaw, Table
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import Addition, Address, Coupling, Draw, View, couplings

WIDE = 16
"""Differences that a bias tells apart where no window bounds them."""


def without_window(recipe: Recipe) -> Recipe | None:
    """Every query sees every token; heads keep their levels and have a bias for each id difference.

    The bias is there even if the recipe has none: without window and bias ids would be nowhere.
    """
    encoding = recipe.model.encoding
    if not any(encoding.windows):
        return None
    every = (None,) * len(encoding.windows)
    return _encoded(_of_columns(recipe), _biased(replace(encoding, windows=every), WIDE))


def without_coupling(recipe: Recipe) -> Recipe | None:
    """Ids are token indices, on one level.

    The window and the bias reach over the longest problem of the training, so that nothing is
    hidden there: what is missing is that digits of one column have one id.
    """
    longest = columns(recipe, recipe.lengths[1])
    encoding = replace(recipe.model.encoding, windows=((longest, longest),), head_levels=None)
    encoding = _biased(encoding, longest)
    model = replace(recipe.model, levels=1, encoding=encoding)
    return replace(_of_columns(recipe), coupling=couplings.index(recipe.arithmetic), model=model)


def without_levels(recipe: Recipe) -> Recipe | None:
    """Only the first level of ids, read by every head."""
    encoding, levels = recipe.model.encoding, recipe.coupling.levels
    if len(levels) < 2:
        return None
    encoding = replace(encoding, windows=encoding.windows[:1], head_levels=None)
    model = replace(recipe.model, levels=1, encoding=encoding)
    first = Coupling("first level", levels[:1])
    return replace(_of_columns(recipe), coupling=first, model=model)


def without_sink(recipe: Recipe) -> Recipe | None:
    """No token that every query sees: a query with nothing in its windows attends to nothing."""
    if recipe.model.encoding.sinks == 0:
        return None
    return _encoded(recipe, replace(recipe.model.encoding, sinks=0))


def without_scratchpad(recipe: Recipe) -> Recipe | None:
    """The work's tokens are blanks, in training and after it."""
    operands = recipe.arithmetic.operands(Address(0, "all", 0), Draw(recipe.lengths, 64), threads=1)
    if not any(
        recipe.arithmetic.scratchpad_length(tokens) for tokens in recipe.arithmetic.answer(operands)
    ):
        return None
    return replace(_of_columns(recipe), task=View(recipe.arithmetic, "blank"))


def without_natural_format(recipe: Recipe) -> Recipe | None:
    """Operands zero-padded to equal lengths, as the literature has them."""
    task = recipe.arithmetic
    if not isinstance(task, Addition) or task.format != "natural":
        return None
    return replace(recipe, task=replace(task, format="padded"))


def without_distinct_contexts(recipe: Recipe) -> Recipe | None:
    """Trained on problems, all columns of them, instead of each local context equally often."""
    return _of_columns(recipe) if recipe.local else None


def _of_columns(recipe: Recipe) -> Recipe:
    """Trained on problems, about as many columns a step as it was on local contexts.

    What is taken away leaves contexts that are long, or that have several right answers.
    """
    if not recipe.local:
        return recipe
    return replace(
        recipe, local=0, batch=max(1, recipe.local // columns(recipe, recipe.lengths[1]))
    )


def columns(recipe: Recipe, length: int) -> int:
    """Columns of batches whose longest operands have this length."""
    draw = Draw((length, length), size=8)  # several: a task may draw problems of its parts in turn
    columns: int = recipe.arithmetic.sample(Address(0, "all", 0), draw, threads=1).tokens.shape[1]
    return columns


def _biased(encoding: Encoding, reach: int) -> Encoding:
    """With a bias for each id difference, if ids do not act otherwise, up to `reach` at least."""
    mechanism = encoding.mechanism
    if isinstance(mechanism, NoPE):
        mechanism = Table(reach=WIDE)
    if isinstance(mechanism, Table | Shaw):
        mechanism = replace(mechanism, reach=max(mechanism.reach, reach))
    return replace(encoding, mechanism=mechanism)


def _encoded(recipe: Recipe, encoding: Encoding) -> Recipe:
    return replace(recipe, model=replace(recipe.model, encoding=encoding))


ABLATIONS: dict[str, Callable[[Recipe], Recipe | None]] = {
    "nothing": lambda recipe: recipe,
    "window": without_window,
    "coupling": without_coupling,
    "levels": without_levels,
    "sink": without_sink,
    "scratchpad": without_scratchpad,
    "natural format": without_natural_format,
    "distinct contexts": without_distinct_contexts,
}
"""What is taken away -> the recipe without it."""


def ablations(recipe: Recipe) -> dict[str, Recipe]:
    """The recipe itself ("nothing"), and without each thing that it has."""
    found = {name: without(recipe) for name, without in ABLATIONS.items()}
    return {name: ablated for name, ablated in found.items() if ablated is not None}
