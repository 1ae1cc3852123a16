"""The public operator `attention`: what it accepts, and which implementation answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.attention import cpu, fused, ops, reference, triton
from arithtf.attention.geometry import Geometry, normalise_window
from arithtf.attention.mechanisms import NONE, LogScale, Mechanism
from arithtf.attention.reference import Scale

IMPLEMENTATIONS = ("auto", "reference", "cpu", "triton", "triton-ieee")
TRITON = ("triton", "triton-ieee")
WindowLike = int | Sequence[int] | None


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
    geometry = _geometry(
        query,
        key,
        value,
        query_ids,
        key_ids,
        head_levels,
        windows,
        sinks,
        causal,
        query_start,
        prefix,
        documents,
    )
    factor = _scale(scale, query)
    _check_mechanism(mechanism, query)
    choice = _choose(impl, query, key, value, mechanism, geometry, factor)
    if choice.impl == "reference":
        return reference.attention(query, key, value, mechanism, geometry, factor)
    if choice.impl in TRITON:
        ieee = choice.impl == "triton-ieee"
        return fused.attention(query, key, value, mechanism, geometry, factor, ieee)
    return ops.attention(query, key, value, mechanism, geometry, factor, choice.impl)


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
    geometry = _geometry(
        query,
        key,
        value,
        query_ids,
        key_ids,
        head_levels,
        windows,
        sinks,
        causal,
        query_start,
        prefix,
        documents,
    )
    _check_mechanism(mechanism, query)
    return _choose(impl, query, key, value, mechanism, geometry, _scale(scale, query))


def _choose(
    impl: str,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
) -> Choice:
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
    obstacle = cpu.obstacle(query, key, value, mechanism, geometry, scale)
    if impl == "cpu":
        if obstacle is not None:
            raise ValueError(f"impl='cpu' cannot run: {obstacle}; use impl='reference' or 'auto'")
        return Choice("cpu", "asked for")
    if obstacle is not None:
        return Choice("reference", f"cpu cannot run: {obstacle}")
    return Choice("cpu", "windowed float32 attention on the CPU without gradients")


def _geometry(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_ids: Tensor | None,
    key_ids: Tensor | None,
    head_levels: Sequence[int] | None,
    windows: Sequence[WindowLike],
    sinks: int,
    causal: bool,
    query_start: int,
    prefix: Tensor | None,
    documents: Tensor | None,
) -> Geometry:
    _check_qkv(query, key, value)
    batch, heads, tq, _ = query.shape
    tk = key.shape[2]
    if query_start < 0 or query_start + tq > tk:
        raise ValueError(
            f"expected queries at columns within the {tk} keys, got columns {query_start} to "
            f"{query_start + tq - 1}; set query_start to the key column of the first query"
        )
    if sinks < 0:
        raise ValueError(f"expected sinks >= 0, got {sinks}")
    if (query_ids is None) != (key_ids is None):
        raise ValueError("expected query_ids and key_ids, or neither, got one; pass both")
    if query_ids is None or key_ids is None:
        columns = torch.arange(tk, dtype=torch.int32, device=key.device)[None, None]
        query_ids, key_ids = columns[..., query_start : query_start + tq], columns
    levels = key_ids.shape[1] if key_ids.dim() == 3 else -1
    _check_ints("query_ids", query_ids, (batch, levels, tq), "[B or 1, levels, Tq]", query)
    _check_ints("key_ids", key_ids, (batch, levels, tk), "[B or 1, levels, Tk]", query)
    if len(windows) != levels:
        raise ValueError(
            f"expected one window per level, got {len(windows)} windows for {levels} levels; "
            "None is a window without limit"
        )
    if head_levels is None:
        reads = tuple(h % levels for h in range(heads))
    else:
        reads = tuple(int(level) for level in head_levels)
    if len(reads) != heads or not all(0 <= level < levels for level in reads):
        raise ValueError(
            f"expected head_levels of {heads} numbers in 0..{levels - 1}, got {list(reads)}"
        )
    if prefix is not None:
        _check_ints("prefix", prefix, (batch,), "[B]", query)
    if documents is not None:
        _check_ints("documents", documents, (batch, tk), "[B or 1, Tk]", query)
    return Geometry(
        query_ids,
        key_ids,
        reads,
        tuple(normalise_window(w) for w in windows),
        sinks,
        causal,
        query_start,
        prefix,
        documents,
    )


def _check_qkv(query: Tensor, key: Tensor, value: Tensor) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected {name} to be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dim() != 4:
            raise ValueError(f"expected {name} [B, H, T, D], got shape {tuple(tensor.shape)}")
    if not query.is_floating_point() or not query.dtype == key.dtype == value.dtype:
        raise TypeError(
            "expected query, key and value of one floating-point dtype, "
            f"got {query.dtype}, {key.dtype}, {value.dtype}; convert them"
        )
    if not query.device == key.device == value.device:
        raise ValueError(
            "expected query, key and value on one device, "
            f"got {query.device}, {key.device}, {value.device}; move them"
        )
    batch, heads, _, dim = query.shape
    if key.shape != value.shape or key.shape[:2] != (batch, heads) or key.shape[3] != dim:
        raise ValueError(
            f"expected key and value [{batch}, {heads}, Tk, {dim}] to go with query "
            f"{tuple(query.shape)}, got {tuple(key.shape)} and {tuple(value.shape)}"
        )


def _check_ints(
    name: str, tensor: Tensor, shape: tuple[int, ...], text: str, query: Tensor
) -> None:
    if tensor.dtype != torch.int32:
        raise TypeError(f"expected {name} int32, got {tensor.dtype}; use .to(torch.int32)")
    if tensor.device != query.device:
        raise ValueError(f"expected {name} on {query.device}, got {tensor.device}; move it")
    fits = tensor.dim() == len(shape) and tuple(tensor.shape[1:]) == shape[1:]
    alone = len(shape) > 1 and tensor.dim() > 0 and tensor.shape[0] == 1
    if not fits or not (alone or tensor.shape[0] == shape[0]):
        raise ValueError(f"expected {name} {text} = {list(shape)}, got shape {tuple(tensor.shape)}")


def _check_mechanism(mechanism: Mechanism, query: Tensor) -> None:
    if not isinstance(mechanism, Mechanism):
        raise TypeError(
            f"expected a mechanism of arithtf.attention, got {type(mechanism).__name__}; "
            "a module of arithtf.encodings must be called to give one"
        )
    mechanism.validate(query.shape[1], query.shape[3])
    for tensor in mechanism.tensors():
        if tensor.device != query.device:
            raise ValueError(
                f"expected the mechanism on {query.device}, got {tensor.device}; move it"
            )


def _scale(scale: float | Tensor | LogScale | None, query: Tensor) -> Scale:
    if scale is None:
        return float(query.shape[3] ** -0.5)
    tensor = scale.scale if isinstance(scale, LogScale) else scale
    if isinstance(tensor, Tensor):
        if tuple(tensor.shape) != (query.shape[1],):
            raise ValueError(
                f"expected scale [{query.shape[1]}], one per head, got {tuple(tensor.shape)}"
            )
        return scale
    if isinstance(tensor, int | float):
        return float(tensor)
    raise TypeError(
        f"expected scale None, a number, a tensor or LogScale, got {type(scale).__name__}"
    )
