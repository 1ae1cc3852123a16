"""Launchers of short sequences: one program takes a sequence, in one tile or split into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import plan as plans
from .configs import WHOLE, WIDEST_ROW, fits_short, fits_whole, power_of_two, short_tiles
from .forms import SCALARS, Form
from .launch import (
    Gradients,
    Inputs,
    Kept,
    Named,
    constants_of,
    dense,
    form_of,
    kernels,
    prepare,
    rotate,
    rotates,
    run,
    strides_of_ids,
)

if TYPE_CHECKING:
    from arithtf.attention.call import Call

# Tables that act by no more columns than this may go through the kernels for short sequences.
SHORT_COLUMNS = 64


def kernel_of(call: Call) -> str | None:
    """Which kernels for short sequences answer a call: "short", "split"; None: the general ones.

    "short" holds a sequence in one tile; where that would spill registers, "split" takes blocks.
    """
    size, form = _size(call), form_of(call)
    if not fits_short(*size) or form >= Form.FIRE:
        return None
    if form == Form.TABLE:
        columns = call.mechanism.tensors()[0].shape[1]
        if SHORT_COLUMNS < columns <= WIDEST_ROW and call.mechanism.edges is None:
            _, columns = table_columns(call)
        if columns > SHORT_COLUMNS:
            return None
    return "short" if fits_whole(*size) else "split"


def _size(call: Call) -> tuple[torch.device, torch.dtype, int, int, bool]:
    """Device, dtype, head, tokens, IEEE arithmetic."""
    query, tokens = call.query, max(call.query.shape[2], call.key.shape[2])
    return query.device, query.dtype, query.shape[3], tokens, call.impl == "triton-ieee"


def keeps(call: Call, kernel: str) -> Kept:
    """What `forward` returns beside its output: logarithms of sums, keys seen."""
    lse: tuple[int, ...] = (0,)
    seen: tuple[int, ...] = (0,)
    if kernel == "split":
        lse = tuple(call.query.shape[:3])
        if call.log_scale:
            seen = (lse[0], len(call.positions.read), lse[2])
    return [(lse, torch.float32), (seen, torch.float32)]


def forward(call: Call, kernel: str) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Attention over short sequences.

    Args:
        kernel: what `kernel_of` says.

    Returns:
        out [B, H, Tq, D] in the layout of the query; float32 logarithms of the softmax sums and
        keys seen, as `keeps` says.
    """
    inputs = prepare(call, expand=False)
    out = torch.empty_like(inputs.query)
    lse, seen = (torch.empty(n, dtype=t, device=out.device) for n, t in keeps(call, kernel))
    named = _named(call, inputs)
    named.update(OUT=out, LSE=lse, SEEN=seen)
    if kernel == "short":
        _run(call, kernels().short.short_forward, kernel, named)
    else:
        _run(call, kernels().split.split_forward, kernel, named)
    return out, lse, [seen]


def backward(
    call: Call, kernel: str, out: Tensor, lse: Tensor, kept: Sequence[Tensor], grad: Tensor
) -> Gradients:
    """All gradients of `forward`, given what it returned and the gradient of the output.

    A sequence in one tile has its softmax computed again.
    """
    inputs = prepare(call, expand=False)
    dq, dk, dv = (torch.empty_like(x) for x in (inputs.query, inputs.key, inputs.value))
    apart = rotates(call) and call.positions.sinks > 0
    plain_dq, plain_dk = (torch.empty_like(dq), torch.empty_like(dk)) if apart else (dq, dk)
    low, columns = table_columns(call)
    shape = (*inputs.query.shape[:2], 3 + columns)
    sums = torch.zeros(shape, dtype=torch.float32, device=dq.device)
    (seen,) = kept
    named = _named(call, inputs)
    named.update(DQ=dq, DK=dk, DV=dv, DQ_PLAIN=plain_dq, DK_PLAIN=plain_dk, SUMS=sums)
    named.update(GRAD=dense(grad, inputs.query), column0=low, columns=columns)
    named["COLUMNS"] = max(16, power_of_two(columns))
    if kernel == "short":
        _run(call, kernels().short.short_backward, "short_backward", named)
    else:
        named.update(OUT=dense(out, inputs.query), LSE=lse, SEEN=seen)
        _run(call, kernels().split.split_backward, "split_backward", named)
    if rotates(call):
        query_ids, key_ids = call.positions.ids
        dq = rotate(call, dq, query_ids, -1.0, plain_dq if apart else None)
        dk = rotate(call, dk, key_ids, -1.0, plain_dk if apart else None)
    return Gradients(dq, dk, dv, *_parameters(call, sums.sum(0), low, columns))


