"""Problems of similar length together, so that padding does not outweigh them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from arithtf.tasks import Operands

TOKENS = 1 << 20
"""Columns of a group in all."""

SHORT = 64
"""Up to this many digits, problems share a group whatever their lengths."""


def longest(operands: Operands) -> npt.NDArray[np.int64]:
    """Digits of the longest operand of each problem, [B]."""
    if len(operands) == 0:
        return np.zeros(0, np.int64)
    lengths = np.diff(operands.offsets).reshape(-1, operands.arity)
    return np.asarray(lengths.max(axis=1), np.int64)


def groups(operands: Operands, tokens: int = TOKENS) -> Iterator[npt.NDArray[np.int64]]:
    """Numbers of the problems, in groups of similar length and about `tokens` columns at most.

    Args:
        operands: the problems.
        tokens: columns in all; a single problem may have more.

    Yields:
        Arrays that together hold every number once; shorter problems come first.
    """
    lengths = longest(operands)
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    # An instance is the operands, an answer and a few symbols.
    columns = (ordered + 1) * (operands.arity + 1) + 4
    begin = 0
    while begin < len(order):
        widest = max(2 * int(ordered[begin]), SHORT)
        end = begin + int(np.searchsorted(ordered[begin:], widest, side="right"))
        fill = columns[begin:end] * np.arange(1, end - begin + 1)
        end = begin + max(1, int(np.searchsorted(fill, tokens, side="right")))
        yield order[begin:end]
        begin = end
