"""What the public operator is called with, checked; errors say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.attention.geometry import Geometry, normalise_window
from arithtf.attention.mechanisms import LogScale, Mechanism
from arithtf.attention.reference import Scale

WindowLike = int | Sequence[int] | None


class Call(NamedTuple):
    """The arguments of a call, checked: as the implementations take them, in their order."""

    query: Tensor
    key: Tensor
    value: Tensor
    mechanism: Mechanism
    geometry: Geometry
    scale: Scale


def checked(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: float | Tensor | LogScale | None,
) -> Call:
    """A call whose geometry is checked, with mechanism and scale checked too.

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
    """
    check_mechanism(mechanism, query)
    return Call(query, key, value, mechanism, geometry, scale_of(scale, query))


def geometry_of(
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
    """The geometry of a call, its arguments checked; arguments as `api.attention`.

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
    """
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
        query_ids, key_ids, reads, tuple(normalise_window(w) for w in windows), sinks, causal,
        query_start, prefix, documents,
    )  # fmt: skip


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


def check_mechanism(mechanism: Mechanism, query: Tensor) -> None:
    """Raise TypeError or ValueError if a mechanism does not go with the query."""
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


def scale_of(scale: float | Tensor | LogScale | None, query: Tensor) -> Scale:
    """The logit scale with its default, or an error that says what was expected."""
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
