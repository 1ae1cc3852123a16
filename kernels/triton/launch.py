"""Launchers: fused attention forward and backward on tensors. Triton is imported when called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arithtf.kernels import plan as plans
from arithtf.kernels import problem as problems
from arithtf.kernels.configs import WIDEST_ROW, Tiles, heavy, padded, tiles
from arithtf.kernels.problem import KERPLE, TABLE, Plan, Problem

# Programs per head over which sums along all queries are spread: the split of the work, and so the
# order of sums, must not depend on the device.
PARTS = 64
SINK_TILE = 16


@dataclass(frozen=True)
class Inputs:
    """q, k, v in the layout that kernels read, and the numbers of each head in float32.

    For rotary `query` and `key` are rotated; the plain ones serve the sinks. For content `first`
    and `second` hold numbers per query and per key, `width` and `reach` of them.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    plain_query: Tensor
    plain_key: Tensor
    scale: Tensor
    first: Tensor
    second: Tensor
    width: int
    reach: int


def kernels() -> Any:
    """The modules that hold the kernels; imports Triton."""
    from arithtf.kernels import compat

    return compat.modules()


def dense(x: Tensor, like: Tensor | None = None) -> Tensor:
    """x with unit stride along D and no overlap, in the layout of `like` if given."""
    wanted = torch.empty_like(x if like is None else like)
    if x.stride() == wanted.stride() and x.stride(-1) == 1:
        return x
    if wanted.stride(-1) != 1:
        return x.contiguous()
    return wanted.copy_(x)


def expanded_table(problem: Problem, table: Tensor) -> Tensor:
    """A bucketed table as one over clipped differences: [H, 2R+1]."""
    if problem.edges is None:
        return table
    index = plans.device_numbers(problem.edges, torch.int64, table.device)
    return table.index_select(1, index)


def prepare(
    problem: Problem, query: Tensor, key: Tensor, value: Tensor, expand: bool = True
) -> Inputs:
    """Bring the inputs into the layout of the kernels; rotate for rotary.

    Args:
        expand: give a bucketed table as one over differences.
    """
    heads = query.shape[1]
    query, key, value = dense(query), dense(key), dense(value)
    plain_query, plain_key = query, key
    if problem.scale is None:
        scale = torch.full((heads,), problem.factor, dtype=torch.float32, device=query.device)
    else:
        scale = problem.scale.detach().float().contiguous()
    first = second = scale
    width = 1
    if problem.mechanism == "rotary":
        query = rotate(problem, query, problem.query_ids, 1.0)
        key = rotate(problem, key, problem.key_ids, 1.0)
    elif problem.mechanism in ("table", "buckets"):
        first = problem.tensors[0].detach().float()
        first = (expanded_table(problem, first) if expand else first).contiguous()
        width = first.shape[1]
    elif problem.mechanism in ("alibi", "kerple"):
        first = problem.tensors[0].detach().float().contiguous()
        second = problem.tensors[-1].detach().float().contiguous()
    elif problem.mechanism == "fire":
        first, width = packed_fire(problem.tensors), problem.tensors[0].shape[0]
    reach = width // 2
    if problem.mechanism == "content":
        by_query, by_key = content_terms(problem, query, key)
        first, second = by_query, by_key
        width, reach = by_query.shape[-1], by_key.shape[-1]
    return Inputs(query, key, value, plain_query, plain_key, scale, first, second, width, reach)


def packed_fire(tensors: Sequence[Tensor]) -> Tensor:
    """w1, b1, w2, b2, c, threshold of each head in a row: float32 [H, 3K+3]."""
    w1, b1, w2, b2, c, threshold = (t.detach().float() for t in tensors)
    heads = w2.shape[0]
    rows = (w1.expand(heads, -1), b1.expand(heads, -1), w2, b2[:, None],
            c.expand(heads, 1), threshold.expand(heads, 1))  # fmt: skip
    return torch.cat(rows, 1)


