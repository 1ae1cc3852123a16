"""Recipes for column tasks other than addition: short operands, finitely many local contexts.

Two choices make every seed certify. Where operands have parts to play, each token that a query
needs has a level and a head of its own (`couplings.lookups`): with one visible token a head has no
weights to learn, so all of training goes into what to write. And weight decay keeps the
weights small, which divides the rounding bounds by ten to a hundred and costs no accuracy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arithtf.encodings import Encoding, Table
from arithtf.model import ModelConfig
from arithtf.recipes.recipe import Recipe
from arithtf.tasks import (
    Comparison,
    Copy,
    Coupling,
    Increment,
    ModularAddition,
    Parity,
    ResidueAddition,
    Reverse,
    Subtraction,
    Task,
    TimesDigit,
    View,
    couplings,
)

Window = tuple[int, int]
SMALL = {"width": 32, "hidden": 64}
WEIGHT_DECAY = 0.3
RESIDUE: dict[str, Any] = {"sizes": {"hidden": 512}, "batch": 128, "steps": 1500}


def _recipe(
    task: Task,
    coupling: Coupling,
    encoding: Encoding,
    sizes: dict[str, Any],
    *,
    name: str | None = None,
    **training: Any,
) -> Recipe:
    """A recipe named after its task, with one windowed attention block."""
    model = ModelConfig(
        vocabulary=task.vocabulary.size, levels=len(coupling.levels), encoding=encoding, **sizes
    )
    training = {"lengths": (1, 6), "weight_decay": WEIGHT_DECAY, **training}
    return Recipe(name=name or task.name, task=task, coupling=coupling, model=model, **training)


def _lookups(task: Task, coupling: Coupling, sizes: dict[str, Any], **training: Any) -> Recipe:
    """One visible token a level at most: no mechanism and no sink, a head that sees none gives 0.

    Heads read the levels in turn.
    """
    encoding = Encoding(windows=((0, 0),) * len(coupling.levels))
    return _recipe(task, coupling, encoding, sizes, **training)


def _windowed(
    task: Task,
    coupling: Coupling,
    windows: tuple[Window, ...],
    sizes: dict[str, Any],
    *,
    head_levels: tuple[int, ...] | None = None,
    **training: Any,
) -> Recipe:
    """Two operands whose digits are exchangeable: a head sees both of a column, and the sink."""
    reach = max(max(window) for window in windows)
    encoding = Encoding(
        mechanism=Table(reach=reach), windows=windows, sinks=1, head_levels=head_levels
    )
    return _recipe(task, coupling, encoding, sizes, **training)


def comparison() -> Recipe:
    """Comparison by a running comparison from the units on: each query sees its own column."""
    task = Comparison()
    return _lookups(task, couplings.lookups(task), SMALL, batch=96, steps=400)


def subtraction() -> Recipe:
    """Differences with sign: a - b by columns j and j-1, the sign, its absolute value."""
    task = Subtraction()
    return _lookups(task, couplings.lookups(task), {"heads": 8}, batch=96, steps=700)


def increment() -> Recipe:
    """a + 1 by columns j and j-1."""
    task = Increment()
    return _lookups(task, couplings.lookups(task), SMALL, steps=400)


def times_digit() -> Recipe:
    """A number times a digit, which every query sees on a level of its own.

    A wide MLP, since the tables of products and of carries are one function of four tokens.
    """
    task = TimesDigit()
    return _lookups(task, couplings.lookups(task), {"hidden": 512}, batch=128, steps=1500)


def modular_addition(modulus: int = 1000) -> Recipe:
    """Addition modulo 1000, or another divisor of a power of 10: by the last digits alone.

    For 1000 by columns j and j-1 up to a mark that says where to stop. Where the task writes a
    running residue, by what was written before, column j, and how far the mark is.
    """
    task = ModularAddition(modulus)
    name = task.name if modulus == 1000 else f"{task.name}-{modulus}"
    coupling, (columns, digits, residue) = couplings.modular_columns(task), task.form
    training: dict[str, Any] = {"batch": 128, "lengths": (1, max(6, columns + 2)), "steps": 1000}
    if not task.running:
        windows, heads = ((1, 0), (0, 1)), (0, 0, 0, 1)
    else:
        far = columns - digits
        windows, heads = ((0, 0), (0, far)), (0, 0, 1, 1)
        size = far * residue  # contexts grow with it
        training["steps"] = 1500 if size < 200 else 2500 if size < 500 else 4000
        if digits and residue > task.base:
            # Problems show too many of the contexts too rarely: modulo 250, 96 less than ten times.
            training |= {"local": 1024, "pool": 800, "steps": 800 if size < 200 else 2000}
    return _windowed(
        task, coupling, windows, {"hidden": 512}, head_levels=heads, name=name, **training
    )


def modular_addition_8() -> Recipe:
    """Addition modulo 8: the running residue of the last three digits."""
    return modular_addition(8)


def modular_addition_250() -> Recipe:
    """Addition modulo 250 = 25 * 10: a digit, and the running residue modulo 25 above it."""
    return modular_addition(250)


def residue_addition(modulus: int = 101) -> Recipe:
    """Addition modulo 101, or any number: by the residue so far and the digits of one column."""
    task = ResidueAddition(modulus)
    name = task.name if modulus == 101 else f"{task.name}-{modulus}"
    return _windowed(task, couplings.from_left(task), ((0, 0),), name=name, **RESIDUE)


def residue_addition_51() -> Recipe:
    """Addition modulo 51 = 3 * 17, by the running residue."""
    return residue_addition(51)


def residue_addition_151() -> Recipe:
    """Addition modulo 151, by the running residue."""
    return residue_addition(151)


def plain_residue_addition() -> Recipe:
    """The same modulo 101 without the running residue, to compare: it cannot generalise.

    Model, data and steps are those of `residue_addition`; the window shows the one query all digits
    of the lengths trained on. The conflict check names two longer problems that clash.
    """
    task = View(ResidueAddition())
    return _windowed(task, couplings.from_left(task), ((0, 5),), **RESIDUE)


def copy() -> Recipe:
    """The string again: each query sees the digit at its own place."""
    task = Copy()
    return _lookups(task, couplings.from_left(task), SMALL, steps=300)


def reverse() -> Recipe:
    """The string backwards: each query sees the digit at its own place from the right."""
    task = Reverse()
    return _lookups(task, couplings.digit_columns(task), SMALL, steps=300)


def parity() -> Recipe:
    """Running parity of bits: each query sees its own bit; its token is the parity before."""
    task = Parity()
    return _lookups(task, couplings.from_left(task), SMALL, steps=300)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "subtraction": subtraction,
    "comparison": comparison,
    "increment": increment,
    "times-digit": times_digit,
    "modular-addition": modular_addition,
    "modular-addition-8": modular_addition_8,
    "modular-addition-250": modular_addition_250,
    "residue-addition": residue_addition,
    "residue-addition-51": residue_addition_51,
    "residue-addition-151": residue_addition_151,
    "plain-residue-addition": plain_residue_addition,
    "copy": copy,
    "reverse": reverse,
    "parity": parity,
}
