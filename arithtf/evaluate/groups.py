"""Problems of similar length together, so that padding does not outweigh them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from arithtf.tasks import ArithmeticTask, Batch, Coupling, Operands

TOKENS = 1 << 20
"""Columns of a group in all."""

SHORT = 197
"""Up to this many columns, problems share a group whatever their lengths."""


def groups(
    task: ArithmeticTask, operands: Operands, tokens: int = TOKENS
) -> Iterator[npt.NDArray[np.int64]]:
    """Numbers of the problems, in groups of similar size and about `tokens` columns at most.

    Args:
        task: says how many columns a problem needs.
        operands: the problems.
        tokens: columns in all; a single problem may have more.

    Yields:
        Arrays that together hold every number once; shorter problems come first.
    """
    needed = task.sequence_length(np.diff(operands.offsets).reshape(-1, operands.arity))
    order = np.argsort(needed, kind="stable")
    ordered = needed[order]
    begin = 0
    while begin < len(order):
        widest = max(2 * int(ordered[begin]), SHORT)
        end = begin + int(np.searchsorted(ordered[begin:], widest, side="right"))
        fill = ordered[begin:end] * np.arange(1, end - begin + 1)
        end = begin + max(1, int(np.searchsorted(fill, tokens, side="right")))
        yield order[begin:end]
        begin = end


def batches(
    task: ArithmeticTask,
    coupling: Coupling,
    operands: Operands,
    tokens: int = TOKENS,
    *,
    solved: bool = True,
) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
    """The problems laid out group by group, see `groups`: numbers of the problems, and a batch."""
    for chosen in groups(task, operands, tokens):
        part = operands if len(operands) == 1 else operands.select(chosen)
        yield chosen, Batch.of(task.instances(part, solved=solved), coupling)
