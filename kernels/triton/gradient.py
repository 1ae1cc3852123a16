"""Launcher of the backward: dq, dk, dv, and gradients of the scale and the mechanism."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from arithtf.kernels import fields
from arithtf.kernels import plan as plans
from arithtf.kernels import problem as problems
from arithtf.kernels.launch import (
    PARTS,
    SINK_TILE,
    Launch,
    centred,
    dense,
    kernels,
    prepare,
    rotate,
)
from arithtf.kernels.problem import Gradients, Plan, Problem

# Ids of a tile's queries that share one accumulator, and differences that one program adds up.
TABLE_IDS = 64
TABLE_CHUNK = 64


def backward(
    problem: Problem,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    lse: Tensor,
    kept: Sequence[Tensor],
    grad: Tensor,
    wanted: Sequence[bool],
) -> Gradients:
    """Gradients of `launch.forward`.

    Args:
        out, lse, kept: what forward returned. grad: [B, H, Tq, D].
        wanted: for each tensor of the mechanism, whether its gradient is.
    """
    plan = problems.make_plan(problem, kept[:2])
    inputs = prepare(problem, query, key, value)
    launch = Launch(problem, plan, inputs, kept[2])
    grad, out = dense(grad, inputs.query), dense(out, inputs.query)
    poison = launch.poison()
    dq, delta, sums = _queries(launch, out, lse, grad, poison)
    dk, dv = _keys(launch, lse, delta, grad, poison)
    tensors: list[Tensor | None] = [None] * len(problem.tensors)
    if problem.mechanism in ("table", "buckets"):
        if wanted[0]:
            tensors[0] = _table(launch, lse, delta, grad, poison, sums)
    elif problem.mechanism == "content":
        dq, dk, tensors = fields.content(launch, lse, delta, grad, poison, wanted, dq, dk)
    elif problem.mechanism == "fire":
        tensors = fields.fire(launch, lse, delta, grad, poison)
    elif problem.mechanism in ("alibi", "kerple"):
        tensors = [sums[i + 1].to(t.dtype) for i, t in enumerate(problem.tensors)]
    scale = None if problem.scale is None else sums[0].to(problem.scale.dtype)
    return Gradients(dq, dk, dv, scale, tensors)


def _queries(
    launch: Launch, out: Tensor, lse: Tensor, grad: Tensor, poison: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """dq; delta [B, H, Tq]; sums [3, H] over everything of scale and bias gradients."""
    problem, plan, inputs = launch.problem, launch.plan, launch.inputs
    bm, bn, warps, stages = launch.tiles("queries")
    blocks = -(-launch.tq // bm)
    dq, delta = torch.empty_like(inputs.query), torch.empty_like(lse)
    rotary = problem.mechanism == "rotary"
    apart = torch.empty_like(dq) if rotary and plan.sinks else dq
    sums = torch.empty(
        launch.batch, launch.heads, blocks, 3, dtype=torch.float32, device=lse.device
    )
    kernels().backward.queries[(launch.batch * launch.heads * blocks,)](
        inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key, out, grad,
        dq, apart, lse, delta, sums, poison, launch.levels_of_heads, launch.windows, inputs.scale,
        launch.seen, inputs.first, inputs.second, *launch.sides(), launch.ranges(bm, bn, True),
        launch.or_nothing(plan.documents), launch.or_nothing(plan.prefix),
        launch.or_nothing(plan.sink_rows),
        problems.sink_ranges(plan, bm, SINK_TILE) if plan.sinks else launch.nothing,
        *launch.strides, launch.heads, len(problem.read), launch.tq, launch.tk, plan.sinks, blocks,
        problem.query_start, launch.per_batch, inputs.width, inputs.reach,
        ROTARY=rotary, SINKS=plan.sinks > 0, BM=bm, BN=bn, BS=SINK_TILE,
        CENTRED=centred(problem, inputs.query), **launch.constants,
        num_warps=warps, num_stages=stages,
    )  # fmt: skip
    if rotary:
        dq = rotate(problem, dq, problem.query_ids, -1.0, apart if plan.sinks else None)
    return dq, delta, sums.sum((0, 2)).T.contiguous()


def _keys(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor
) -> tuple[Tensor, Tensor]:
    """dk and dv: first of all keys but the sinks, then of the sinks."""
    problem, plan, inputs = launch.problem, launch.plan, launch.inputs
    bm, bn, warps, stages = launch.tiles("keys")
    dk, dv = torch.empty_like(inputs.key), torch.empty_like(inputs.value)
    blocks = -(-launch.tk // bn)
    query_rows, query_ids, key_rows, key_ids = launch.sides()
    constants = {k: v for k, v in launch.constants.items()}
    run = kernels().backward.keys

    def common(query: Tensor, key: Tensor, dk: Tensor, dv: Tensor) -> tuple[Tensor, ...]:
        return (
            query, key, inputs.value, grad, dk, dv, lse, delta, poison, launch.levels_of_heads,
            launch.windows, inputs.scale, launch.seen, inputs.first, inputs.second,
        )  # fmt: skip

    rest = (launch.or_nothing(plan.documents), launch.or_nothing(plan.prefix), *launch.strides)
    sizes = (launch.heads, len(problem.read), launch.tq, launch.tk)
    tail = (problem.query_start, launch.per_batch, inputs.width, inputs.reach)
    run[(launch.batch * launch.heads * blocks,)](
        *common(inputs.query, inputs.key, dk, dv), query_rows, query_ids, key_rows, key_ids,
        launch.ranges(bn, bm, False), *rest, 0, 0, 0, 0, *sizes, launch.tk, blocks, 1, *tail,
        SINK=False, PARTIAL=False, BM=bm, BN=bn, **constants, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    if problem.mechanism == "rotary":
        dk = rotate(problem, dk, problem.key_ids, -1.0)
    if not plan.sinks:
        return dk, dv
    bm, _, warps, stages = launch.tiles("sinks")
    partial = plan.sink_rows is None
    parts = min(PARTS, -(-launch.tq // bm)) if partial else 1
    into_k, into_v = dk, dv
    if partial:
        shape = (parts, launch.batch, launch.heads, plan.sinks, dk.shape[3])
        into_k = torch.empty(shape, dtype=torch.float32, device=dk.device)
        into_v = torch.empty_like(into_k)
    blocks = -(-plan.sinks // SINK_TILE)
    strides = into_k.stride()[1:4] + into_k.stride()[:1] if partial else (0, 0, 0, 0)
    constants = {**constants, "KIND": 0}
    run[(launch.batch * launch.heads * parts * blocks,)](
        *common(inputs.plain_query, inputs.plain_key, into_k, into_v), query_rows, query_ids,
        launch.or_nothing(plan.sink_rows), key_ids,
        problems.sink_query_ranges(plan, SINK_TILE, problem.causal), *rest, *strides, *sizes,
        plan.sinks, blocks, parts, *tail, SINK=True, PARTIAL=partial, BM=bm, BN=SINK_TILE,
        **constants, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    if partial:
        dk[:, :, : plan.sinks] = into_k.sum(0)
        dv[:, :, : plan.sinks] = into_v.sum(0)
    return dk, dv


def _near_plan(launch: Launch, windows: tuple[tuple[int, int], ...]) -> Plan:
    """The plan with every level sorted by id."""
    _problem, plan = launch.problem, launch.plan
    if all(plan.queries.sorted_levels):
        return plan
    by_id = (True,) * len(windows)
    sides = []
    for side in (plan.queries, plan.keys):
        ids = side.ids
        if side.rows is not None:
            ids = torch.empty_like(ids).scatter_(2, side.rows.long(), ids)
        sides.append(plans.make_side(ids, side.first, side.documents, by_id))
    return Plan(sides[0], sides[1], plan.documents, plan.prefix, plan.sinks, plan.sink_rows)


def _table(
    launch: Launch, lse: Tensor, delta: Tensor, grad: Tensor, poison: Tensor, sums: Tensor
) -> Tensor:
    """Gradient of the table [H, 2R+1], or of the bucketed one it was expanded from."""
    problem, inputs = launch.problem, launch.inputs
    width, reach = inputs.width, inputs.reach
    whole = torch.zeros(launch.heads, width, dtype=torch.float32, device=lse.device)
    if reach > 0:
        whole[:, 0], whole[:, -1] = sums[1], sums[2]
        inside = tuple(
            (min(back, reach - 1), min(ahead, reach - 1)) for back, ahead in problem.read_windows
        )
        back, ahead = (max(pair[i] for pair in inside) for i in (0, 1))
        near = _near_sums(launch, inside, back, ahead, lse, delta, grad, poison)
        whole[:, reach - back : reach + ahead + 1] += near
    else:
        whole[:, 0] = sums[1]
    table = problem.tensors[0]
    if problem.edges is not None:
        # A product with a matrix of ones and zeros: scattering would add in any order.
        index = plans.device_numbers(problem.edges, torch.int64, table.device)
        buckets = torch.arange(table.shape[1], device=table.device)
        whole = whole @ (index[:, None] == buckets).to(whole.dtype)
    return whole.to(table.dtype)


def _near_sums(
    launch: Launch,
    windows: tuple[tuple[int, int], ...],
    back: int,
    ahead: int,
    lse: Tensor,
    delta: Tensor,
    grad: Tensor,
    poison: Tensor,
) -> Tensor:
    """Sums of ds by difference, -back .. ahead, of pairs within `windows`: [H, back+ahead+1]."""
    problem, inputs = launch.problem, launch.inputs
    plan = _near_plan(launch, windows)
    bm, bn, warps, stages = launch.tiles("table")
    blocks = -(-launch.tq // bm)
    wide = back + ahead + TABLE_IDS
    chunks = -(-wide // TABLE_CHUNK)
    parts = min(PARTS, launch.batch * blocks)
    partial = torch.empty(
        parts, launch.heads, chunks, TABLE_IDS, TABLE_CHUNK, dtype=torch.float32, device=lse.device
    )
    near = Launch(problem, plan, inputs, launch.seen)
    ranges = plans.block_ranges(
        plan.queries, plan.keys, windows, bm, 1, problem.causal, plan.prefix, True
    )
    flat = tuple(n for pair in windows for n in pair)
    kernels().table.table_sums[(parts * launch.heads * chunks,)](
        inputs.query, inputs.key, inputs.value, grad, lse, delta, partial, poison,
        launch.levels_of_heads, plans.device_numbers(flat, torch.int64, lse.device), inputs.scale,
        launch.seen, inputs.first, inputs.second, *near.sides(), ranges,
        launch.or_nothing(plan.documents), launch.or_nothing(plan.prefix), *launch.strides,
        launch.batch, launch.heads, len(problem.read), launch.tq, launch.tk, blocks,
        problem.query_start, launch.per_batch, inputs.width, inputs.reach, -back, chunks, parts,
        BM=bm, BN=bn, U=TABLE_IDS, KB=TABLE_CHUNK, **near.constants, num_warps=warps,
        num_stages=stages,
    )  # fmt: skip
    # Entry (u, j) belongs to difference j - u - back: sum along the diagonals.
    total = partial.sum(0).permute(0, 2, 1, 3).reshape(launch.heads, TABLE_IDS, -1)
    length = total.shape[2]
    skewed = total.as_strided(
        (launch.heads, TABLE_IDS, back + ahead + 1), (TABLE_IDS * length, length + 1, 1)
    )
    return skewed.sum(1)
