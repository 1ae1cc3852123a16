"""Recipes for column tasks other than addition: short operands, finitely many local contexts.

Two choices make every seed certify. Where operands have parts to play, each token that a query
needs has a level and a head of its own (`couplings.lookups`): with one visible token a head has no
weights to learn, so all of training goes into what to write. And weight decay keeps the
weights small, which divides the rounding bounds by ten to a hundred and costs no accuracy.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from arithtf import tasks
from arithtf.encodings import Encoding, Table
from arithtf.recipes.functions import recipe
from arithtf.recipes.recipe import Recipe, build
from arithtf.tasks import couplings

_build = partial(build, lengths=(1, 6), weight_decay=0.3)
SMALL = {"width": 32, "hidden": 64}
RESIDUE = {"hidden": 512, "batch": 128, "steps": 1500}


def _lookups(task: tasks.Task, coupling: tasks.Coupling, **settings: Any) -> Recipe:
    """One visible token a level at most: no mechanism and no sink, a head that sees none gives 0.

    Heads read the levels in turn.
    """
    return _build(task, coupling, Encoding(windows=((0, 0),) * len(coupling.levels)), **settings)


def _windowed(*windows: tuple[int, int], head_levels: tuple[int, ...] | None = None) -> Encoding:
    """Two operands whose digits are exchangeable: a head sees both of a column, and the sink."""
    reach = max(max(window) for window in windows)
    return Encoding(mechanism=Table(reach=reach), windows=windows, sinks=1, head_levels=head_levels)


@recipe(tasks.Subtraction())
def subtraction(task: tasks.Subtraction) -> Recipe:
    """Differences with sign: a - b by columns j and j-1, the sign, its absolute value."""
    return _lookups(task, couplings.lookups(task), heads=8, batch=96, steps=700)


@recipe(tasks.Comparison())
def comparison(task: tasks.Comparison) -> Recipe:
    """Comparison by a running comparison from the units on: each query sees its own column."""
    return _lookups(task, couplings.lookups(task), **SMALL, batch=96, steps=400)


@recipe(tasks.Increment())
def increment(task: tasks.Increment) -> Recipe:
    """a + 1 by columns j and j-1."""
    return _lookups(task, couplings.lookups(task), **SMALL, steps=400)


@recipe(tasks.TimesDigit())
def times_digit(task: tasks.TimesDigit) -> Recipe:
    """A number times a digit, which every query sees on a level of its own.

    A wide MLP, since the tables of products and of carries are one function of four tokens.
    """
    return _lookups(task, couplings.lookups(task), hidden=512, batch=128, steps=1500)


@recipe(tasks.ModularAddition(1000))
def modular_addition(task: tasks.ModularAddition) -> Recipe:
    """Addition modulo 1000, or another divisor of a power of 10: by the last digits alone.

    For 1000 by columns j and j-1 up to a mark that says where to stop. Where the task writes a
    running residue, by what was written before, column j, and how far the mark is: modulo 8 that of
    the last three digits, modulo 250 = 25 * 10 a digit and the residue modulo 25 above it.
    """
    columns, digits, residue = task.form
    encoding, steps, local = _windowed((1, 0), (0, 1), head_levels=(0, 0, 0, 1)), 1000, {}
    if task.running:
        far = columns - digits
        encoding = _windowed((0, 0), (0, far), head_levels=(0, 0, 1, 1))
        size = far * residue  # contexts grow with it
        steps = 1500 if size < 200 else 2500 if size < 500 else 4000
        if digits and residue > task.base:
            # Problems show too many of the contexts too rarely: modulo 250, 96 less than ten times.
            steps, local = 800 if size < 200 else 2000, {"local": 1024, "local_batches": 800}
    return _build(
        task,
        couplings.modular_columns(task),
        encoding,
        hidden=512,
        batch=128,
        lengths=(1, max(6, columns + 2)),
        steps=steps,
        **local,
    )


@recipe(tasks.ResidueAddition(101))
def residue_addition(task: tasks.ResidueAddition) -> Recipe:
    """Addition modulo 101, or any number: by the residue so far and the digits of one column."""
    return _build(task, couplings.from_left(task), _windowed((0, 0)), **RESIDUE)


@recipe(tasks.View(tasks.ResidueAddition(101)))
def plain_residue_addition(task: tasks.View) -> Recipe:
    """The same modulo 101 without the running residue, to compare: it cannot generalise.

    Model, data and steps are those of `residue_addition`; the window shows the one query all digits
    of the lengths trained on. The conflict check names two longer problems that clash.
    """
    return _build(task, couplings.from_left(task), _windowed((0, 5)), **RESIDUE)


@recipe(tasks.Copy())
def copy(task: tasks.Copy) -> Recipe:
    """The string again: each query sees the digit at its own place."""
    return _lookups(task, couplings.from_left(task), **SMALL, steps=300)


@recipe(tasks.Reverse())
def reverse(task: tasks.Reverse) -> Recipe:
    """The string backwards: each query sees the digit at its own place from the right."""
    return _lookups(task, couplings.digit_columns(task), **SMALL, steps=300)


@recipe(tasks.Parity())
def parity(task: tasks.Parity) -> Recipe:
    """Running parity of bits: each query sees its own bit; its token is the parity before."""
    return _lookups(task, couplings.from_left(task), **SMALL, steps=300)
