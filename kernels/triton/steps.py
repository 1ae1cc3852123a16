"""Launcher of decoding steps: one query per head against a cache of keys."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.kernels import plan as plans
from arithtf.kernels.launch import constants_of, kernels, prepare
from arithtf.kernels.problem import Problem

TILE = 64
SINK_TILE = 16
# Columns of the cache per program where a level has no window; programs per head at most.
COLUMNS = 512
MOST_SPLITS = 64


class Order(NamedTuple):
    """Keys of a cache in the order of their ids.

    Args:
        rows: int32 [B or 1, L, T], columns.
        ids: int32 [B or 1, L, T], ascending on levels with a window, by column on others.
    """

    rows: Tensor
    ids: Tensor


def splits_of(length: int, windowed: bool) -> int:
    """Parts of a step; from the size of the cache, so that the device is not asked."""
    return 1 if windowed else max(1, min(MOST_SPLITS, length // COLUMNS))


def step(
    problem: Problem, query: Tensor, key: Tensor, value: Tensor, order: Order, column: Tensor
) -> Tensor:
    """Attention of one query per head over columns 0 .. column of the cache.

    Args:
        problem: its query_ids [B or 1, L, 1] are those of the query.
        query: [B, H, 1, D]. key, value: [B, H, T, D], with unit stride along D; columns that were
            not written yet may hold anything.
        column: int32 [1] on the device, the query's own column.

    Returns:
        [B, H, 1, D] in the dtype of the query.
    """
    # The cache goes to the kernel as it is; only the numbers of the heads are prepared here.
    inputs = prepare(problem, query, key[:, :, :1], value[:, :, :1])
    query = inputs.query
    key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (key, value))
    batch, heads, _, dim = query.shape
    read, device = problem.read, query.device
    length = key.shape[2]
    by_id = tuple(int(problem.windows[level][0] >= 0) for level in read)
    splits = splits_of(length, all(by_id))
    flat = tuple(n for pair in problem.read_windows for n in pair)
    windows = plans.device_numbers(flat, torch.int64, device)
    sorted_levels = plans.device_numbers(by_id, torch.int32, device)
    levels_read = plans.device_numbers(read, torch.int32, device)
    own = plans.device_numbers(
        tuple(read.index(u) for u in problem.head_levels), torch.int32, device
    )
    query_ids = problem.query_ids
    of_query = (query_ids.stride(0) if query_ids.shape[0] > 1 else 0, query_ids.stride(1))
    of_keys = (order.ids.stride(0) if order.ids.shape[0] > 1 else 0, order.ids.stride(1))
    seen = torch.empty(batch, len(read), dtype=torch.float32, device=device)
    if problem.log_scale:
        kernels().decode.step_count[(batch * len(read),)](
            seen, column, windows, sorted_levels, query_ids, order.rows, order.ids, levels_read,
            *of_query, *of_keys, len(read), length, problem.sinks, BN=TILE, num_warps=4,
        )  # fmt: skip
    acc = torch.empty(batch, heads, splits, dim, dtype=torch.float32, device=device)
    top, total = (torch.empty(batch, heads, splits, dtype=torch.float32, device=device)
                  for _ in range(2))  # fmt: skip
    constants = constants_of(problem, inputs)
    kept = {name: constants[name] for name in ("KIND", "WIDTH", "LOG_SCALE", "D", "DP", "UPCAST")}
    kernels().decode.step[(batch * heads * splits,)](
        query, key, value, acc, top, total, column, own, windows, sorted_levels, levels_read,
        inputs.scale, seen, inputs.first, inputs.second, query_ids, order.rows, order.ids,
        *query.stride()[:2], *key.stride()[:3], *value.stride()[:3], *of_query, *of_keys, heads,
        len(read), length, problem.sinks, splits, inputs.width, inputs.reach,
        SINKS=problem.sinks > 0, BN=TILE, BS=SINK_TILE, **kept, num_warps=4,
    )  # fmt: skip
    return joined(acc, top, total).to(query.dtype)[:, :, None]


def joined(acc: Tensor, top: Tensor, total: Tensor) -> Tensor:
    """Partial softmaxes [B, H, splits, ...] as one: [B, H, D]; exactly 0 where nothing was seen."""
    greatest = top.amax(-1, keepdim=True)
    weight = torch.exp2(top - greatest.masked_fill(greatest == float("-inf"), 0.0))
    whole = (total * weight).sum(-1, keepdim=True)
    out = (acc * weight[..., None]).sum(-2)
    return out / whole.masked_fill(whole == 0.0, 1.0)
