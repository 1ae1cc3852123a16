"""impl="cpu": windowed attention in the C++ core, forward only, float32, linear in tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from arithtf import _core
from arithtf.attention.call import Call
from arithtf.attention.mechanism import MECHANISMS


def obstacle(call: Call) -> str | None:
    """Why this implementation cannot answer, as expected/got; None if it can."""
    query, mechanism = call.query, call.mechanism
    if query.device.type != "cpu":
        return f"expected tensors on the CPU, got {query.device}"
    if query.dtype != torch.float32:
        return f"expected float32, got {query.dtype}"
    if call.has_gradients:
        return "expected no gradients (torch.no_grad), got inputs that require them"
    name = type(mechanism).__name__
    if not mechanism.linear:
        able = ", ".join(name for name, known in MECHANISMS.items() if known.linear)
        return f"expected one of {able}, got {name}"
    pairs = call.positions.pairs
    read = [pairs[level] for level in call.positions.read]
    if None in read:
        return "expected a window on every level that a head reads, got one without limit"
    widest = max(max(pair) for pair in read if pair is not None)
    if widest > mechanism.widest:
        return f"expected windows up to {mechanism.widest} with {name}, got {widest}"
    return None


def attention(call: Call, threads: int | None = None) -> Tensor:
    """Windowed attention.

    Each query costs what its windows hold, whatever the number of tokens; extra memory is a few
    integers per key. Bits do not depend on the number of threads nor on the processor's vector
    width: every sum has a fixed order. Each weight exp(score - max) is within 2 ulp, and 0
    below exp(-87).

    Args:
        call: what is asked.
        threads: default torch.get_num_threads().

    Returns:
        [B, H, Tq, D] in the memory layout of the query.
    """
    query, positions, factor = call.query, call.positions, call.factor
    out = torch.empty_like(query)
    factors = factor if isinstance(factor, Tensor) else torch.tensor(float(factor))
    query_ids, key_ids = positions.ids
    # A level without a window is not read.
    windows = [pair or (0, 0) for pair in positions.pairs]
    bias = call.mechanism.near(max(map(max, windows)))
    _core.windowed_attention(
        query=_rows(query),
        key=_rows(call.key),
        value=_rows(call.value),
        query_ids=_rows(query_ids),
        key_ids=_rows(key_ids),
        head_levels=list(positions.reads),
        windows=windows,
        bias=None if bias is None else bias.detach().float().contiguous().numpy(),
        scale=factors.detach().float().expand(query.shape[1]).contiguous().numpy(),
        log_scale=call.log_scale,
        sinks=positions.sinks,
        causal=positions.causal,
        query_start=positions.query_start,
        prefix=None if positions.prefix is None else positions.prefix.contiguous().numpy(),
        documents=None if positions.documents is None else _rows(positions.documents),
        out=out.numpy(),
        threads=threads or torch.get_num_threads(),
    )
    return out


def _rows(x: Tensor) -> np.ndarray:
    """A view whose rows are contiguous; a copy only if they are not."""
    x = x.detach()
    return (x if x.stride(-1) == 1 or x.shape[-1] == 1 else x.contiguous()).numpy()
