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

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

NO_ID = -(2**31)
UNLIMITED = 2**33
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


def sink_columns(documents: Tensor | None, sinks: int, length: int) -> Tensor:
    """Which columns are sinks: bool [P, T], where documents [P, T] are those of the columns."""
    assert documents is not None
    earlier = torch.nn.functional.pad(
        documents[:, : max(length - sinks, 0)], (min(sinks, length), 0), value=-1
    )
    return earlier != documents


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


def block_ranges(
    outer: Side,
    inner: Side,
    windows: tuple[tuple[int, int], ...],
    block: int,
    step: int,
    causal: bool,
    prefix: Tensor | None,
    outer_is_query: bool,
) -> Tensor:
    """For each block of outer positions, what it sees of the inner ones.

    Args:
        windows: (back, ahead) per level, of key_id - query_id.
        block: outer positions of a block. step: inner positions of a tile; ranges are multiples.
        prefix: int32 [P] or None.

    Returns:
        int32 [P, U, ceil(T / block), 4]: lo, a, b, hi with lo <= a <= b <= hi. Tiles of [a, b) need
        no mask; without such tiles a = b = hi.
    """
    device, length, levels = outer.ids.device, outer.ids.shape[-1], outer.ids.shape[1]
    pairs = windows if outer_is_query else tuple((ahead, back) for back, ahead in windows)
    numbers = device_numbers(tuple(n for p in pairs for n in p), torch.int64, device)
    back, ahead = numbers.view(levels, 2, 1).unbind(1)

    have_id = outer.ids != NO_ID
    by_id = device_numbers(tuple(map(int, outer.sorted_levels)), torch.int64, device).bool()
    valid = torch.where(by_id, have_id.sum(-1), length).unsqueeze(-1)
    start = torch.arange(0, length, block, device=device).expand(*outer.ids.shape[:2], -1)
    last = torch.minimum(start + block, valid) - 1
    live = start < valid
    low0, high0, document0 = _bounds(outer, start, back, ahead)
    low1, high1, document1 = _bounds(outer, last.clamp(min=0), back, ahead)
    keys = inner.keys()
    lo, hi = _search(keys, low0, False), _search(keys, high1, True)
    a, b = _search(keys, low1, False), _search(keys, high0, True)

    if causal:
        least, greatest = _extremes(outer.columns, block)
        rising, falling = _ordered_columns(inner)
        if outer_is_query:
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