def content_terms(problem: Problem, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """q . key vectors [B, H, Tq, N1] and k . query vectors [B, H, Tk, N2] in float32.

    One of them is empty where there are no such vectors.
    """
    query_vectors, key_vectors = content_vectors(problem)
    nothing = query.new_empty(0, dtype=torch.float32)
    by_query = by_key = nothing[None, None, None]
    if key_vectors is not None:
        by_query = (query.float() @ key_vectors.mT).contiguous()
    if query_vectors is not None:
        by_key = (key.float() @ query_vectors.mT).contiguous()
    return by_query, by_key


def content_vectors(problem: Problem) -> tuple[Tensor | None, Tensor | None]:
    """Query vectors and key vectors, float32 [H, N, D], or None."""
    given = iter(problem.tensors)
    has_query, has_key = problem.options
    query_vectors = next(given).detach().float() if has_query else None
    return query_vectors, next(given).detach().float() if has_key else None


def rotary_block(head_dim: int) -> int:
    """Positions of a program that rotates: so many that 2048 pairs of numbers stay in registers."""
    return min(64, 4096 // padded(head_dim))


def rotate(
    problem: Problem, x: Tensor, ids: Tensor, sign: float, add: Tensor | None = None
) -> Tensor:
    """x [B, H, T, D] rotated by sign * ids, plus `add`, in the layout of x."""
    batch, heads, length, dim = x.shape
    out = torch.empty_like(x)
    ids = ids.contiguous()
    block = rotary_block(dim)
    blocks = -(-length // block)
    kernels().rotary.rotate[(max(batch * heads * blocks, 1),)](
        x, out, x if add is None else add, ids, _numbers(problem.head_levels, x),
        problem.tensors[0].detach().contiguous(), x.stride(0), x.stride(1), x.stride(2), heads,
        ids.shape[1], length, blocks, int(ids.shape[0] > 1), sign, HALF=dim // 2,
        HALF_P=padded(dim) // 2, BT=block, HAS_ADD=add is not None, num_warps=4,
    )  # fmt: skip
    return out


def _numbers(values: Sequence[int], like: Tensor) -> Tensor:
    return plans.device_numbers(tuple(values), torch.int32, like.device)


def constants_of(problem: Problem, inputs: Inputs) -> dict[str, Any]:
    """Constants that depend on the arguments alone."""
    query = inputs.query
    interpreted = query.device.type != "cuda"
    whole = query.dtype == torch.float32 or interpreted
    three = whole and not (interpreted or problem.ieee or torch.version.hip is not None)
    wide = 1 << (inputs.width - 1).bit_length()
    table = problem.kind == TABLE and wide <= WIDEST_ROW
    dim = query.shape[3]
    return {
        "KIND": problem.kind, "WIDTH": max(wide, 16) if table else 0,
        "LOG_SCALE": problem.log_scale, "CAUSAL": problem.causal, "D": dim, "DP": padded(dim),
        "PRECISION": "tf32x3" if three else "ieee",
        "UPCAST": interpreted and query.dtype != torch.float32,
    }  # fmt: skip


def centred(problem: Problem, query: Tensor) -> bool:
    """Whether the gradient of the scale is summed with the mean of each row taken off.

    In float32, where what it takes off would be most of the error.
    """
    return problem.scale is not None and query.dtype == torch.float32


class Launch:
    """The arguments that all kernels of one call share.

    Args:
        problem, plan, inputs: the call.
        seen: float32 [P, U, Tq] keys seen, for a logarithmic scale; else anything.
    """

    def __init__(self, problem: Problem, plan: Plan, inputs: Inputs, seen: Tensor) -> None:
        query, key, value = inputs.query, inputs.key, inputs.value
        read = problem.read
        self.problem, self.plan, self.inputs, self.seen = problem, plan, inputs, seen
        self.batch, self.heads, self.tq, _ = query.shape
        self.tk = key.shape[2]
        self.levels_of_heads = _numbers([read.index(u) for u in problem.head_levels], query)
        flat = tuple(n for pair in problem.read_windows for n in pair)
        self.windows = plans.device_numbers(flat, torch.int64, query.device)
        self.nothing = self.levels_of_heads
        self.strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3])
        self.per_batch = int(plan.rows > 1)
        self.constants = constants_of(problem, inputs) | {
            "PREFIX": plan.prefix is not None, "DOCUMENTS": plan.documents is not None,
            "GATHER": plan.queries.rows is not None,
        }  # fmt: skip

    def tiles(self, kernel: str) -> Tiles:
        """Configured tiles of a kernel; smaller ones where a pair needs more registers.

        That is so for Kerple, FIRE, content and wide tables, and with logarithmic scale, prefix or
        documents: two of them in numbers of two bytes, any of them in float32. "sinks" is the
        kernel for dk and dv without a mechanism.
        """
        problem, query = self.problem, self.inputs.query
        at_once = problem.log_scale + self.constants["PREFIX"] + self.constants["DOCUMENTS"]
        wide = problem.kind == TABLE and not self.constants["WIDTH"]
        most = 1 if query.dtype.itemsize == 2 else 0
        if kernel == "sinks":
            kernel = "keys"
        elif problem.kind >= KERPLE or wide or at_once > most:
            kernel = heavy(kernel)
        return tiles(kernel, query.device, query.dtype, query.shape[3], problem.ieee)

    def or_nothing(self, tensor: Tensor | None) -> Tensor:
        """A tensor, or a stand-in for one that is not read."""
        return self.nothing if tensor is None else tensor.contiguous()

    def sides(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Rows and ids of queries, rows and ids of keys."""
        queries, keys = self.plan.queries, self.plan.keys
        return (
            self.or_nothing(queries.rows), queries.ids.contiguous(),
            self.or_nothing(keys.rows), keys.ids.contiguous(),
        )  # fmt: skip

    def ranges(self, block: int, step: int, of_queries: bool) -> Tensor:
        """Ranges of all blocks of queries, or of keys."""
        plan, problem = self.plan, self.problem
        outer, inner = plan.queries, plan.keys
        if not of_queries:
            outer, inner = inner, outer
        return plans.block_ranges(
            outer, inner, problem.read_windows, block, step, problem.causal, plan.prefix,
            of_queries,
        )  # fmt: skip

    def poison(self) -> Tensor:
        """0 or NaN for every key: float32 [B, H, Tk]."""
        inputs, block = self.inputs, 64
        out = torch.empty(
            self.batch, self.heads, self.tk, dtype=torch.float32, device=inputs.key.device
        )
        blocks = -(-self.tk // block)
        kernels().forward.poison[(self.batch * self.heads * blocks,)](
            inputs.plain_key, inputs.value, out, *self.strides[3:], self.heads, self.tk, blocks,
            D=self.constants["D"], DP=self.constants["DP"], BN=block, num_warps=4,
        )  # fmt: skip
        return out


def count_seen(problem: Problem, plan: Plan) -> Tensor:
    """Keys that each query sees on each level that is read: float32 [P, U, Tq] by row."""
    queries, keys = plan.queries, plan.keys
    tq, tk = queries.ids.shape[2], keys.ids.shape[2]
    bm = bn = 64
    blocks = -(-tq // bm)
    out = torch.empty(queries.ids.shape, dtype=torch.float32, device=queries.ids.device)
    ranges = plans.block_ranges(
        queries, keys, problem.read_windows, bm, bn, problem.causal, plan.prefix, True
    )
    flat = tuple(n for pair in problem.read_windows for n in pair)
    nothing = queries.ids

    def or_nothing(tensor: Tensor | None) -> Tensor:
        return nothing if tensor is None else tensor

    kernels().forward.count[(plan.rows * queries.ids.shape[1] * blocks,)](
        out, plans.device_numbers(flat, torch.int64, nothing.device), or_nothing(queries.rows),
        queries.ids.contiguous(), or_nothing(keys.rows), keys.ids.contiguous(), ranges,
        or_nothing(plan.documents), or_nothing(plan.prefix), or_nothing(plan.sink_rows),
        problems.sink_ranges(plan, bm, SINK_TILE) if plan.sinks else nothing,
        queries.ids.shape[1], tq, tk, plan.sinks, blocks, problem.query_start,
        CAUSAL=problem.causal, PREFIX=plan.prefix is not None,
        DOCUMENTS=plan.documents is not None, SINKS=plan.sinks > 0,
        GATHER=queries.rows is not None, BM=bm, BN=bn, BS=SINK_TILE, num_warps=4,
    )  # fmt: skip
    return out


def forward(
    problem: Problem, query: Tensor, key: Tensor, value: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Fused attention.

    Returns:
        out [B, H, Tq, D] in the layout of the query; lse float32 [B, H, Tq] in units of log 2;
        what `backward` wants to have kept: rows of queries, rows of keys, keys seen (empty where
        there is nothing to keep).
    """
    plan = problems.make_plan(problem)
    inputs = prepare(problem, query, key, value)
    nothing = query.new_empty(0, dtype=torch.float32)
    seen = count_seen(problem, plan) if problem.log_scale else nothing
    launch = Launch(problem, plan, inputs, seen)
    out = torch.empty_like(inputs.query)
    lse = torch.empty(query.shape[:3], dtype=torch.float32, device=query.device)
    bm, bn, warps, stages = launch.tiles("forward")
    blocks = -(-launch.tq // bm)
    kernels().forward.forward[(launch.batch * launch.heads * blocks,)](
        inputs.query, inputs.key, inputs.value, inputs.plain_query, inputs.plain_key, out, lse,
        launch.poison(), launch.levels_of_heads, launch.windows, inputs.scale, seen, inputs.first,
        inputs.second, *launch.sides(), launch.ranges(bm, bn, True),
        launch.or_nothing(plan.documents), launch.or_nothing(plan.prefix),
        launch.or_nothing(plan.sink_rows),
        problems.sink_ranges(plan, bm, SINK_TILE) if plan.sinks else launch.nothing,
        *launch.strides, launch.heads, len(problem.read), launch.tq, launch.tk, plan.sinks, blocks,
        problem.query_start, launch.per_batch, inputs.width, inputs.reach,
        ROTARY=problem.mechanism == "rotary", SINKS=plan.sinks > 0, BM=bm, BN=bn, BS=SINK_TILE,
        **launch.constants, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    sides = (plan.queries.rows, plan.keys.rows)
    kept = [query.new_empty(0, dtype=torch.int32) if r is None else r for r in sides]
    return out, lse, [*kept, seen]
