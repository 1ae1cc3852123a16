"""Covering sets: problems that together show every local context of any problem of any length.

`covering_set` finds them by the kind of task: column tasks by their transducer (`transducers`),
scratchpads by the rows that can occur (`scratchpads`, `products`), joint tasks part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

from arithtf.certify.cover.columns import column_reach
from arithtf.certify.cover.products import product_covering_set, seen_cells
from arithtf.certify.cover.scratchpads import (
    check_shown,
    quotient_covering_set,
    sum_covering_set,
)
from arithtf.certify.cover.transducers import column_covering_set
from arithtf.encodings.windows import WindowLike
from arithtf.tasks import (
    Calculator,
    CarriedAddition,
    ColumnTask,
    Coupling,
    Division,
    Multiplication,
    Operands,
    ResidueAddition,
    RunningSum,
    Task,
    View,
)
from arithtf.tasks.coupling import check_coupling
from arithtf.tasks.lookups import lookups

__all__ = ["check_enumerable", "covering_set"]


def covering_set(task: Task, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
    """Problems that contain every local context of any problem of any length.

    Args:
        task: a task whose contexts can be enumerated.
        coupling: where its ids come from.
        windows: one finite window per level, (back, ahead) or an int w for (w, w).

    Returns:
        The problems, short ones first.

    Raises:
        ValueError: the contexts of this task, coupling and windows cannot be enumerated; says why.
    """
    return _found(task, coupling, windows)()


def check_enumerable(task: Task, coupling: Coupling, windows: Sequence[WindowLike]) -> None:
    """Check that `covering_set` takes a coupling, in less time where that is possible.

    Raises:
        ValueError: see `covering_set`.
    """
    _found(task, coupling, windows)


def _found(task: Task, coupling: Coupling, windows: Sequence[WindowLike]) -> Callable[[], Operands]:
    """The covering set; of scratchpads, whose couplings are judged now, as what is to be done."""
    check_coupling(coupling, task.segments)
    if isinstance(task, ColumnTask):
        columns = column_covering_set(task, coupling, windows)
        return lambda: columns
    if isinstance(task, View) and _clashes(task):
        clashing = _clashing(task, coupling, windows)
        return lambda: clashing
    if isinstance(task, Multiplication):
        return partial(product_covering_set, task.base, seen_cells(coupling, windows))
    for kind, cover in _BY_LOOKUPS.items():
        if isinstance(task, kind):
            check_shown(task.name, lookups(task), coupling, windows)
            return partial(cover, task.base)
    whose = f"{task.scratchpad} {task.of.name}" if isinstance(task, View) else task.name
    raise ValueError(f"local contexts of the task {whose!r} cannot be enumerated")


def _clashes(task: View) -> bool:
    """Whether it is a sum modulo p at once, which no window is wide enough for."""
    return isinstance(task.of, ResidueAddition) and task.scratchpad == "absent"


def _clashing(task: View, coupling: Coupling, windows: Sequence[WindowLike]) -> Operands:
    """Problems that clash, so that no complete enumeration is of use.

    They are 10..0d + 0 with d beyond what the query sees, one problem for every d.
    """
    seen = column_reach(coupling, windows, dict.fromkeys(("a", "b"), "left")).future + 1
    numbers = ([1, *[0] * (seen - 1), digit] for digit in range(task.base))
    return Operands.from_digits(((number, [0]) for number in numbers), arity=task.arity)


@lru_cache(maxsize=16)
def _pairs_covering_set(base: int) -> Operands:
    """Sums of two: their one row shows what the first row of longer sums does."""
    pairs = {tuple(map(bytes, problem[:2])) for problem in sum_covering_set(base)}
    ordered = sorted(pairs, key=lambda pair: (sum(map(len, pair)), pair))
    return Operands.from_digits([[[*digits] for digits in pair] for pair in ordered], arity=2)


@lru_cache(maxsize=16)
def _joint_covering_set(base: int) -> Operands:
    """Those of the four tasks. Each query sees its sign, so that no two tasks share a context."""
    problems: list[tuple[np.ndarray, ...]] = []
    for number, task in enumerate(Calculator(base).parts.values()):
        coupling = lookups(task)
        found = covering_set(task, coupling, [(0, 0)] * len(coupling.levels))
        # A sum of two has one row, whose contexts the first two operands of the sums of three show.
        problems += [(np.array([number], np.uint8), *problem[:2]) for problem in found]
    problems.sort(key=lambda problem: sum(map(len, problem)))
    return Operands.from_digits(problems, arity=3)


_BY_LOOKUPS: dict[Any, Callable[[int], Operands]] = {
    RunningSum: sum_covering_set,
    CarriedAddition: _pairs_covering_set,
    Division: quotient_covering_set,
    Calculator: _joint_covering_set,
}
"""Tasks whose contexts are enumerated for their lookup couplings, by base."""
