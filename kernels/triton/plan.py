"""Who sees whom, as ranges: computed on the device from the ids, without asking the host.

Tokens of a level with a window are sorted by (document, id); then the keys a block of queries can
see lie in one range [lo, hi) of positions, found by binary search. Attention does not care about
the order of tokens, so kernels walk positions and gather rows. A level without a window keeps the
order of columns, which makes causality a range. Inside [lo, hi) a block has an interior [a, b) in
which every pair is visible, so that no mask is needed there.

A range may be wider than what is visible, never narrower: kernels test single pairs outside the
interior. Everything here is linear in tokens. Only PyTorch is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from arithtf.attention.positions import Positions

NO_ID = -(2**31)
_DOCUMENT = 2**33  # ids of one document span less, so (document, id) is one int64
_LAST = 2**62
_SHIFT = 2**31


@dataclass(frozen=True)
class Side:
    """Queries or keys of the levels that are read, in the order in which kernels walk them.

    Args:
        rows: int32 [P, U, T], the row at each position; None: position = row.
        ids: int32 [P, U, T] at positions.
        first: key column of row 0.
        documents: int32 [P, T] by row, or None.
        sorted_levels: whether each of U levels is sorted by id.
    """

    rows: Tensor | None
    ids: Tensor
    first: int
    documents: Tensor | None
    sorted_levels: tuple[bool, ...]

    @property
    def columns(self) -> Tensor:
        """Key column at each position: int32 [1 or P, 1 or U, T]."""
        if self.rows is not None:
            return self.rows + self.first
        length = self.ids.shape[-1]
        start, end = self.first, self.first + length
        return torch.arange(start, end, dtype=torch.int32, device=self.ids.device)[None, None]

    def at_documents(self) -> Tensor:
        """Document at each position: int64 [P, U, T], zeros without documents."""
        if self.documents is None:
            return torch.zeros_like(self.ids, dtype=torch.int64)
        wide = self.documents.long()[:, None].expand(-1, self.ids.shape[1], -1)
        return wide if self.rows is None else wide.gather(2, self.rows.long())

    def keys(self) -> Tensor:
        """What positions are ordered by: int64 [P, U, T], non-decreasing."""
        return _join(self.ids, self.at_documents(), self.sorted_levels)


def _join(ids: Tensor, documents: Tensor, sorted_levels: tuple[bool, ...]) -> Tensor:
    base = documents * _DOCUMENT
    by_id = torch.where(ids == NO_ID, _LAST, base + (ids.long() + _SHIFT))
    if all(sorted_levels):
        return by_id
    joined = [by_id[:, u] if s else base[:, u] for u, s in enumerate(sorted_levels)]
    return torch.stack(joined, 1)


def document_numbers(documents: Tensor) -> Tensor:
    """Non-decreasing documents -> 0, 1, 2, ... in order: int32 of the same shape [P, T]."""
    changed = documents[:, 1:] != documents[:, :-1]
    counted = torch.nn.functional.pad(changed.to(torch.int32), (1, 0)).cumsum(1, dtype=torch.int32)
    return counted.contiguous()


def make_side(
    ids: Tensor, first: int, documents: Tensor | None, sorted_levels: tuple[bool, ...]
) -> Side:
    """Sort tokens of the levels marked so; NO_ID last.

    Args:
        ids: int32 [P, U, T] by row. documents: int32 [P, T] by row, numbers of documents.
    """
    if not any(sorted_levels):
        return Side(None, ids.contiguous(), first, documents, sorted_levels)
    if documents is None:
        # NO_ID is the least integer; one place lower it would be the greatest, which is wanted.
        keys = torch.where(ids == NO_ID, 2**31 - 1, ids - 1)
    else:
        wide = documents.long()[:, None].expand(-1, ids.shape[1], -1)
        keys = _join(ids, wide, sorted_levels)
    rows = keys.sort(dim=-1, stable=True).indices
    if not all(sorted_levels):
        natural = torch.arange(ids.shape[-1], device=ids.device).expand(ids.shape[0], -1)
        picked = [rows[:, u] if s else natural for u, s in enumerate(sorted_levels)]
        rows = torch.stack(picked, 1)
    return Side(rows.to(torch.int32), ids.gather(2, rows), first, documents, sorted_levels)


@cache
def device_numbers(values: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Host numbers on the device, made in the first call that wants them and kept for good.

    A captured graph must not copy from the host, and reads these at every replay: none may go.
    """
    return torch.tensor(values, dtype=dtype, device=device)


