"""`Cache`: keys and values of the columns that a model has read, for columns that come later."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from arithtf.attention import NO_ID, KeyOrder, Positions, order_keys
from arithtf.encodings import Encoding


class Cache:
    """What a causal model keeps of the columns it has read, per attention block.

    Forward passes over the columns of one batch, in order, fill and read it. Each is given the
    tokens of its own columns alone, but the ids of all columns, those to come included: so keys are
    sorted by id once, and a step that reads one column looks at the few in reach of its windows.

        cache = Cache()
        logits = model(tokens[:, :5], query_ids, key_ids, start=4, cache=cache)     # columns 0 .. 4
        logits = model(next_tokens, query_ids, key_ids, cache=cache)                # column 5
    """

    def __init__(self) -> None:
        self.length = 0
        """How many columns have been read."""
        self._kept: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        self._orders: dict[Encoding, KeyOrder] = {}
        self._reaches: dict[Encoding, Reach] = {}

    def extend(
        self, block: nn.Module, key: Tensor, value: Tensor, columns: int
    ) -> tuple[Tensor, Tensor]:
        """Put a block's keys and values of the next columns in.

        Args:
            block: the attention block.
            key, value: [B, n, H, D] of the columns length .. length + n - 1.
            columns: T, how many there will be in all.

        Returns:
            Keys and values [B, T, H, D]; columns that are not read yet hold anything.
        """
        if block not in self._kept:
            shape = (len(key), columns, *key.shape[2:])
            self._kept[block] = key.new_empty(shape), value.new_empty(shape)
        whole = self._kept[block]
        for kept, new in zip(whole, (key, value), strict=True):
            kept[:, self.length : self.length + new.shape[1]] = new
        return whole

    def order(self, encoding: Encoding, positions: Positions) -> KeyOrder:
        """The columns in order of their ids, for `attention_step`."""
        if encoding not in self._orders:
            self._orders[encoding] = order_keys(positions)
        return self._orders[encoding]

    def reach(self, encoding: Encoding, query_ids: Tensor, key_ids: Tensor, rows: int) -> Reach:
        """What finds the columns in reach of a query."""
        if encoding not in self._reaches:
            self._reaches[encoding] = Reach(encoding, query_ids, key_ids, rows)
        return self._reaches[encoding]


class Reach:
    """The few columns that one query can see, where every level has a window.

    Args:
        encoding: for its windows and sinks.
        query_ids, key_ids: int32 [B or 1, L, T].
        rows: B.
    """

    def __init__(self, encoding: Encoding, query_ids: Tensor, key_ids: Tensor, rows: int) -> None:
        self.query_ids, ids = (x.long().expand(rows, -1, -1) for x in (query_ids, key_ids))
        self.sorted_ids, self.order = ids.sort(dim=-1, stable=True)
        self.sinks, windows = encoding.sinks, [window or (0, 0) for window in encoding.pairs()]
        self.back, self.ahead = torch.tensor(windows, device=ids.device).T[..., None]
        self.diagonal = torch.eye(len(windows), dtype=torch.bool, device=ids.device)[..., None]

    def columns(self, column: int) -> tuple[Tensor, Tensor]:
        """What the query at `column` may see.

        A column within reach on two levels stands there twice, with an id on one level each.

        Returns:
            Columns [B, W], the sinks first and `column` last, and their ids int32 [B, L, W].
        """
        query = self.query_ids[..., column, None]
        begin = torch.searchsorted(self.sorted_ids, query - self.back)
        end = torch.searchsorted(self.sorted_ids, query + self.ahead, right=True)
        end = torch.where(query == NO_ID, begin, end)
        index = begin + torch.arange(int((end - begin).max()), device=begin.device)
        inside = index < end
        index = index.clamp(max=self.order.shape[-1] - 1)
        found = self.order.gather(-1, index)
        inside &= (found <= column) & (found >= self.sinks)
        found = torch.where(inside, found, column)
        # Each level's columns have ids on that level alone: [B, L, L, W].
        ids = torch.where(inside, self.sorted_ids.gather(-1, index), NO_ID)
        ids = torch.where(self.diagonal, ids[:, None], NO_ID).flatten(2)
        # The query's own column, unseen, marks where the query stands among the keys.
        sinks = torch.arange(min(self.sinks, column), device=begin.device)
        seen = torch.nn.functional.pad(found.flatten(1), (len(sinks), 1), value=column)
        seen[:, : len(sinks)] = sinks
        ids = torch.nn.functional.pad(ids, (len(sinks), 1), value=NO_ID)
        return seen, ids.int()
