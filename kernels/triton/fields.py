"""Launchers of the gradients that content vectors and FIRE's network get."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from . import plan as plans
from .configs import power_of_two
from .launch import Launch, Named, content_vectors, kernels

CONTENT_COLUMNS = 16


def content(
    launch: Launch, wanted: Sequence[bool], dq: Tensor, dk: Tensor
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """dq and dk with what content adds, and gradients of the vectors that are wanted."""
    query_vectors, key_vectors = content_vectors(launch.call)
    given = launch.call.mechanism.tensors()
    tensors: list[Tensor | None] = []
    if query_vectors is not None:
        found = _content_sums(launch, True, query_vectors.shape[1])
        dk = (dk.float() + found @ query_vectors).to(dk.dtype)
        tensors.append(_summed(found, launch.inputs.key, given[0]) if wanted[0] else None)
    if key_vectors is not None:
        found = _content_sums(launch, False, key_vectors.shape[1])
        dq = (dq.float() + found @ key_vectors).to(dq.dtype)
        tensors.append(_summed(found, launch.inputs.query, given[-1]) if wanted[-1] else None)
    return dq, dk, tensors


def _summed(found: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    """Sum over batch and rows of found[b, h, t, n] * rows[b, h, t, d]: [H, N, D]."""
    clean = torch.where(rows.isfinite(), rows, 0.0).float()
    return torch.einsum("bhtn,bhtd->hnd", found, clean).to(like.dtype)


def _content_sums(launch: Launch, of_keys: bool, columns: int) -> Tensor:
    """Gradient of the numbers per key (or query) and column: float32 [B, H, T, columns]."""
    sizes = launch.tiles("sums")
    length, block, step = launch.tq, sizes.bm, sizes.bn
    if of_keys:
        length, block, step = launch.tk, sizes.bn, sizes.bm
    reach = columns // 2
    back, ahead = (min(max(p[i] for p in launch.plan.windows), reach) for i in (0, 1))
    chunks = -(-(back + ahead + 1) // CONTENT_COLUMNS)
    shape = (launch.batch, launch.heads, length, columns)
    out = torch.zeros(shape, dtype=torch.float32, device=launch.inputs.query.device)
    blocks = -(-length // block)
    own: Named = dict(OUT=out, blocks=blocks, chunks=chunks, OF_KEYS=of_keys)
    own.update(columns=columns, column0=reach - back, COLUMNS=CONTENT_COLUMNS)
    own["RANGES"] = plans.block_ranges(launch.plan, block, step, not of_keys)
    programs = launch.batch * launch.heads * chunks * blocks
    launch.run(kernels().sums.content_sums, programs, sizes, own)
    return out


def fire(launch: Launch) -> list[Tensor | None]:
    """Gradients of w1, b1, w2, b2, c and threshold."""
    given = launch.call.mechanism.tensors()
    sizes = launch.tiles("sums")
    blocks = -(-launch.tq // sizes.bm)
    hidden = given[0].shape[0]
    units = max(16, power_of_two(hidden))
    shape = (launch.batch, launch.heads, blocks, 3, units)
    out = torch.empty(shape, dtype=torch.float32, device=launch.inputs.query.device)
    own: Named = dict(OUT=out, blocks=blocks, UNITS=units)
    own["RANGES"] = plans.block_ranges(launch.plan, sizes.bm, sizes.bn, True)
    launch.run(kernels().sums.fire_sums, launch.batch * launch.heads * blocks, sizes, own)
    counted, moved, rest = out.sum((0, 2)).unbind(1)
    counted, moved = counted[:, :hidden], moved[:, :hidden]
    w1, b1, w2 = (t.detach().float() for t in given[:3])
    layers = ((w2 * moved).sum(0), (w2 * counted).sum(0), w1 * moved + b1 * counted)
    found = (*layers, rest[:, 0], rest[:, 1].sum(), rest[:, 2].sum())
    return [x.to(t.dtype) for x, t in zip(found, given, strict=True)]
