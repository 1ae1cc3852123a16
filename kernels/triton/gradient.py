"""Launcher of the backward: dq, dk, dv, and gradients of the scale and the mechanism."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import fields
from . import plan as plans
from .forms import SCALARS, Form
from .launch import (
    PARTS,
    SINK_TILE,
    Gradients,
    Launch,
    Named,
    dense,
    form_of,
    kernels,
    prepare,
    rotate,
    rotates,
)
from .plan import Plan

if TYPE_CHECKING:
    from arithtf.attention.call import Call

# Ids of a tile's queries that share one accumulator, and differences that one program adds up.
TABLE_IDS = 64
TABLE_CHUNK = 64
# Of an output in parts [parts, B, H, T, D].
PART_STRIDES = ("stride_op", "stride_ob", "stride_oh", "stride_ot")


def backward(
    call: Call,
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
    inputs = prepare(call)
    launch = Launch(call, plans.make_plan(call.positions, kept[:2]), inputs, kept[2])
    launch.named |= {"LSE": lse, "GRAD": dense(grad, inputs.query), "POISON": launch.poison()}
    dq, sums = _queries(launch, dense(out, inputs.query))
    dk, dv = _keys(launch)
    form, given = form_of(call), call.mechanism.tensors()
    tensors: list[Tensor | None] = [None] * len(given)
    if form == Form.TABLE:
        if wanted[0]:
            tensors[0] = _table(launch, sums)
    elif form in SCALARS:
        tensors = [sums[i + 1].to(t.dtype) for i, t in enumerate(given)]
    elif form == Form.FIRE:
        tensors = fields.fire(launch)
    elif form >= Form.BY_QUERY:
        dq, dk, tensors = fields.content(launch, wanted, dq, dk)
    scale = sums[0].to(call.factor.dtype) if isinstance(call.factor, Tensor) else None
    return Gradients(dq, dk, dv, scale, tensors)


def _queries(launch: Launch, out: Tensor) -> tuple[Tensor, Tensor]:
    """dq; sums [3, H] over everything of scale and bias gradients. Launch gets delta [B, H, Tq]."""
    call, plan, query = launch.call, launch.plan, launch.inputs.query
    sizes = launch.tiles("queries")
    blocks = -(-launch.tq // sizes.bm)
    dq, delta = torch.empty_like(query), torch.empty_like(launch.named["LSE"])
    apart = torch.empty_like(dq) if rotates(call) and plan.sinks else dq
    shape = (launch.batch, launch.heads, blocks, 3)
    sums = torch.empty(shape, dtype=torch.float32, device=query.device)
    launch.named["DELTA"] = delta
    own: Named = dict(OUT=out, DQ=dq, DQ_PLAIN=apart, SUMS=sums, blocks=blocks)
    own |= launch.ranges_of_queries(sizes.bm, sizes.bn)
    launch.run(kernels().backward.queries, launch.batch * launch.heads * blocks, sizes, own)
    if rotates(call):
        query_ids, _ = call.positions.ids
        dq = rotate(call, dq, query_ids, -1.0, apart if plan.sinks else None)
    return dq, sums.sum((0, 2)).T.contiguous()


def _keys(launch: Launch) -> tuple[Tensor, Tensor]:
    """dk and dv: first of all keys but the sinks, then of the sinks."""
    call, plan, inputs = launch.call, launch.plan, launch.inputs
    sizes = launch.tiles("keys")
    dk, dv = torch.empty_like(inputs.key), torch.empty_like(inputs.value)
    blocks = -(-launch.tk // sizes.bn)
    # An output that is not in parts has the layout of the keys.
    launch.named.update(dict.fromkeys(PART_STRIDES, 0))
    own: Named = dict(DK=dk, DV=dv, blocks=blocks, parts=1, PARTIAL=False)
    own.update(SINK=False, listed=launch.tk)
    own["RANGES"] = plans.block_ranges(plan, sizes.bn, sizes.bm, False)
    launch.run(kernels().backward.keys, launch.batch * launch.heads * blocks, sizes, own)
    if rotates(call):
        _, key_ids = call.positions.ids
        dk = rotate(call, dk, key_ids, -1.0)
    if plan.sinks:
        _sinks(launch, dk, dv)
    return dk, dv


def _sinks(launch: Launch, dk: Tensor, dv: Tensor) -> None:
    """dk and dv of the sinks: by one program each; in parts where all queries see all of them."""
    plan, inputs = launch.plan, launch.inputs
    sizes = launch.tiles("sinks")._replace(bn=SINK_TILE)
    partial = plan.sink_rows is None
    parts = min(PARTS, -(-launch.tq // sizes.bm)) if partial else 1
    into_k, into_v = dk, dv
    if partial:
        shape = (parts, launch.batch, launch.heads, plan.sinks, dk.shape[3])
        into_k = torch.empty(shape, dtype=torch.float32, device=dk.device)
        into_v = torch.empty_like(into_k)
        launch.named.update(zip(PART_STRIDES, into_k.stride(), strict=False))
    blocks = -(-plan.sinks // SINK_TILE)
    own: Named = dict(DK=into_k, DV=into_v, blocks=blocks, parts=parts, PARTIAL=partial)
    own.update(SINK=True, listed=plan.sinks, KIND=int(Form.NONE))
    own.update(Q=inputs.plain_query, K=inputs.plain_key, KEY_ROWS=launch.named["SINK_ROWS"])
    own["RANGES"] = plans.sink_query_ranges(plan, SINK_TILE)
    launch.run(kernels().backward.keys, launch.batch * launch.heads * parts * blocks, sizes, own)
    if partial:
        dk[:, :, : plan.sinks] = into_k.sum(0)
        dv[:, :, : plan.sinks] = into_v.sum(0)


def _near_plan(plan: Plan, windows: tuple[tuple[int, int], ...]) -> Plan:
    """The plan within other windows, with every level sorted by id."""
    if all(plan.queries.sorted_levels):
        return dataclasses.replace(plan, windows=windows)
    by_id = (True,) * len(windows)
    sides = []
    for side in (plan.queries, plan.keys):
        ids = side.ids
        if side.rows is not None:
            ids = torch.empty_like(ids).scatter_(2, side.rows.long(), ids)
        sides.append(plans.make_side(ids, side.first, side.documents, by_id))
    return dataclasses.replace(plan, windows=windows, queries=sides[0], keys=sides[1])


def _table(launch: Launch, sums: Tensor) -> Tensor:
    """Gradient of the table [H, 2R+1], or of the bucketed one it was expanded from."""
    call, width, reach = launch.call, launch.inputs.width, launch.inputs.reach
    whole = torch.zeros(launch.heads, width, dtype=torch.float32, device=sums.device)
    if reach > 0:
        whole[:, 0], whole[:, -1] = sums[1], sums[2]
        inside = tuple(
            (min(back, reach - 1), min(ahead, reach - 1)) for back, ahead in launch.plan.windows
        )
        back, ahead = (max(pair[i] for pair in inside) for i in (0, 1))
        whole[:, reach - back : reach + ahead + 1] += _near_sums(launch, inside, back, ahead)
    else:
        whole[:, 0] = sums[1]
    table, edges = call.mechanism.tensors()[0], call.mechanism.edges
    if edges is not None:
        # A product with a matrix of ones and zeros: scattering would add in any order.
        index = plans.numbers(edges, table, torch.int64)
        buckets = torch.arange(table.shape[1], device=table.device)
        whole = whole @ (index[:, None] == buckets).to(whole.dtype)
    return whole.to(table.dtype)


def _near_sums(
    launch: Launch, windows: tuple[tuple[int, int], ...], back: int, ahead: int
) -> Tensor:
    """Sums of ds by difference, -back .. ahead, of pairs within `windows`: [H, back+ahead+1]."""
    plan = _near_plan(launch.plan, windows)
    near = Launch(launch.call, plan, launch.inputs, launch.seen)
    given = ("LSE", "DELTA", "GRAD", "POISON")
    near.named |= {name: launch.named[name] for name in given}
    sizes = launch.tiles("table")
    blocks = -(-launch.tq // sizes.bm)
    chunks = -(-(back + ahead + TABLE_IDS) // TABLE_CHUNK)
    parts = min(PARTS, launch.batch * blocks)
    shape = (parts, launch.heads, chunks, TABLE_IDS, TABLE_CHUNK)
    partial = torch.empty(shape, dtype=torch.float32, device=launch.named["LSE"].device)
    own: Named = dict(SUMS=partial, RANGES=plans.block_ranges(plan, sizes.bm, 1, True))
    own.update(batch=launch.batch, blocks=blocks, chunks=chunks, parts=parts, offset=-back)
    own.update(U=TABLE_IDS, KB=TABLE_CHUNK)
    near.run(kernels().table.table_sums, parts * launch.heads * chunks, sizes, own)
    # Entry (u, j) belongs to difference j - u - back: sum along the diagonals.
    total = partial.sum(0).permute(0, 2, 1, 3).reshape(launch.heads, TABLE_IDS, -1)
    length = total.shape[2]
    skewed = total.as_strided(
        (launch.heads, TABLE_IDS, back + ahead + 1), (TABLE_IDS * length, length + 1, 1)
    )
    return skewed.sum(1)
