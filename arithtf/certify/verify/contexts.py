"""Sets of local contexts in the second path: plain arrays, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
ABSENT = -1
"""A token that is not there: an operand or a row has ended."""


class NotDerivable(ValueError):
    """Contexts of this task, coupling or window are not derived; the message says why."""


class Contexts(NamedTuple):
    """N local contexts, each once.

    Args:
        query: [N], the query's token.
        target: [N], the right next token.
        seen: [N, W, 3], (level, id difference, token) of visible tokens, ascending; -1 beyond.
    """

    query: Ints
    target: Ints
    seen: Ints

    def hash(self) -> str:
        """SHA-256 of the set, as a certificate defines it.

        Rows of big-endian int32 (query, target, then level, difference and token of each visible
        token in ascending order, then -1), sorted by their bytes, after their width as text.
        """
        rows = sorted(row.tobytes() for row in self._table().astype(">i4"))
        return hashlib.sha256(
            f"{2 + 3 * self.seen.shape[1]}\n".encode() + b"".join(rows)
        ).hexdigest()

    def clashes(self) -> int:
        """Contexts with a second right answer: no model is right in both."""
        rows = np.delete(self._table(), 1, axis=1)
        return len(rows) - len(distinct(rows))

    def _table(self) -> Ints:
        head = np.stack([self.query, self.target], 1)
        return np.concatenate([head, self.seen.reshape(len(head), 3 * self.seen.shape[1])], 1)


def from_slots(
    query: Ints, target: Ints, tokens: Ints, places: Sequence[tuple[int, int]]
) -> Contexts:
    """Contexts whose visible tokens stand in columns of an array, in any order.

    Args:
        query, target: [N].
        tokens: [N, W], ABSENT where there is none.
        places: level and id difference of each of the W columns.
    """
    shape = (*tokens.shape, 2)
    where = np.broadcast_to(np.array(places, np.int64).reshape(-1, 2), shape)
    seen = np.concatenate([where, tokens[:, :, None]], 2)
    return union([Contexts(query, target, ascending(seen))])


def ascending(seen: Ints) -> Ints:
    """Visible tokens [N, W, 3] in order of level, difference and token, absent ones last."""
    absent = seen[:, :, 2] == ABSENT
    code = (seen[:, :, 0] << 48) + (seen[:, :, 1] << 16) + seen[:, :, 2]
    order = np.argsort(np.where(absent, np.iinfo(np.int64).max, code), axis=1)
    found = np.take_along_axis(np.where(absent[:, :, None], -1, seen), order[:, :, None], 1)
    return found


def union(parts: Iterable[Contexts]) -> Contexts:
    """All contexts of several sets, each once."""
    parts = list(parts)
    width = max(int((p.seen[:, :, 2] != ABSENT).sum(1).max(initial=0)) for p in parts)
    tables = []
    for part in parts:
        seen = np.full((len(part.query), width, 3), -1, np.int64)
        used = min(width, part.seen.shape[1])
        seen[:, :used] = part.seen[:, :used]
        tables.append(Contexts(part.query, part.target, seen)._table())
    rows = np.concatenate(tables)
    rows = rows[distinct(rows)]
    return Contexts(rows[:, 0], rows[:, 1], rows[:, 2:].reshape(len(rows), width, 3))


def distinct(rows: NDArray[Any]) -> Ints:
    """Indices of the different rows of an integer array [N, K]."""
    code = np.zeros(len(rows), np.int64)
    span = 1
    for column in rows.T:
        low, high = (int(column.min()), int(column.max())) if len(rows) else (0, 0)
        if span * (high - low + 1) >= 2**62:  # number what there is anew, from 0
            code = np.unique(code, return_inverse=True)[1].astype(np.int64)
            span = len(rows)
        code = code * (high - low + 1) + (column - low)
        span *= high - low + 1
    return np.unique(code, return_index=True)[1]
