"""Recipes that train addition on coupled ids with a window: the main one and its variants."""

from __future__ import annotations

from collections.abc import Callable

from arithtf.encodings import Encoding, Table
from arithtf.model import ModelConfig
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import Addition, Coupling, couplings


def build(name: str, task: Addition, coupling: Coupling, encoding: Encoding) -> Recipe:
    """A recipe with the default sizes and schedule."""
    model = ModelConfig(
        vocabulary=task.vocabulary.size, levels=len(coupling.levels), encoding=encoding
    )
    return Recipe(name=name, task=task, coupling=coupling, model=model)


def addition() -> Recipe:
    """Addition in the natural format, by coupled ids and a window of two columns.

    The query that writes column j sees the operands' digits of columns j and j-1 and nothing else.
    Its own token is the answer's digit j-1, and from the three follows the carry. The local
    contexts are finitely many, so the trained model can be certified.
    """
    task = Addition()
    encoding = Encoding(mechanism=Table(reach=1), windows=((1, 0),), sinks=1)
    return build("addition", task, couplings.operand_columns(task), encoding)


def addition_padded() -> Recipe:
    """The same in the zero-padded format of the literature."""
    task = Addition(format="padded")
    encoding = Encoding(mechanism=Table(reach=1), windows=((1, 0),), sinks=1)
    return build("addition-padded", task, couplings.operand_columns(task), encoding)


def addition_in_base(base: int) -> Recipe:
    """Addition in another base: the same coupling and window, more contexts in larger bases.

    Args:
        base: 2..128.
    """
    task = Addition(base=base)
    coupling = couplings.operand_columns(task)
    model = ModelConfig(
        vocabulary=task.vocabulary.size,
        hidden=512 if base > 10 else 256,
        encoding=Encoding(mechanism=Table(reach=1), windows=((1, 0),), sinks=1),
    )
    return Recipe(
        name=f"addition-base-{base}", task=task, coupling=coupling, model=model,
        batch=128 if base > 10 else 64, steps=1600 if base > 10 else 500, weight_decay=0.3,
    )  # fmt: skip


def addition_base_2() -> Recipe:
    """Addition of binary numbers."""
    return addition_in_base(2)


def addition_base_3() -> Recipe:
    """Addition of ternary numbers."""
    return addition_in_base(3)


def addition_base_16() -> Recipe:
    """Addition of hexadecimal numbers."""
    return addition_in_base(16)


def addition_symmetric() -> Recipe:
    """Addition with the symmetric window |difference| <= 1: the next column is seen as well."""
    task = Addition()
    encoding = Encoding(mechanism=Table(reach=1), windows=(1,), sinks=1)
    return build("addition-symmetric", task, couplings.columns(task), encoding)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "addition": addition,
    "addition-padded": addition_padded,
    "addition-symmetric": addition_symmetric,
    "addition-base-2": addition_base_2,
    "addition-base-3": addition_base_3,
    "addition-base-16": addition_base_16,
}
