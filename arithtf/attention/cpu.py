"""impl="cpu": windowed attention in the C++ core, forward only, float32, linear in tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arithtf import _core
from arithtf.attention.geometry import Geometry
from arithtf.attention.mechanisms import Alibi, BiasTable, LogScale, Mechanism, NoMechanism
from arithtf.attention.reference import Scale

# ALiBi is handed over as a table of a head's differences, two windows wide.
WIDEST_ALIBI = 2**20


def obstacle(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
) -> str | None:
    """Why this implementation cannot answer, as expected/got; None if it can."""
    if query.device.type != "cpu":
        return f"expected tensors on the CPU, got {query.device}"
    if query.dtype != torch.float32:
        return f"expected float32, got {query.dtype}"
    factor = scale.scale if isinstance(scale, LogScale) else scale
    tensors = [query, key, value, *mechanism.tensors()]
    if isinstance(factor, Tensor):
        tensors.append(factor)
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return "expected no gradients (torch.no_grad), got inputs that require them"
    if not isinstance(mechanism, NoMechanism | BiasTable | Alibi):
        return f"expected NoMechanism, BiasTable or Alibi, got {type(mechanism).__name__}"
    read = [geometry.windows[level] for level in sorted(set(geometry.head_levels))]
    if any(window is None for window in read):
        return "expected a window on every level that a head reads, got one without limit"
    widest = max(max(window) for window in read if window is not None)
    if isinstance(mechanism, Alibi) and widest > WIDEST_ALIBI:
        return f"expected windows up to {WIDEST_ALIBI} with Alibi, got {widest}"
    return None


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
    threads: int | None = None,
) -> Tensor:
    """Windowed attention; arguments as `reference.attention`.

    Each query costs what its windows hold, whatever the number of tokens; extra memory is a few
    integers per key. Bits do not depend on the number of threads nor on the processor's vector
    width: every sum has a fixed order. Each weight exp(score - max) is within 2 ulp, and 0
    below exp(-87).

    Args:
        threads: default torch.get_num_threads().

    Returns:
        [B, H, Tq, D] in the memory layout of the query.
    """
    out = torch.empty_like(query)
    factor = scale.scale if isinstance(scale, LogScale) else scale
    factors = factor if isinstance(factor, Tensor) else torch.tensor(float(factor))
    windows = [window or (0, 0) for window in geometry.windows]
    _core.windowed_attention(
        query=_rows(query), key=_rows(key), value=_rows(value),
        query_ids=_ids(geometry.query_ids), key_ids=_ids(geometry.key_ids),
        head_levels=list(geometry.head_levels), windows=windows,
        bias=_bias(mechanism, windows),
        scale=factors.detach().float().expand(query.shape[1]).contiguous().numpy(),
        log_scale=isinstance(scale, LogScale),
        sinks=geometry.sinks, causal=geometry.causal, query_start=geometry.query_start,
        prefix=None if geometry.prefix is None else geometry.prefix.contiguous().numpy(),
        documents=None if geometry.documents is None else _ids(geometry.documents),
        out=out.numpy(), threads=threads or torch.get_num_threads(),
    )  # fmt: skip
    return out


def _rows(x: Tensor) -> np.ndarray:
    """A view whose rows of D floats are contiguous; a copy only if they are not."""
    x = x.detach()
    return (x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()).numpy()


def _ids(x: Tensor) -> np.ndarray:
    return (x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()).numpy()


def _bias(mechanism: Mechanism, windows: list[tuple[int, int]]) -> np.ndarray | None:
    """Bias per head and difference, [H, 2R+1] around 0; differences beyond R take the end's."""
    if isinstance(mechanism, BiasTable):
        return mechanism.table.detach().float().contiguous().numpy()
    if isinstance(mechanism, Alibi):
        reach = max(max(window) for window in windows)
        near = torch.arange(-reach, reach + 1).abs()
        return (-mechanism.slopes.detach().float()[:, None] * near).contiguous().numpy()
    return None
