"""Launchers of the gradients that content vectors and FIRE's network get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from arithtf.kernels.configs import power_of_two
from arithtf.kernels.launch import Launch, content_vectors, kernels

CONTENT_COLUMNS = 16


def content(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor,
    wanted: Sequence[bool], dq: Tensor, dk: Tensor,
) -> tuple[Tensor, Tensor, list[Tensor | None]]:  # fmt: skip
    """dq and dk with what content adds, and gradients of the vectors that are wanted."""
    problem, inputs = launch.problem, launch.inputs
    query_vectors, key_vectors = content_vectors(problem)
    tensors: list[Tensor | None] = []
    if query_vectors is not None:
        found = _content_sums(launch, lse, delta, grad, poison, True, query_vectors.shape[1])
        dk = (dk.float() + found @ query_vectors).to(dk.dtype)
        like = problem.tensors[0]
        tensors.append(_summed(found, inputs.key).to(like.dtype) if wanted[0] else None)
    if key_vectors is not None:
        found = _content_sums(launch, lse, delta, grad, poison, False, key_vectors.shape[1])
        dq = (dq.float() + found @ key_vectors).to(dq.dtype)
        like = problem.tensors[-1]
        tensors.append(_summed(found, inputs.query).to(like.dtype) if wanted[-1] else None)
    return dq, dk, tensors


def _summed(found: Tensor, rows: Tensor) -> Tensor:
    """Sum over batch and rows of found[b, h, t, n] * rows[b, h, t, d]: [H, N, D]."""
    clean = torch.where(rows.isfinite(), rows, 0.0).float()
    return torch.einsum("bhtn,bhtd->hnd", found, clean)


def _content_sums(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor, of_keys: bool,
    columns: int,
) -> Tensor:  # fmt: skip
    """Gradient of the numbers per key (or query) and column: float32 [B, H, T, columns]."""
    problem = launch.problem
    bm, bn, warps, stages = launch.tiles("sums")
    length, block, step = (launch.tk, bn, bm) if of_keys else (launch.tq, bm, bn)
    reach = columns // 2
    back, ahead = (min(max(p[i] for p in problem.read_windows), reach) for i in (0, 1))
    chunks = -(-(back + ahead + 1) // CONTENT_COLUMNS)
    out = torch.zeros(
        launch.batch, launch.heads, length, columns, dtype=torch.float32, device=lse.device
    )
    blocks = -(-length // block)
    kernels().sums.content_sums[(launch.batch * launch.heads * chunks * blocks,)](
        *_arguments(launch, lse, delta, grad, poison, out, launch.ranges(block, step, not of_keys)),
        blocks, *_tail(launch), columns, reach - back, chunks, OF_KEYS=of_keys, BM=bm, BN=bn,
        COLUMNS=CONTENT_COLUMNS, **_constants(launch), num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


def fire(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor
) -> list[Tensor | None]:
    """Gradients of w1, b1, w2, b2, c and threshold."""
    problem = launch.problem
    bm, bn, warps, stages = launch.tiles("sums")
    blocks = -(-launch.tq // bm)
    hidden = problem.tensors[0].shape[0]
    units = max(16, power_of_two(hidden))
    out = torch.empty(
        launch.batch, launch.heads, blocks, 3, units, dtype=torch.float32, device=lse.device
    )
    kernels().sums.fire_sums[(launch.batch * launch.heads * blocks,)](
        *_arguments(launch, lse, delta, grad, poison, out, launch.ranges(bm, bn, True)), blocks,
        *_tail(launch), BM=bm, BN=bn, UNITS=units, **_constants(launch), num_warps=warps,
        num_stages=stages,
    )  # fmt: skip
    counted, moved, rest = out.sum((0, 2)).unbind(1)
    counted, moved = counted[:, :hidden], moved[:, :hidden]
    w1, b1, w2 = (t.detach().float() for t in problem.tensors[:3])
    found = (
        (w2 * moved).sum(0), (w2 * counted).sum(0), w1 * moved + b1 * counted, rest[:, 0],
        rest[:, 1].sum(), rest[:, 2].sum(),
    )  # fmt: skip
    return [x.to(t.dtype) for x, t in zip(found, problem.tensors, strict=True)]


def _arguments(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor, out: Tensor,
    ranges: Tensor,
) -> tuple[Any, ...]:  # fmt: skip
    problem, plan, inputs = launch.problem, launch.plan, launch.inputs
    return (
        inputs.query, inputs.key, inputs.value, grad, lse, delta, out, poison,
        launch.levels_of_heads, launch.windows, inputs.scale, launch.seen, inputs.first,
        inputs.second, *launch.sides(), ranges, launch.or_nothing(plan.documents),
        launch.or_nothing(plan.prefix), *launch.strides, launch.heads, len(problem.read),
        launch.tq, launch.tk,
    )  # fmt: skip


def _tail(launch: Launch) -> tuple[int, ...]:
    inputs = launch.inputs
    return launch.problem.query_start, launch.per_batch, inputs.width, inputs.reach


def _constants(launch: Launch) -> dict[str, Any]:
    return {name: value for name, value in launch.constants.items() if name != "WIDTH"}
