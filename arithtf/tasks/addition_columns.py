"""Addition as a column automaton, and the sums that contain every local context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from arithtf.tasks.columns import ColumnAutomaton, WindowLike, column_reach
from arithtf.tasks.coupling import Coupling

_ABSENT = -1
_ENDED, _MAY_END, _MUST_GO_ON = 0, 1, 2  # an operand whose last digit so far is 0 must go on


def addition_automaton(
    base: int, padded: bool, folded: bool
) -> tuple[ColumnAutomaton, NDArray[np.int16]]:
    """The automaton of sums, read from the least significant column.

    Folding leaves out sums that are others with digits exchanged between the operands. That is
    exact where both operands have the same ids: exchanging the two digits of a column changes
    neither the answer nor the multiset of tokens at any id. Every sum can be brought to the form
    "b not longer than a, and in each column that both have, a's digit is not the larger one":
    b's top digit only grows by it; a's top digit changes only if both end there, and then both are
    not 0 (or are the whole numbers). So both stay numbers without leading zeros.

    Args:
        base: number of digits.
        padded: both operands are zero-padded to the longer one's length.
        folded: leave out exchanges of a and b.

    Returns:
        The automaton, and the digits [symbols, 2] of every symbol, -1 where an operand has ended.
    """
    digits = range(base) if padded else range(_ABSENT, base)
    pairs = [(a, b) for a in digits for b in digits if max(a, b) > _ABSENT]
    if folded:
        pairs = [(a, b) for a, b in pairs if a > _ABSENT and (b == _ABSENT or a <= b)]
    states = [(-1, 0, 0)]  # the start; then (carry, a's state, b's state)
    ends = (_MAY_END, _MUST_GO_ON) if padded else (_ENDED, _MAY_END, _MUST_GO_ON)
    states += [(carry, a, b) for carry in (0, 1) for a in ends for b in ends]
    number = {state: i for i, state in enumerate(states)}
    transitions = np.full((len(states), len(pairs)), -1, np.int32)
    for (carry, *ends_before), i in number.items():
        for s, pair in enumerate(pairs):
            after = _step(carry, ends_before, pair, base, padded)
            if after is not None:
                transitions[i, s] = number[after]
    labels = np.array([max(carry, 0) for carry, _, _ in states], np.int32)
    accepting = np.array([c >= 0 and _MUST_GO_ON not in (a, b) for c, a, b in states], np.bool_)
    return ColumnAutomaton(transitions, labels, 0, accepting), np.array(pairs, np.int16)


def _step(
    carry: int, before: Sequence[int], pair: tuple[int, int], base: int, padded: bool
) -> tuple[int, int, int] | None:
    first = carry < 0
    ends = []
    for state, digit in zip(before, pair, strict=True):
        if digit == _ABSENT:
            if first or state == _MUST_GO_ON:
                return None
            ends.append(_ENDED)
        elif state == _ENDED and not first:
            return None
        else:
            ends.append(_MAY_END if first or digit else _MUST_GO_ON)
    if padded and _MAY_END in ends:  # the shorter operand's leading zeros are padding
        ends = [_MAY_END, _MAY_END]
    total = max(carry, 0) + max(pair[0], 0) + max(pair[1], 0)
    return int(total >= base), ends[0], ends[1]


def addition_cover(
    coupling: Coupling,
    windows: Sequence[WindowLike],
    *,
    base: int = 10,
    padded: bool = False,
    reverse_operands: bool = False,
    max_windows: int = 20_000_000,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Sums that contain every local context of any sum of any length (proof: `columns`).

    Args:
        coupling: the coupling; its forms must be column-aligned.
        windows: one finite window per level.
        base: number of digits.
        padded: the zero-padded format.
        reverse_operands: operands are written least significant digit first.
        max_windows: the largest number of windows of columns to enumerate.

    Returns:
        digits uint8 [total], most significant first, and offsets int64 [2 * sums + 1]: the operands
        a and b of every sum in turn, short sums first.

    Raises:
        ValueError: the coupling or the windows do not allow it, or reach too far.
    """
    form = "left" if reverse_operands else "right"
    reach = column_reach(coupling, windows, {"a": form, "b": form})
    folded = all(level.key.get("a") == level.key.get("b") for level in coupling.levels)
    automaton, digits = addition_automaton(base, padded, folded)
    try:
        symbols, offsets, _ = automaton.cover(reach.past, reach.future, max_windows)
    except ValueError as error:
        raise ValueError(
            f"{error}; level {reach.level!r} makes a query depend on {reach.past} columns before"
            f" and {reach.future} after its own: use narrower windows"
        ) from None
    return _to_operands(digits[symbols].astype(np.int64), offsets, padded)


def _to_operands(
    columns: NDArray[np.int64], offsets: NDArray[np.int64], padded: bool
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Walks (columns [total, 2], least significant first) as operands, short walks first."""
    walks = len(offsets) - 1
    sizes = np.diff(offsets)
    rank = np.empty(walks, np.int64)
    rank[np.argsort(sizes, kind="stable")] = np.arange(walks)
    walk = np.repeat(np.arange(walks), sizes)
    place = np.arange(len(columns)) - offsets[walk]  # significance of each column in its walk
    lengths = np.zeros((walks, 2), np.int64)
    for side in (0, 1):
        shown = columns[:, side] > 0 if padded else columns[:, side] != _ABSENT
        np.maximum.at(lengths[:, side], walk[shown], place[shown] + 1)
    lengths = np.maximum(lengths, 1)
    in_order = np.empty_like(lengths)
    in_order[rank] = lengths
    ends = np.concatenate([[0], np.cumsum(in_order.ravel())])
    digits = np.empty(ends[-1], np.uint8)
    for side in (0, 1):
        kept = place < lengths[walk, side]
        end = ends[1:].reshape(walks, 2)[rank[walk[kept]], side]
        digits[end - 1 - place[kept]] = columns[kept, side]
    return digits, ends