def numbers(values: Iterable[int], like: Tensor, dtype: torch.dtype = torch.int32) -> Tensor:
    """Host numbers on the device of a tensor."""
    return device_numbers(tuple(values), dtype, like.device)


def of_windows(windows: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """back and ahead of each level in turn: int64."""
    return numbers((n for pair in windows for n in pair), like, torch.int64)


def _bounds(
    side: Side, index: Tensor, back: Tensor, ahead: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Least and greatest order key that position `index` [P, U, N] can see, and its document."""
    ids = side.ids.gather(2, index).long() + _SHIFT
    document = side.at_documents().gather(2, index)
    base = document * _DOCUMENT
    low = base + (ids - back).clamp(min=0)
    high = base + (ids + ahead).clamp(max=_DOCUMENT - 1)
    for u, by_id in enumerate(side.sorted_levels):
        if not by_id:
            low[:, u], high[:, u] = base[:, u], base[:, u] + _DOCUMENT - 1
    return low, high, document


def _extremes(columns: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """Least and greatest column of each block of positions: [P, U, N]."""
    length = columns.shape[-1]
    missing = -length % block
    low = torch.nn.functional.pad(columns, (0, missing), value=2**31 - 1)
    high = torch.nn.functional.pad(columns, (0, missing), value=-1)
    shape = (*columns.shape[:-1], -1, block)
    return low.view(shape).amin(-1), high.view(shape).amax(-1)


def _search(ordered: Tensor, wanted: Tensor, right: bool) -> Tensor:
    shape = [max(a, b) for a, b in zip(ordered.shape[:-1], wanted.shape[:-1], strict=True)]
    return torch.searchsorted(
        ordered.expand(*shape, -1).contiguous(), wanted.expand(*shape, -1).contiguous(), right=right
    )


def _ordered_columns(side: Side) -> tuple[Tensor, Tensor]:
    """Greatest column up to, and least column from each position on; both non-decreasing."""
    columns = side.columns
    if side.rows is None:
        return columns, columns
    return columns.cummax(-1).values, columns.flip(-1).cummin(-1).values.flip(-1)


@dataclass(frozen=True)
class Plan:
    """What kernels walk: both sides of the levels that are read, and the sinks.

    Args:
        queries, keys: the tokens in order; keys without the sinks' ids.
        windows: (back, ahead) per level, of key_id - query_id.
        documents: numbers of documents by key column int32 [P, Tk], or None.
        prefix: int32 [P] or None.
        sinks: how many sinks are listed. sink_rows: their columns int32 [P, sinks] where documents
            have sinks of their own, else None: columns 0 .. sinks - 1.
    """

    queries: Side
    keys: Side
    windows: tuple[tuple[int, int], ...]
    causal: bool
    documents: Tensor | None
    prefix: Tensor | None
    sinks: int
    sink_rows: Tensor | None

    @property
    def rows(self) -> int:
        """P: batch rows that plans tell apart; 1 if they are all the same."""
        return self.keys.ids.shape[0]


def make_plan(positions: Positions, order: Sequence[Tensor] = ()) -> Plan:
    """Sort, or take `order` = (query rows, key rows) of an earlier plan (empty: not sorted)."""
    query_ids, key_ids = positions.ids
    read, prefix, documents = positions.read, positions.prefix, positions.documents
    if len(read) < key_ids.shape[1]:
        index = numbers(read, key_ids, torch.int64)
        query_ids, key_ids = query_ids.index_select(1, index), key_ids.index_select(1, index)
    size = [t.shape[0] for t in (query_ids, key_ids, documents, prefix) if t is not None]
    rows, tk, tq = max(size), key_ids.shape[2], query_ids.shape[2]
    query_ids = query_ids.expand(rows, -1, -1)
    key_ids = key_ids.expand(rows, -1, -1)
    sinks, sink_rows = min(positions.sinks, tk), None
    if documents is not None:
        documents = document_numbers(documents).expand(rows, -1).contiguous()
    if sinks and documents is not None:
        is_sink = positions.sink_columns().expand(rows, -1)
        sink_rows = (~is_sink).to(torch.int8).sort(stable=True, dim=1).indices.to(torch.int32)
        listed = torch.arange(tk, device=key_ids.device) < is_sink.sum(1, keepdim=True)
        sink_rows, sinks = torch.where(listed, sink_rows, -1).contiguous(), tk
        key_ids = key_ids.masked_fill(is_sink[:, None], NO_ID)
    elif sinks:
        key_ids = torch.nn.functional.pad(key_ids[..., sinks:], (sinks, 0), value=NO_ID)
    first = positions.query_start
    of_queries = None if documents is None else documents[:, first : first + tq].contiguous()
    by_id = tuple(positions.pairs[level] is not None for level in read)
    make = _taking(order) if order else make_side
    return Plan(
        make(query_ids, first, of_queries, by_id),
        make(key_ids, 0, documents, by_id),
        positions.read_windows,
        positions.causal,
        documents,
        prefix,
        sinks,
        sink_rows,
    )


def _taking(order: Sequence[Tensor]) -> Callable[..., Side]:
    orders = iter(order)

    def make(ids: Tensor, first: int, documents: Tensor | None, by_id: tuple[bool, ...]) -> Side:
        rows = next(orders)
        if rows.numel() == 0:
            return Side(None, ids.contiguous(), first, documents, by_id)
        return Side(rows, ids.gather(2, rows.long()), first, documents, by_id)

    return make


def block_ranges(plan: Plan, block: int, step: int, of_queries: bool) -> Tensor:
    """For each block of queries (or of keys) what it sees of the keys (or what sees it).

    Args:
        block: outer positions of a block. step: inner positions of a tile; ranges are multiples.

    Returns:
        int32 [P, U, ceil(T / block), 4]: lo, a, b, hi with lo <= a <= b <= hi. Tiles of [a, b) need
        no mask; without such tiles a = b = hi.
    """
    outer, inner = (plan.queries, plan.keys) if of_queries else (plan.keys, plan.queries)
    device, length, levels = outer.ids.device, outer.ids.shape[-1], outer.ids.shape[1]
    pairs = plan.windows if of_queries else [(ahead, back) for back, ahead in plan.windows]
    back, ahead = of_windows(pairs, outer.ids).view(levels, 2, 1).unbind(1)

    have_id = outer.ids != NO_ID
    by_id = numbers(map(int, outer.sorted_levels), outer.ids, torch.int64).bool()
    valid = torch.where(by_id, have_id.sum(-1), length).unsqueeze(-1)
    start = torch.arange(0, length, block, device=device).expand(*outer.ids.shape[:2], -1)
    last = torch.minimum(start + block, valid) - 1
    live = start < valid
    low0, high0, document0 = _bounds(outer, start, back, ahead)
    low1, high1, document1 = _bounds(outer, last.clamp(min=0), back, ahead)
    keys = inner.keys()
    lo, hi = _search(keys, low0, False), _search(keys, high1, True)
    a, b = _search(keys, low1, False), _search(keys, high0, True)

    prefix = plan.prefix
    if plan.causal:
        least, greatest = _extremes(outer.columns, block)
        rising, falling = _ordered_columns(inner)
        if of_queries:
            if prefix is not None:
                least = torch.maximum(least, prefix[:, None, None] - 1)
                greatest = torch.maximum(greatest, prefix[:, None, None] - 1)
            hi = torch.minimum(hi, _search(falling, greatest, True))
            b = torch.minimum(b, _search(rising, least, True))
        else:
            if prefix is not None:
                least = torch.where(least < prefix[:, None, None], -1, least)
                greatest = torch.where(greatest < prefix[:, None, None], -1, greatest)
            lo = torch.maximum(lo, _search(rising, least, False))
            a = torch.maximum(a, _search(falling, greatest, False))

    hi = torch.where(live, hi, 0)
    lo = torch.minimum(lo, hi) // step * step
    hi = (hi + step - 1) // step * step

    # The interior begins after the last token without an id (they sit anywhere in dense levels).
    position = torch.arange(inner.ids.shape[-1], device=device)
    lacking = torch.where(inner.ids == NO_ID, position, -1).cummax(-1).values
    a = torch.maximum(a, lacking.gather(2, (b - 1).clamp(min=0)) + 1)
    all_have = _extremes(have_id.to(torch.int32), block)[0] > 0
    a = torch.maximum((a + step - 1) // step * step, lo)
    b = torch.minimum(b // step * step, hi)
    interior = all_have & (document0 == document1) & live & (a < b)
    a, b = torch.where(interior, a, hi), torch.where(interior, b, hi)
    return torch.stack((lo, a, b, hi), -1).to(torch.int32).contiguous()


def sink_ranges(plan: Plan, block: int, step: int) -> Tensor:
    """Listed sinks that each block of query positions may see: int32 [P, U, N, 2]."""
    ids, device = plan.queries.ids, plan.queries.ids.device
    blocks = -(-ids.shape[2] // block)
    out = torch.zeros(*ids.shape[:2], blocks, 2, dtype=torch.int32, device=device)
    if plan.sink_rows is None:
        out[..., 1] = plan.sinks
        return out
    least, greatest = _extremes(plan.queries.at_documents(), block)
    listed = _sink_documents(plan)[:, None]
    out[..., 0] = _search(listed, least, False) // step * step
    out[..., 1] = _search(listed, greatest, True)
    return out


def _sink_documents(plan: Plan) -> Tensor:
    assert plan.documents is not None
    assert plan.sink_rows is not None
    found = plan.documents.long().gather(1, plan.sink_rows.long().clamp(min=0))
    return torch.where(plan.sink_rows < 0, _LAST, found)


def sink_query_ranges(plan: Plan, block: int) -> Tensor:
    """Query rows that may see each block of listed sinks: int32 [P, 1, N, 4], as block_ranges."""
    queries, device = plan.queries, plan.queries.ids.device
    tq, rows = queries.ids.shape[2], plan.rows
    start = torch.arange(0, plan.sinks, block, device=device)
    if plan.sink_rows is None:
        lo = start.expand(rows, -1)
        hi = torch.full_like(lo, tq)
    else:
        assert queries.documents is not None
        numbers = _sink_documents(plan)
        listed = (plan.sink_rows >= 0).sum(1, keepdim=True)
        last = torch.minimum(start + block, listed) - 1
        mine = queries.documents.long()
        lo = _search(mine, numbers[:, start], False)
        hi = _search(mine, numbers.gather(1, last.clamp(min=0)), True)
        hi = torch.where(start < listed, hi, 0)
    if plan.causal and plan.prefix is None and plan.sink_rows is None:
        lo = (lo - queries.first).clamp(min=0)
    elif plan.sink_rows is None:
        lo = torch.zeros_like(lo)
    lo = torch.minimum(lo, hi)
    return torch.stack((lo, hi, hi, hi), -1)[:, None].to(torch.int32).contiguous()
