"""Recipes for column tasks other than addition: short operands, finitely many local contexts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arithtf.encodings import Encoding
from arithtf.model import ModelConfig
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import (
    Comparison,
    Copy,
    Coupling,
    Increment,
    ModularAddition,
    Parity,
    Reverse,
    Subtraction,
    Task,
    TimesDigit,
    couplings,
)

Window = tuple[int, int]
SMALL = {"width": 32, "hidden": 64}


def _recipe(
    task: Task,
    coupling: Coupling,
    windows: tuple[Window, ...],
    *,
    head_levels: tuple[int, ...] | None = None,
    sizes: dict[str, Any] | None = None,
    **training: Any,
) -> Recipe:
    """A recipe named after its task, with one windowed attention block."""
    reach = max(max(window) for window in windows)
    encoding = Encoding(
        mechanism="table", windows=windows, reach=reach, sinks=1, head_levels=head_levels
    )
    model = ModelConfig(
        vocabulary=task.vocabulary.size, levels=len(coupling.levels), encoding=encoding,
        **(sizes or {}),
    )  # fmt: skip
    return Recipe(name=task.name, task=task, coupling=coupling, model=model, **training)


def comparison() -> Recipe:
    """Comparison by a running comparison from the units on: each query sees its own column."""
    task = Comparison()
    return _recipe(
        task, couplings.paired_columns(task), ((0, 1),), lengths=(1, 6), batch=128, steps=600
    )


def subtraction() -> Recipe:
    """Differences with sign: a - b by columns j and j-1, the sign, its absolute value."""
    task = Subtraction()
    return _recipe(
        task,
        couplings.paired_columns(task),
        ((2, 1), (1, 0), (0, 0)),
        head_levels=(0, 0, 0, 0, 1, 1, 1, 2),
        sizes={"heads": 8},
        lengths=(1, 6),
        batch=96,
        steps=1500,
    )


def increment() -> Recipe:
    """a + 1 by columns j and j-1."""
    task = Increment()
    return _recipe(task, couplings.digit_columns(task), ((1, 0),), sizes=SMALL, steps=500)


def times_digit() -> Recipe:
    """A number times a digit, which every query sees on a level of its own."""
    task = TimesDigit()
    return _recipe(
        task,
        couplings.digit_columns(task),
        ((1, 0), (0, 0)),
        head_levels=(0, 0, 0, 1),
        steps=1500,
    )


def modular_addition() -> Recipe:
    """Addition modulo 1000: by columns j and j-1 up to a mark that says where to stop."""
    task = ModularAddition(1000)
    return _recipe(
        task,
        couplings.modular_columns(task),
        ((1, 0), (0, 1)),
        head_levels=(0, 0, 0, 1),
        lengths=(1, 5),
        batch=192,
    )


def copy() -> Recipe:
    """The string again: each query sees the digit at its own place."""
    task = Copy()
    return _recipe(task, couplings.from_left(task), ((0, 0),), sizes=SMALL, steps=300)


def reverse() -> Recipe:
    """The string backwards: each query sees the digit at its own place from the right."""
    task = Reverse()
    return _recipe(task, couplings.digit_columns(task), ((0, 0),), sizes=SMALL, steps=300)


def parity() -> Recipe:
    """Running parity of bits: each query sees its own bit; its token is the parity before."""
    task = Parity()
    return _recipe(task, couplings.from_left(task), ((0, 0),), sizes=SMALL, steps=300)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "subtraction": subtraction,
    "comparison": comparison,
    "increment": increment,
    "times-digit": times_digit,
    "modular-addition": modular_addition,
    "copy": copy,
    "reverse": reverse,
    "parity": parity,
}
