"""Launchers of short sequences: one tile holds all queries and keys of a sequence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arithtf.kernels import plan as plans
from arithtf.kernels.configs import power_of_two, whole_tiles
from arithtf.kernels.launch import Inputs, constants_of, dense, kernels, prepare, rotate
from arithtf.kernels.problem import Gradients, Problem


def forward(problem: Problem, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over short sequences: [B, H, Tq, D] in the layout of the query."""
    inputs = prepare(problem, query, key, value, expand=False)
    out = torch.empty_like(inputs.query)
    shared, sizes, constants, grid = _common(problem, inputs)
    kernels().short.short_forward[grid](
        inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key, out, *shared,
        *_strides(problem, inputs), query.shape[1], len(problem.read), *sizes,
        **constants | _tiles("short", inputs, problem),
    )  # fmt: skip
    return out


def backward(
    problem: Problem, query: Tensor, key: Tensor, value: Tensor, grad: Tensor
) -> Gradients:
    """All gradients of `forward`; softmax is computed again, nothing else was kept."""
    inputs = prepare(problem, query, key, value, expand=False)
    grad = dense(grad, inputs.query)
    dq, dk, dv = (torch.empty_like(x) for x in (inputs.query, inputs.key, inputs.value))
    shared, sizes, constants, grid = _common(problem, inputs)
    apart = constants["ROTARY"] and constants["SINKS"]
    plain_dq, plain_dk = (torch.empty_like(dq), torch.empty_like(dk)) if apart else (dq, dk)
    low, columns = table_columns(problem)
    batch, heads = query.shape[:2]
    sums = torch.zeros(batch, heads, 3 + columns, dtype=torch.float32, device=query.device)
    kernels().short.short_backward[grid](
        inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key, grad,
        dq, dk, dv, plain_dq, plain_dk, sums, *shared, *_strides(problem, inputs), heads,
        len(problem.read), *sizes, low, columns, COLUMNS=max(16, power_of_two(columns)),
        **constants | _tiles("short_backward", inputs, problem),
    )  # fmt: skip
    if problem.mechanism == "rotary":
        dq = rotate(problem, dq, problem.query_ids, -1.0, plain_dq if apart else None)
        dk = rotate(problem, dk, problem.key_ids, -1.0, plain_dk if apart else None)
    total = sums.sum(0)
    tensors: list[Tensor | None] = [None] * len(problem.tensors)
    if problem.mechanism in ("table", "buckets"):
        table = problem.tensors[0]
        whole = torch.zeros(table.shape, dtype=torch.float32, device=table.device)
        whole[:, low : low + columns] = total[:, 3:]
        tensors[0] = whole.to(table.dtype)
    elif problem.mechanism in ("alibi", "kerple"):
        tensors = [total[:, i + 1].to(t.dtype) for i, t in enumerate(problem.tensors)]
    scale = None if problem.scale is None else total[:, 0].to(problem.scale.dtype)
    return Gradients(dq, dk, dv, scale, tensors)


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
    """The tile: as many queries as the configuration says, all keys."""
    query, tq, tk = inputs.query, inputs.query.shape[2], inputs.key.shape[2]
    found = whole_tiles(
        kernel, query.device, query.dtype, query.shape[3], max(tq, tk), problem.ieee
    )
    bm = min(found.tiles.bm, max(16, power_of_two(tq)))
    return {
        "DP": found.head, "BM": bm, "BN": found.keys, "BLOCKS": -(-tq // bm),
        "num_warps": found.tiles.warps, "num_stages": found.tiles.stages,
    }  # fmt: skip
