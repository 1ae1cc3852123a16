"""The public operator `attention`: what it accepts, and which implementation answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from arithtf.attention import cpu, fused, ops, reference, triton
from arithtf.attention.arguments import Call, WindowLike, checked, geometry_of
from arithtf.attention.mechanisms import NONE, LogScale, Mechanism

IMPLEMENTATIONS = ("auto", "reference", "cpu", "triton", "triton-ieee")
TRITON = ("triton", "triton-ieee")


class Choice(NamedTuple):
    """An implementation and the reason for it."""

    impl: str
    reason: str


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mechanism: Mechanism = NONE,
    query_ids: Tensor | None = None,
    key_ids: Tensor | None = None,
    head_levels: Sequence[int] | None = None,
    windows: Sequence[WindowLike] = (None,),
    sinks: int = 0,
    causal: bool = True,
    query_start: int = 0,
    prefix: Tensor | None = None,
    documents: Tensor | None = None,
    scale: float | Tensor | LogScale | None = None,
    impl: str = "auto",
) -> Tensor:
    """Softmax attention whose scores and visibility depend on arbitrary position ids.

    Query i sits at key column query_start + i. A pair is visible iff its id difference
    key_id - query_id lies in the window of the head's level (or the key is a sink), the order
    (causal, prefix) allows it and both are of one document. What is invisible has exactly no
    influence, bit for bit; a query that sees nothing gives exactly 0.

    Args:
        query: [B, H, Tq, D]. key, value: [B, H, Tk, D].
        mechanism: how id differences act on scores; see `arithtf.attention.mechanisms`.
        query_ids: int32 [B or 1, L, Tq]; NO_ID matches nothing. None: column indices, one level.
        key_ids: int32 [B or 1, L, Tk]; as query_ids, and both or neither.
        head_levels: the level each of H heads reads; default h % L.
        windows: per level None (no limit), w or (back, ahead): visible iff
            -back <= key_id - query_id <= ahead.
        sinks: leading columns (of each document) that every query may see, whatever their ids;
            they take part with the plain dot product.
        causal: key column <= query column.
        query_start: key column of the first query.
        prefix: int32 [B]; columns below it are visible to all queries (in their window).
        documents: int32 [B or 1, Tk], non-decreasing; only keys of the same document are visible.
        scale: logit scale; None: 1/sqrt(D); a number; [H]; or LogScale.
        impl: "reference", "cpu" (windowed, forward only, float32), "triton" (products of float32
            as three of TF32, which is about as exact), "triton-ieee" (products of float32 in IEEE
            arithmetic, slower; otherwise the same), or "auto". Only "auto" chooses; `explain` says
            what and why.

    Returns:
        [B, H, Tq, D].

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
        RuntimeError: impl="triton" or "triton-ieee" where the kernels cannot run.
    """
    geometry = geometry_of(
        query, key, value, query_ids, key_ids, head_levels, windows, sinks, causal, query_start,
        prefix, documents,
    )  # fmt: skip
    call = checked(query, key, value, mechanism, geometry, scale)
    return _run(_choose(impl, call).impl, call)


def explain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mechanism: Mechanism = NONE,
    query_ids: Tensor | None = None,
    key_ids: Tensor | None = None,
    head_levels: Sequence[int] | None = None,
    windows: Sequence[WindowLike] = (None,),
    sinks: int = 0,
    causal: bool = True,
    query_start: int = 0,
    prefix: Tensor | None = None,
    documents: Tensor | None = None,
    scale: float | Tensor | LogScale | None = None,
    impl: str = "auto",
) -> Choice:
    """Which implementation `attention` would run for these arguments, and why.

    Args, Raises: as `attention`.

    Returns:
        Choice(impl, reason).
    """
    geometry = geometry_of(
        query, key, value, query_ids, key_ids, head_levels, windows, sinks, causal, query_start,
        prefix, documents,
    )  # fmt: skip
    call = checked(query, key, value, mechanism, geometry, scale)
    return _choose(impl, call)


def _run(impl: str, call: Call) -> Tensor:
    if impl == "reference":
        return reference.attention(*call)
    if impl in TRITON:
        return fused.attention(*call, impl == "triton-ieee")
    return ops.attention(*call, impl)


def _choose(impl: str, call: Call) -> Choice:
    query, mechanism = call.query, call.mechanism
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"expected impl to be one of {IMPLEMENTATIONS}, got {impl!r}")
    if impl in TRITON:
        triton.require(query, mechanism, impl)
        return Choice(impl, "asked for")
    if impl == "reference":
        return Choice("reference", "asked for")
    if impl == "auto" and query.device.type == "cuda":
        lacks = triton.obstacle(query, mechanism)
        if lacks is None:
            return Choice("triton", "fused kernels on a CUDA device")
        return Choice("reference", f"triton cannot run: {lacks}")
    obstacle = cpu.obstacle(*call)
    if impl == "cpu":
        if obstacle is not None:
            raise ValueError(f"impl='cpu' cannot run: {obstacle}; use impl='reference' or 'auto'")
        return Choice("cpu", "asked for")
    if obstacle is not None:
        return Choice("reference", f"cpu cannot run: {obstacle}")
    return Choice("cpu", "windowed float32 attention on the CPU without gradients")