def _parameters(
    call: Call, total: Tensor, low: int, columns: int
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients of the scale and of the mechanism's tensors from the sums [H, 3 + columns]."""
    form, given = form_of(call), call.mechanism.tensors()
    tensors: list[Tensor | None] = [None] * len(given)
    if form == Form.TABLE:
        whole = torch.zeros(given[0].shape, dtype=torch.float32, device=total.device)
        whole[:, low : low + columns] = total[:, 3:]
        tensors[0] = whole.to(given[0].dtype)
    elif form in SCALARS:
        tensors = [total[:, i + 1].to(t.dtype) for i, t in enumerate(given)]
    scale = total[:, 0].to(call.factor.dtype) if isinstance(call.factor, Tensor) else None
    return scale, tensors


def table_columns(call: Call) -> tuple[int, int]:
    """First of the table's columns that a visible pair can have, and how many there are."""
    if form_of(call) != Form.TABLE:
        return 0, 0
    edges = call.mechanism.edges
    width = call.mechanism.tensors()[0].shape[1] if edges is None else len(edges)
    reach, windows = width // 2, call.positions.read_windows
    back, ahead = (max(pair[i] for pair in windows) for i in (0, 1))
    low, high = reach - min(back, reach), reach + min(ahead, reach)
    if edges is not None:
        seen = edges[low : high + 1]
        low, high = min(seen), max(seen)
    return low, high - low + 1


def _named(call: Call, inputs: Inputs) -> Named:
    """The parameters that forward and backward share, by name."""
    positions, query = call.positions, inputs.query
    read, documents, prefix = positions.read, positions.documents, positions.prefix
    query_ids, key_ids = (_dense_ids(ids) for ids in positions.ids)
    reading = [[h for h, u in enumerate(positions.reads) if u == level] for level in read]
    levels = [u for u, heads in enumerate(reading) for _ in heads]
    starts = [sum(map(len, reading[:u])) for u in range(len(read) + 1)]
    nothing, edges = plans.numbers((0,), query), call.mechanism.edges
    sinks = min(positions.sinks, key_ids.shape[2])
    per_document = 0 if documents is None or documents.shape[0] == 1 else documents.shape[1]
    named = inputs.named() | constants_of(call, inputs)
    named.update(QUERY_IDS=query_ids, KEY_IDS=key_ids, levels=len(read))
    named |= strides_of_ids("qi", query_ids) | strides_of_ids("ki", key_ids)
    named["DOCUMENT"] = nothing if documents is None else documents.contiguous()
    named["PREFIX_OF"] = nothing if prefix is None else prefix.contiguous()
    named.update(DOCUMENTS=documents is not None, PREFIX=prefix is not None, SINKS=sinks > 0)
    named.update(stride_db=per_document, query_start=positions.query_start, sinks=sinks)
    named["EDGES"] = nothing if edges is None else plans.numbers(edges, query)
    named["EDGED"] = edges is not None
    named["reach"] = inputs.reach if edges is None else len(edges) // 2
    named["WINDOWS"] = plans.of_windows(positions.read_windows, query)
    named["LEVEL_OF"] = plans.numbers(read, query)
    named["HEADS_OF"] = plans.numbers([h for heads in reading for h in heads] + levels, query)
    named["STARTS"] = plans.numbers(starts, query)
    return named


def _dense_ids(ids: Tensor) -> Tensor:
    return ids if ids.stride(-1) == 1 or ids.shape[-1] == 1 else ids.contiguous()


def _run(call: Call, kernel: Any, name: str, named: Named) -> None:
    """Launch in the configured tile: as many queries as it says; all keys, or a block of them."""
    found = short_tiles(name, *_size(call))
    tq, tk = named["tq"], named["tk"]
    bm = min(found.tiles.bm, max(16, power_of_two(tq)))
    whole = name in WHOLE
    bn = found.tokens if whole else min(found.tiles.bn, max(16, power_of_two(tk)))
    named.update(DP=found.head, BM=bm, BN=bn, BLOCKS=-(-tq // bm))
    programs = named["Q"].shape[0] * named["levels"]
    run(kernel, programs, named, found.tiles.warps, found.tiles.stages)
