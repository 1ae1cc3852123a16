"""Attention of one new query against a cache of keys: the operator of decoding.

With a window on every level a step costs what the window holds, whatever the cache holds: the order
of keys by id is made once, and each step searches it. Levels without a window are split over
programs. Nothing asks the device for a number, so a step can be captured in a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from arithtf.attention import api, arguments, fused, ops, triton
from arithtf.attention.geometry import Geometry, normalise_window
from arithtf.attention.mechanisms import NONE, Content, LogScale, Mechanism, Rotary

SCHEMA = (
    "(Tensor query, Tensor key, Tensor value, Tensor rows, Tensor ids, Tensor query_ids, "
    "Tensor column, str mechanism, Tensor[] tensors, int[] options, Tensor? scale, float factor, "
    "bool log_scale, int[] head_levels, int[] windows, int sinks) -> Tensor"
)


class KeyOrder(NamedTuple):
    """Keys of a cache in the order of their ids.

    Args:
        rows: int32 [B or 1, L, T]: the column at each position.
        ids: int32 [B or 1, L, T]: ascending on levels with a window, by column on others.
        plain: int32 [B or 1, L, T]: ids by column.
        windows: of the levels.
    """

    rows: Tensor
    ids: Tensor
    plain: Tensor
    windows: tuple[tuple[int, int] | None, ...]


def order_keys(key_ids: Tensor, windows: Sequence[int | Sequence[int] | None]) -> KeyOrder:
    """Sort the keys of all columns that a cache will hold, once for all steps.

    Args:
        key_ids: int32 [B or 1, L, T], those of columns to come included.
        windows: per level, as in `arithtf.attention`.

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
    """
    if key_ids.dim() != 3 or key_ids.shape[1] != len(windows):
        raise ValueError(
            f"expected key_ids [B or 1, {len(windows)}, T], one level per window, "
            f"got shape {tuple(key_ids.shape)}"
        )
    if key_ids.dtype != torch.int32:
        raise TypeError(f"expected key_ids int32, got {key_ids.dtype}; use .to(torch.int32)")
    pairs = tuple(normalise_window(w) for w in windows)
    ids, rows = key_ids.sort(dim=-1, stable=True)
    by_id = [ids[:, u] if pair is not None else key_ids[:, u] for u, pair in enumerate(pairs)]
    return KeyOrder(
        rows.to(torch.int32).contiguous(), torch.stack(by_id, 1).contiguous(), key_ids, pairs
    )


def step_obstacle(query: Tensor, mechanism: Mechanism) -> str | None:
    """Why the kernel for steps cannot answer, as expected/got; None if it can."""
    if isinstance(mechanism, Rotary | Content):
        name = type(mechanism).__name__
        return f"expected a mechanism that needs ids alone, got {name}"
    return triton.obstacle(query, mechanism)


def attention_step(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    order: KeyOrder,
    query_ids: Tensor,
    column: Tensor,
    *,
    mechanism: Mechanism = NONE,
    head_levels: Sequence[int] | None = None,
    sinks: int = 0,
    scale: float | Tensor | LogScale | None = None,
    impl: str = "auto",
) -> Tensor:
    """Causal attention of the query in `column` over the columns up to it; no gradients.

    Args:
        query: [B, H, 1, D].
        key, value: [B, H, T, D], the cache; what comes after `column` is not looked at.
        order: of the cache's ids, from `order_keys`.
        query_ids: int32 [B or 1, L, 1].
        column: int32 [1] on the device of the query.
        mechanism, head_levels, sinks, scale: as in `arithtf.attention`.
        impl: "triton", "triton-ieee", "reference" (asks the device for `column`), or "auto".

    Returns:
        [B, H, 1, D].

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
        RuntimeError: impl="triton" where the kernel cannot run.
    """
    if query.dim() != 4 or query.shape[2] != 1:
        raise ValueError(f"expected query [B, H, 1, D], got shape {tuple(query.shape)}")
    if column.dtype != torch.int32 or column.numel() != 1 or column.device != query.device:
        raise ValueError(
            f"expected column int32 [1] on {query.device}, got {column.dtype} "
            f"{tuple(column.shape)} on {column.device}"
        )
    if impl not in ("auto", "reference", *api.TRITON):
        raise ValueError(f"expected impl auto, reference, triton or triton-ieee, got {impl!r}")
    lacks = step_obstacle(query, mechanism)
    if impl in api.TRITON and lacks is not None:
        raise RuntimeError(
            f"impl={impl!r} cannot run: {lacks}. Use impl='auto' or impl='reference'"
        )
    if impl == "reference" or lacks is not None or (impl == "auto" and query.device.type == "cpu"):
        end = int(column) + 1
        return api.attention(
            query, key[:, :, :end], value[:, :, :end], mechanism=mechanism, query_ids=query_ids,
            key_ids=order.plain[..., :end], head_levels=head_levels, windows=order.windows,
            sinks=sinks, query_start=end - 1, scale=scale, impl=impl,
        )  # fmt: skip
    # Shapes, dtypes and the mechanism are checked as for a call over the whole cache.
    geometry = arguments.geometry_of(
        query, key, value, query_ids, order.plain, head_levels, order.windows, sinks, True, 0,
        None, None,
    )  # fmt: skip
    arguments.check_mechanism(mechanism, query)
    factor = arguments.scale_of(scale, query)
    packed = _arguments(query, key, value, order, geometry, column, mechanism, factor)
    out: Tensor = torch.ops.arithtf.step(*packed)
    return out


def _arguments(
    query: Tensor, key: Tensor, value: Tensor, order: KeyOrder, geometry: Geometry, column: Tensor,
    mechanism: Mechanism, factor: float | Tensor | LogScale,
) -> tuple[Any, ...]:  # fmt: skip
    whole = ops.arguments(query, key, value, mechanism, geometry, factor, "triton")
    head = (query, key, value, order.rows, order.ids, geometry.query_ids, column)
    return (*head, *whole[ops.TENSORS - 1 : -3])


def _fake(*packed: Any) -> Tensor:
    return torch.empty_like(packed[0])


def _step(*packed: Any) -> Tensor:
    from arithtf.kernels import steps

    query, key, value, rows, ids, query_ids, column = packed[:7]
    rest = packed[7:]
    if query.numel() == 0:
        return _fake(query)
    problem = fused._problem((query_ids, ids, None, None, *rest, True, 0, False, False))
    with torch.cuda.device_of(query):
        found = steps.step(problem, query, key, value, steps.Order(rows, ids), column)
    return fused._laid_out(found, query)


torch.library.define("arithtf::step", SCHEMA)
for _device in ("cpu", "cuda"):
    torch.library.impl("arithtf::step", _device, _step)
torch.library.register_fake("arithtf::step", _fake)
