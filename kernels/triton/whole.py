"""Launchers of short sequences: one program takes a sequence, in one tile or split into blocks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arithtf.kernels import plan as plans
from arithtf.kernels.configs import WHOLE, fits_whole, power_of_two, short_tiles
from arithtf.kernels.launch import Inputs, centred, constants_of, dense, kernels, prepare, rotate
from arithtf.kernels.problem import Gradients, Problem


def is_whole(query: Tensor, key: Tensor, ieee: bool) -> bool:
    """Whether one tile holds a sequence; otherwise it is split into blocks."""
    tokens = max(query.shape[2], key.shape[2])
    return fits_whole(query.device, query.dtype, query.shape[3], tokens, ieee)


def keeps(
    query: Tensor, key: Tensor, levels: int, log_scale: bool, ieee: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of what `forward` keeps for `backward`: logarithms of sums, keys seen.

    Args:
        levels: how many levels are read.
    """
    if is_whole(query, key, ieee):
        return (0,), (0,)
    batch, _, tq, _ = query.shape
    return tuple(query.shape[:3]), (batch, levels, tq) if log_scale else (0,)


def forward(
    problem: Problem, query: Tensor, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Attention over short sequences.

    Returns:
        out [B, H, Tq, D] in the layout of the query; float32 logarithms of the softmax sums and
        keys seen, of the shapes that `keeps` says.
    """
    inputs = prepare(problem, query, key, value, expand=False)
    out = torch.empty_like(inputs.query)
    shared, sizes, constants, grid = _common(problem, inputs)
    of_lse, of_seen = keeps(query, key, len(problem.read), problem.log_scale, problem.ieee)
    lse, seen = (torch.empty(n, dtype=torch.float32, device=out.device) for n in (of_lse, of_seen))
    tensors = (inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key, out)
    rest = (*shared, *_strides(problem, inputs), query.shape[1], len(problem.read), *sizes)
    if is_whole(query, key, problem.ieee):
        tiles = _tiles("short", inputs, problem)
        kernels().short.short_forward[grid](*tensors, *rest, **constants | tiles)
    else:
        tiles = _tiles("split", inputs, problem)
        kernels().split.split_forward[grid](*tensors, lse, seen, *rest, **constants | tiles)
    return out, lse, seen


def backward(
    problem: Problem,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    seen: Tensor,
    grad: Tensor,
) -> Gradients:
    """All gradients of `forward`, given what it returned and the gradient of the output.

    A sequence in one tile has its softmax computed again.
    """
    inputs = prepare(problem, query, key, value, expand=False)
    grad = dense(grad, inputs.query)
    dq, dk, dv = (torch.empty_like(x) for x in (inputs.query, inputs.key, inputs.value))
    shared, sizes, constants, grid = _common(problem, inputs)
    apart = constants["ROTARY"] and constants["SINKS"]
    plain_dq, plain_dk = (torch.empty_like(dq), torch.empty_like(dk)) if apart else (dq, dk)
    low, columns = table_columns(problem)
    batch, heads = query.shape[:2]
    sums = torch.zeros(batch, heads, 3 + columns, dtype=torch.float32, device=query.device)
    given = (inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key)
    wanted = (dq, dk, dv, plain_dq, plain_dk, sums, *shared)
    rest = (*_strides(problem, inputs), heads, len(problem.read), *sizes, low, columns)
    constants["COLUMNS"] = max(16, power_of_two(columns))
    if is_whole(query, key, problem.ieee):
        tiles = _tiles("short_backward", inputs, problem)
        run = kernels().short.short_backward[grid]
        run(*given, grad, *wanted, *rest, **constants | tiles)
    else:
        tiles = _tiles("split_backward", inputs, problem)
        run = kernels().split.split_backward[grid]
        kept = (dense(out, inputs.query), grad, lse, seen)
        tiles["CENTRED"] = centred(problem, query)
        run(*given, *kept, *wanted, *rest, **constants | tiles)
    if problem.mechanism == "rotary":
        dq = rotate(problem, dq, problem.query_ids, -1.0, plain_dq if apart else None)
        dk = rotate(problem, dk, problem.key_ids, -1.0, plain_dk if apart else None)
    return Gradients(dq, dk, dv, *_parameters(problem, sums.sum(0), low, columns))


def _parameters(
    problem: Problem, total: Tensor, low: int, columns: int
) -> tuple[Tensor | None, list[Tensor | None]]:
    """Gradients of the scale and of the mechanism's tensors from the sums [H, 3 + columns]."""
    tensors: list[Tensor | None] = [None] * len(problem.tensors)
    if problem.mechanism in ("table", "buckets"):
        table = problem.tensors[0]
        whole = torch.zeros(table.shape, dtype=torch.float32, device=table.device)
        whole[:, low : low + columns] = total[:, 3:]
        tensors[0] = whole.to(table.dtype)
    elif problem.mechanism in ("alibi", "kerple"):
        tensors = [total[:, i + 1].to(t.dtype) for i, t in enumerate(problem.tensors)]
    scale = None if problem.scale is None else total[:, 0].to(problem.scale.dtype)
    return scale, tensors


def table_columns(problem: Problem) -> tuple[int, int]:
    """First of the table's columns that a visible pair can have, and how many there are."""
    if problem.mechanism not in ("table", "buckets"):
        return 0, 0
    edges = problem.edges
    width = problem.tensors[0].shape[1] if edges is None else len(edges)
    reach = width // 2
    back, ahead = (max(pair[i] for pair in problem.read_windows) for i in (0, 1))
    low, high = reach - min(back, reach), reach + min(ahead, reach)
    if edges is not None:
        seen = edges[low : high + 1]
        low, high = min(seen), max(seen)
    return low, high - low + 1


def _common(
    problem: Problem, inputs: Inputs
) -> tuple[tuple[Tensor, ...], tuple[int, ...], dict[str, Any], tuple[int]]:
    """Tensors, sizes and constants that forward and backward share, and the grid."""
    batch, _, tq, _ = inputs.query.shape
    tk, device, read = inputs.key.shape[2], inputs.query.device, problem.read
    reading = [[h for h, u in enumerate(problem.head_levels) if u == level] for level in read]
    starts = [sum(map(len, reading[:u])) for u in range(len(read) + 1)]

    def numbers(values: Any, dtype: torch.dtype = torch.int32) -> Tensor:
        return plans.device_numbers(tuple(values), dtype, device)

    nothing = numbers((0,))
    edges = nothing if problem.edges is None else numbers(problem.edges)
    documents, prefix = problem.documents, problem.prefix
    shared = (
        inputs.scale, inputs.first, inputs.second, _dense_ids(problem.query_ids),
        _dense_ids(problem.key_ids), nothing if documents is None else documents.contiguous(),
        nothing if prefix is None else prefix.contiguous(), edges,
        numbers((n for pair in problem.read_windows for n in pair), torch.int64), numbers(read),
        numbers([h for heads in reading for h in heads]
                + [u for u, heads in enumerate(reading) for _ in heads]), numbers(starts),
    )  # fmt: skip
    reach = inputs.reach if problem.edges is None else len(problem.edges) // 2
    sinks = min(problem.sinks, tk)
    sizes = (tq, tk, sinks, problem.query_start, inputs.width, reach)
    constants = constants_of(problem, inputs) | {
        "EDGED": problem.edges is not None, "ROTARY": problem.mechanism == "rotary",
        "SINKS": sinks > 0, "PREFIX": prefix is not None, "DOCUMENTS": documents is not None,
    }  # fmt: skip
    return shared, sizes, constants, (batch * len(read),)


def _dense_ids(ids: Tensor) -> Tensor:
    return ids if ids.stride(-1) == 1 or ids.shape[-1] == 1 else ids.contiguous()


def _strides(problem: Problem, inputs: Inputs) -> tuple[int, ...]:
    def of_ids(ids: Tensor) -> tuple[int, int]:
        dense = _dense_ids(ids)
        return (dense.stride(0) if dense.shape[0] > 1 else 0), dense.stride(1)

    documents = problem.documents
    per_document = 0 if documents is None or documents.shape[0] == 1 else documents.shape[1]
    tensors = (inputs.query, inputs.key, inputs.value)
    return (
        *(n for x in tensors for n in x.stride()[:3]),
        *of_ids(problem.query_ids), *of_ids(problem.key_ids), per_document,
    )  # fmt: skip


def _tiles(kernel: str, inputs: Inputs, problem: Problem) -> dict[str, int]:
    """The tile: as many queries as the configuration says; all keys, or a block of them."""
    query, tq, tk = inputs.query, inputs.query.shape[2], inputs.key.shape[2]
    found = short_tiles(
        kernel, query.device, query.dtype, query.shape[3], max(tq, tk), problem.ieee
    )
    bm = min(found.tiles.bm, max(16, power_of_two(tq)))
    sizes = {
        "DP": found.head, "BM": bm, "num_warps": found.tiles.warps,
        "num_stages": found.tiles.stages,
    }  # fmt: skip
    if kernel in WHOLE:
        return sizes | {"BN": found.tokens, "BLOCKS": -(-tq // bm)}
    return sizes | {"BN": min(found.tiles.bn, max(16, power_of_two(tk)))}
