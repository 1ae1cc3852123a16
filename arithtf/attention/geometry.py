"""Who sees whom: everything of an attention call that gets no gradients, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from arithtf.attention.mechanisms import NO_ID

Window = tuple[int, int] | None
"""(back, ahead): visible iff -back <= key_id - query_id <= ahead. None: no limit."""

# Beyond every difference of two int32 ids, so that a missing id is outside every window.
FAR = 2**40
UNLIMITED = 2**33


def normalise_window(window: int | Sequence[int] | None) -> Window:
    """`w` means (w, w); None means no limit.

    Raises:
        ValueError: a negative or malformed window.
    """
    if window is None:
        return None
    pair = (window, window) if isinstance(window, int) else tuple(window)
    if len(pair) != 2 or not all(isinstance(w, int) and 0 <= w < 2**31 for w in pair):
        raise ValueError(
            f"expected a window of None, w >= 0 or (back, ahead), both >= 0, got {window!r}"
        )
    return pair[0], pair[1]


@dataclass(frozen=True)
class Geometry:
    """Ids, windows, sinks and order of one attention call.

    Args:
        query_ids: int32 [B or 1, L, Tq]. key_ids: int32 [B or 1, L, Tk].
        head_levels: the level each head reads, H numbers.
        windows: one per level.
        sinks: leading columns (of each document) that every query may see.
        causal: a query sees key columns up to its own only.
        query_start: key column of the first query.
        prefix: int32 [B] or None; columns below it are visible to all queries.
        documents: int32 [B or 1, Tk] or None; queries see keys of their own document only.
    """

    query_ids: Tensor
    key_ids: Tensor
    head_levels: tuple[int, ...]
    windows: tuple[Window, ...]
    sinks: int
    causal: bool
    query_start: int
    prefix: Tensor | None
    documents: Tensor | None

    @property
    def read_levels(self) -> list[int]:
        """Levels in head order, a single entry where all heads read the same."""
        shared = len(set(self.head_levels)) == 1
        return [self.head_levels[0]] if shared else list(self.head_levels)

    def differences(self) -> Tensor:
        """key_id - query_id as heads read it: int64 [B or 1, H or 1, Tq, Tk].

        Pairs in which either side has no id get a difference outside every window.
        """
        query, key = self.query_ids, self.key_ids
        if len(self.windows) > 1:
            levels = self.read_levels
            query, key = query[:, levels], key[:, levels]
        far_query = query.long().masked_fill(query == NO_ID, FAR)
        far_key = key.long().masked_fill(key == NO_ID, -FAR)
        return far_key.unsqueeze(-2) - far_query.unsqueeze(-1)

    def visibility(self, differences: Tensor) -> tuple[Tensor, Tensor | None]:
        """Visible pairs and sink columns.

        Args:
            differences: what `differences()` returned.

        Returns:
            bool [B or 1, H or 1, Tq, Tk], and bool [B or 1, 1, 1, Tk] (None without sinks).
        """
        visible = self._in_window(differences)
        sink = self._sink_columns() if self.sinks else None
        if sink is not None:
            visible = visible | sink
        allowed = self._allowed()
        return (visible if allowed is None else visible & allowed), sink

    def _in_window(self, differences: Tensor) -> Tensor:
        pairs = [w or (UNLIMITED, UNLIMITED) for w in self.windows]
        if len(set(pairs)) == 1:
            back, ahead = pairs[0]
            if back == ahead:
                return differences.abs() <= back
            return (differences >= -back) & (differences <= ahead)
        bounds = torch.tensor([pairs[level] for level in self.read_levels])
        back_ahead = bounds.to(differences.device)[:, :, None, None]
        return (differences >= -back_ahead[:, 0]) & (differences <= back_ahead[:, 1])

    def _columns(self) -> tuple[Tensor, Tensor]:
        device = self.key_ids.device
        tq, tk = self.query_ids.shape[-1], self.key_ids.shape[-1]
        query = torch.arange(self.query_start, self.query_start + tq, device=device)
        return query, torch.arange(tk, device=device)

    def _allowed(self) -> Tensor | None:
        """What order and documents allow: bool [B or 1, 1, Tq, Tk], None if everything."""
        query, key = self._columns()
        allowed = key <= query[:, None] if self.causal else None
        if allowed is not None and self.prefix is not None:
            allowed = allowed | (key < self.prefix[:, None, None, None])
        if self.documents is not None:
            mine = self.documents[:, self.query_start : self.query_start + len(query)]
            same = mine[:, None, :, None] == self.documents[:, None, None, :]
            allowed = same if allowed is None else allowed & same
        return allowed

    def _sink_columns(self) -> Tensor:
        _, key = self._columns()
        if self.documents is None:
            return (key < self.sinks)[None, None, None]
        # A column is a sink if the column `sinks` places before it is of another document.
        earlier = torch.nn.functional.pad(
            self.documents[:, : max(len(key) - self.sinks, 0)].long(),
            (min(self.sinks, len(key)), 0),
            value=-FAR,
        )
        return (earlier != self.documents)[:, None, None]
