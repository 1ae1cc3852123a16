"""Launcher of decoding steps: one query per head against a cache of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import plan as plans
from .launch import constants_of, kernels, prepare, run, strides_of, strides_of_ids

if TYPE_CHECKING:
    from arithtf.attention.call import Call

TILE = 64
SINK_TILE = 16
# Columns of the cache per program where a level has no window; programs per head at most.
COLUMNS = 512
MOST_SPLITS = 64


def splits_of(length: int, windowed: bool) -> int:
    """Parts of a step; from the size of the cache, so that the device is not asked."""
    return 1 if windowed else max(1, min(MOST_SPLITS, length // COLUMNS))


def step(call: Call, rows: Tensor, ids: Tensor, column: Tensor) -> Tensor:
    """Attention of one query per head over columns 0 .. column of the cache.

    Args:
        call: its query_ids [B or 1, L, 1] are those of the query; key and value are the cache, of
            which columns that were not written yet may hold anything.
        rows, ids: int32 [B or 1, L, T], columns and ids of the keys: by id, ascending, on levels
            with a window, by column on others.
        column: int32 [1] on the device, the query's own column.

    Returns:
        [B, H, 1, D] in the dtype of the query.
    """
    # The cache goes to the kernel as it is; only the numbers of the heads are prepared here.
    inputs = prepare(call._replace(key=call.key[:, :, :1], value=call.value[:, :, :1]))
    key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (call.key, call.value))
    query, positions = inputs.query, call.positions
    batch, heads, _, dim = query.shape
    read, length = positions.read, key.shape[2]
    by_id = [positions.pairs[level] is not None for level in read]
    splits = splits_of(length, all(by_id))
    query_ids, _ = positions.ids
    parts = (batch, heads, splits)
    acc, top, total, seen = (
        torch.empty(shape, dtype=torch.float32, device=query.device)
        for shape in ((*parts, dim), parts, parts, (batch, len(read)))
    )
    named = inputs.named() | constants_of(call, inputs)
    named |= strides_of("k", key) | strides_of("v", value) | {"K": key, "V": value}
    named.update(ACC=acc, TOP=top, TOTAL=total, SEEN=seen, COLUMN=column, splits=splits)
    named["LEVELS"] = plans.numbers((read.index(u) for u in positions.reads), query)
    named["WINDOWS"] = plans.of_windows(positions.read_windows, query)
    named["SORTED_LEVELS"] = plans.numbers(map(int, by_id), query)
    named["LEVELS_READ"] = plans.numbers(read, query)
    named.update(QUERY_IDS=query_ids, ROWS=rows, IDS=ids, levels=len(read), length=length)
    named |= strides_of_ids("qi", query_ids) | strides_of_ids("i", ids)
    named.update(sinks=positions.sinks, SINKS=positions.sinks > 0, BN=TILE, BS=SINK_TILE)
    if call.log_scale:
        run(kernels().decode.step_count, batch * len(read), named, 4)
    run(kernels().decode.step, batch * heads * splits, named, 4)
    return joined(acc, top, total).to(query.dtype)[:, :, None]


def joined(acc: Tensor, top: Tensor, total: Tensor) -> Tensor:
    """Partial softmaxes [B, H, splits, ...] as one: [B, H, D]; exactly 0 where nothing was seen."""
    greatest = top.amax(-1, keepdim=True)
    weight = torch.exp2(top - greatest.masked_fill(greatest == float("-inf"), 0.0))
    whole = (total * weight).sum(-1, keepdim=True)
    out = (acc * weight[..., None]).sum(-2)
    return out / whole.masked_fill(whole == 0.0, 1.0)
