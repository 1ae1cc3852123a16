"""Attention of one new query against a cache of keys: the operator of decoding.

With a window on every level a step costs what the window holds, whatever the cache holds: the order
of keys by id is made once, and each step searches it. Levels without a window are split over
programs. Nothing asks the device for a number, so a step can be captured in a graph.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arithtf.attention import api, triton
from arithtf.attention.call import SCHEMA, Flat, checked
from arithtf.attention.mechanism import LogScale, Mechanism
from arithtf.attention.mechanisms import NONE
from arithtf.attention.ops import laid_out, register
from arithtf.attention.positions import Positions

NO_IDS = "expected positions with key_ids, got none; give ids of the whole cache"


class KeyOrder(NamedTuple):
    """Keys of a cache in the order of their ids.

    Args:
        rows: int32 [B or 1, L, T]: the column at each position.
        ids: int32 [B or 1, L, T]: ascending on levels with a window, by column on others.
    """

    rows: Tensor
    ids: Tensor


def order_keys(positions: Positions) -> KeyOrder:
    """Sort the keys of all columns that a cache will hold, once for all steps.

    Args:
        positions: its key_ids [B or 1, L, T] are those of all columns, also of columns to come; of
            its query_ids nothing is read.

    Raises:
        ValueError: positions without ids.
    """
    key_ids = positions.key_ids
    if key_ids is None:
        raise ValueError(NO_IDS)
    ids, rows = key_ids.sort(dim=-1, stable=True)
    by_id = [ids[:, u] if w is not None else key_ids[:, u] for u, w in enumerate(positions.pairs)]
    return KeyOrder(rows.to(torch.int32).contiguous(), torch.stack(by_id, 1).contiguous())


def attention_step(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    positions: Positions,
    order: KeyOrder,
    column: Tensor,
    *,
    mechanism: Mechanism = NONE,
    scale: float | Tensor | LogScale | None = None,
    impl: str = "auto",
) -> Tensor:
    """Causal attention of the query in `column` over the columns up to it; no gradients.

    Args:
        query: [B, H, 1, D].
        key, value: [B, H, T, D], the cache; what comes after `column` is not looked at.
        positions: query_ids [B or 1, L, 1] of this query, key_ids [B or 1, L, T] of the cache,
            windows, head_levels and sinks.
        order: of the same key_ids and windows, from `order_keys`.
        column: int32 [1] on the device of the query.
        mechanism, scale: as in `arithtf.attention`.
        impl: "triton", "triton-ieee", "reference" (asks the device for `column`), or "auto".

    Returns:
        [B, H, 1, D].

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
        RuntimeError: impl="triton" where the kernel cannot run.
    """
    if query.dim() != 4 or query.shape[2] != 1:
        raise ValueError(f"expected query [B, H, 1, D], got shape {list(query.shape)}")
    if column.dtype != torch.int32 or column.numel() != 1 or column.device != query.device:
        raise ValueError(
            f"expected column int32 [1] on {query.device}, got {column.dtype} "
            f"{list(column.shape)} on {column.device}"
        )
    if positions.key_ids is None:
        raise ValueError(NO_IDS)
    apart = (positions.prefix, positions.documents, positions.query_start or None)
    if not positions.causal or any(x is not None for x in apart):
        raise ValueError(
            "expected causal positions without prefix, documents and query_start, got some; "
            "a step is that of `column` in one document"
        )
    if impl not in ("auto", "reference", *triton.IMPLEMENTATIONS):
        raise ValueError(f"expected impl auto, reference, triton or triton-ieee, got {impl!r}")
    lacks = triton.step_obstacle(query, mechanism)
    if impl in triton.IMPLEMENTATIONS:
        triton.require(lacks, impl, "impl='auto' or impl='reference'")
    if impl == "reference" or lacks is not None or (impl == "auto" and query.device.type == "cpu"):
        end = int(column) + 1
        _, key_ids = positions.ids
        positions = dataclasses.replace(positions, key_ids=key_ids[..., :end], query_start=end - 1)
        cache = key[:, :, :end], value[:, :, :end]
        return api.attention(query, *cache, positions, mechanism=mechanism, scale=scale, impl=impl)
    # Shapes, dtypes and the mechanism are checked as for a call over the whole cache.
    call = checked(query, key, value, positions, mechanism=mechanism, scale=scale, impl=impl)
    out: Tensor = torch.ops.arithtf.step(*order, column, *call.flat())
    return out


def _fake(rows: Tensor, ids: Tensor, column: Tensor, *packed: Any) -> Tensor:
    return torch.empty_like(Flat(*packed).query)


def _step(rows: Tensor, ids: Tensor, column: Tensor, *packed: Any) -> Tensor:
    from arithtf.kernels import steps

    call = Flat(*packed).call()
    if call.query.numel() == 0:
        return torch.empty_like(call.query)
    with torch.cuda.device_of(call.query):
        return laid_out(steps.step(call, rows, ids, column), call.query)


_STEP = f"(Tensor rows, Tensor ids, Tensor column, {SCHEMA}) -> Tensor"
register("arithtf::step", _STEP, _step, _fake)
