"""Launchers: fused attention forward on tensors. Triton is imported when called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from . import plan as plans
from .configs import WIDEST_ROW, Tiles, heavy, padded, tiles
from .forms import BY_NAME, SCALARS, Form
from .plan import Plan

if TYPE_CHECKING:
    from arithtf.attention.call import Call

# Programs per head over which sums along all queries are spread: the split of the work, and so the
# order of sums, must not depend on the device.
PARTS = 64
SINK_TILE = 16
_STRIDES = {letter: [f"stride_{letter}{n}" for n in "bht"] for letter in "qkvx"}

Kept = list[tuple[tuple[int, ...], torch.dtype]]
"""Shape and dtype of each tensor that a forward returns beside its output."""
Named = dict[str, Any]
"""What parameters of kernels are, by name."""


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

    def named(self) -> Named:
        """By the names that parameters of kernels have."""
        query, key, value = self.query, self.key, self.value
        _, heads, tq, _ = query.shape
        named: Named = dict(Q=query, K=key, V=value)
        named.update(Q_PLAIN=self.plain_query, K_PLAIN=self.plain_key)
        named.update(SCALE=self.scale, FIRST=self.first, SECOND=self.second)
        named |= strides_of("q", query) | strides_of("k", key) | strides_of("v", value)
        named.update(heads=heads, tq=tq, tk=key.shape[2], width=self.width, reach=self.reach)
        return named


class Gradients(NamedTuple):
    """Gradients of one call; None where nothing was wanted or there is no such tensor."""

    query: Tensor
    key: Tensor
    value: Tensor
    scale: Tensor | None
    tensors: list[Tensor | None]


def strides_of(letter: str, x: Tensor) -> dict[str, int]:
    """The strides of [B, H, T, D] along batch, heads and tokens, by name."""
    return dict(zip(_STRIDES[letter], x.stride(), strict=False))


def strides_of_ids(letters: str, ids: Tensor) -> dict[str, int]:
    """The strides of ids [B or 1, L, T] along batch (0 where all rows are one) and levels."""
    batch = ids.stride(0) if ids.shape[0] > 1 else 0
    return {f"stride_{letters}b": batch, f"stride_{letters}l": ids.stride(1)}


def kernels() -> Any:
    """The modules that hold the kernels; imports Triton."""
    from . import compat

    return compat.modules()


def run(kernel: Any, programs: int, named: Named, warps: int, stages: int | None = None) -> None:
    """Launch a kernel, whose parameters are found by name.

    Args:
        named: what the parameters are, and maybe more.
        stages: of its loop; None: the compiler's default.
    """
    options = {"num_warps": warps} if stages is None else {"num_warps": warps, "num_stages": stages}
    kernel[(programs,)](**{name: named[name] for name in kernel.arg_names}, **options)


def dense(x: Tensor, like: Tensor | None = None) -> Tensor:
    """x with unit stride along D and no overlap, in the layout of `like` if given."""
    wanted = torch.empty_like(x if like is None else like)
    if x.stride() == wanted.stride() and x.stride(-1) == 1:
        return x
    if wanted.stride(-1) != 1:
        return x.contiguous()
    return wanted.copy_(x)


def form_of(call: Call) -> Form:
    """How kernels know the mechanism of a call."""
    assert call.mechanism.fused is not None
    return BY_NAME[call.mechanism.fused]


def rotates(call: Call) -> bool:
    """Whether queries and keys are turned before they meet."""
    return call.mechanism.acts_by == "rotation"


def prepare(call: Call, expand: bool = True) -> Inputs:
    """Bring the inputs into the layout of the kernels; rotate for rotary.

    Args:
        expand: give a bucketed table as one over clipped differences.
    """
    plain_query, plain_key, value = dense(call.query), dense(call.key), dense(call.value)
    query, key, factor = plain_query, plain_key, call.factor
    if isinstance(factor, Tensor):
        scale = factor.detach().float().contiguous()
    else:
        heads, device = query.shape[1], query.device
        scale = torch.full((heads,), factor, dtype=torch.float32, device=device)
    first = second = scale
    form, tensors, width, reach = form_of(call), call.mechanism.tensors(), 1, 0
    if rotates(call):
        query_ids, key_ids = call.positions.ids
        query = rotate(call, query, query_ids, 1.0)
        key = rotate(call, key, key_ids, 1.0)
    elif form == Form.TABLE:
        first, edges = tensors[0].detach().float(), call.mechanism.edges
        if expand and edges is not None:
            first = first.index_select(1, plans.numbers(edges, first, torch.int64))
        first = first.contiguous()
        width, reach = first.shape[1], first.shape[1] // 2
    elif form in SCALARS:
        first, second = (t.detach().float().contiguous() for t in (tensors[0], tensors[-1]))
    elif form == Form.FIRE:
        first, width = packed_fire(tensors), tensors[0].shape[0]
        reach = width // 2
    elif form >= Form.BY_QUERY:
        first, second = content_terms(call, query, key)
        width, reach = first.shape[-1], second.shape[-1]
    return Inputs(query, key, value, plain_query, plain_key, scale, first, second, width, reach)


def packed_fire(tensors: Sequence[Tensor]) -> Tensor:
    """w1, b1, w2, b2, c, threshold of each head in a row: float32 [H, 3K+3]."""
    w1, b1, w2, b2, c, threshold = (t.detach().float() for t in tensors)
    heads = w2.shape[0]
    once = (w1.expand(heads, -1), b1.expand(heads, -1), w2, b2[:, None])
    return torch.cat((*once, c.expand(heads, 1), threshold.expand(heads, 1)), 1)


def content_terms(call: Call, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """q . key vectors [B, H, Tq, N1] and k . query vectors [B, H, Tk, N2] in float32.

    One of them is empty where there are no such vectors.
    """
    query_vectors, key_vectors = content_vectors(call)
    nothing = query.new_empty(0, dtype=torch.float32)
    by_query = by_key = nothing[None, None, None]
    if key_vectors is not None:
        by_query = (query.float() @ key_vectors.mT).contiguous()
    if query_vectors is not None:
        by_key = (key.float() @ query_vectors.mT).contiguous()
    return by_query, by_key


def content_vectors(call: Call) -> tuple[Tensor | None, Tensor | None]:
    """Query vectors and key vectors, float32 [H, N, D], or None."""
    form, tensors = form_of(call), call.mechanism.tensors()
    of_query = None if form == Form.BY_QUERY else tensors[0].detach().float()
    return of_query, None if form == Form.BY_KEY else tensors[-1].detach().float()


def rotary_block(head_dim: int) -> int:
    """Positions of a program that rotates: so many that 2048 pairs of numbers stay in registers."""
    return min(64, 4096 // padded(head_dim))


def rotate(call: Call, x: Tensor, ids: Tensor, sign: float, add: Tensor | None = None) -> Tensor:
    """x [B, H, T, D] rotated by sign * ids, plus `add`, in the layout of x."""
    batch, heads, length, dim = x.shape
    out, ids, block = torch.empty_like(x), ids.contiguous(), rotary_block(dim)
    blocks = -(-length // block)
    named: Named = dict(X=x, OUT=out, ADD=x if add is None else add, HAS_ADD=add is not None)
    named.update(IDS=ids, LEVELS=plans.numbers(call.positions.reads, x), **strides_of("x", x))
    named["FREQUENCIES"] = call.mechanism.tensors()[0].detach().contiguous()
    named.update(heads=heads, levels=ids.shape[1], per_batch=int(ids.shape[0] > 1))
    named.update(length=length, blocks=blocks, BT=block, sign=sign)
    named.update(HALF=dim // 2, HALF_P=padded(dim) // 2)
    run(kernels().rotary.rotate, max(batch * heads * blocks, 1), named, 4)
    return out


def constants_of(call: Call, inputs: Inputs) -> Named:
    """Constants of kernels that depend on the arguments alone."""
    query, form = inputs.query, form_of(call)
    interpreted = query.device.type != "cuda"
    whole = query.dtype == torch.float32 or interpreted
    ieee = interpreted or call.impl == "triton-ieee" or torch.version.hip is not None
    wide = 1 << (inputs.width - 1).bit_length()
    table = form == Form.TABLE and wide <= WIDEST_ROW
    dim = query.shape[3]
    named: Named = dict(KIND=int(form), WIDTH=max(wide, 16) if table else 0, D=dim, DP=padded(dim))
    named.update(ROTARY=rotates(call), LOG_SCALE=call.log_scale, CAUSAL=call.positions.causal)
    named["PRECISION"] = "tf32x3" if whole and not ieee else "ieee"
    named["UPCAST"] = interpreted and query.dtype != torch.float32
    # Whether the gradient of the scale is summed with the mean of each row taken off: in float32,
    # where what it takes off would be most of the error.
    named["CENTRED"] = isinstance(call.factor, Tensor) and query.dtype == torch.float32
    return named


class Launch:
    """What all kernels of one call share.

    Args:
        call, plan, inputs: the call.
        seen: float32 [P, U, Tq] keys seen, for a logarithmic scale; None: they are counted.

    Attributes:
        named: what parameters of kernels are.
    """

    def __init__(self, call: Call, plan: Plan, inputs: Inputs, seen: Tensor | None = None) -> None:
        query, positions = inputs.query, call.positions
        queries, keys, read = plan.queries, plan.keys, positions.read
        self.call, self.plan, self.inputs = call, plan, inputs
        self.batch, self.heads, self.tq, _ = query.shape
        self.tk = inputs.key.shape[2]
        self.nothing = plans.numbers((read.index(u) for u in positions.reads), query)
        named = self.named = inputs.named() | constants_of(call, inputs)
        named.update(LEVELS=self.nothing, WINDOWS=plans.of_windows(plan.windows, query))
        named.update(QUERY_ROWS=self.or_nothing(queries.rows), QUERY_IDS=queries.ids.contiguous())
        named.update(KEY_ROWS=self.or_nothing(keys.rows), KEY_IDS=keys.ids.contiguous())
        named.update(GATHER=queries.rows is not None, per_batch=int(plan.rows > 1))
        named.update(DOCUMENT=self.or_nothing(plan.documents), DOCUMENTS=plan.documents is not None)
        named.update(PREFIX_OF=self.or_nothing(plan.prefix), PREFIX=plan.prefix is not None)
        named.update(SINK_ROWS=self.or_nothing(plan.sink_rows), SINKS=plan.sinks > 0, BS=SINK_TILE)
        named.update(levels=len(read), sinks=plan.sinks, query_start=positions.query_start)
        if seen is None:
            seen = self._count() if call.log_scale else query.new_empty(0, dtype=torch.float32)
        self.seen = self.named["SEEN"] = seen

    def run(self, kernel: Any, programs: int, sizes: Tiles, own: Named) -> None:
        """Launch a kernel with the parameters of this call, tiles, and some of its own."""
        named = {**self.named, "BM": sizes.bm, "BN": sizes.bn, **own}
        run(kernel, programs, named, sizes.warps, sizes.stages)

    def tiles(self, kernel: str) -> Tiles:
        """Configured tiles of a kernel; smaller ones where a pair needs more registers.

        That is so for Kerple, FIRE, content and wide tables, and with logarithmic scale, prefix or
        documents: two of them in numbers of two bytes, any of them in float32. "sinks" is the
        kernel for dk and dv without a mechanism.
        """
        named, query = self.named, self.inputs.query
        at_once = named["LOG_SCALE"] + named["PREFIX"] + named["DOCUMENTS"]
        wide = named["KIND"] == Form.TABLE and not named["WIDTH"]
        most = 1 if query.dtype.itemsize == 2 else 0
        if kernel == "sinks":
            kernel = "keys"
        elif named["KIND"] >= Form.KERPLE_LOG or wide or at_once > most:
            kernel = heavy(kernel)
        ieee = self.call.impl == "triton-ieee"
        return tiles(kernel, query.device, query.dtype, query.shape[3], ieee)

    def or_nothing(self, tensor: Tensor | None) -> Tensor:
        """A tensor, or a stand-in for one that is not read."""
        return self.nothing if tensor is None else tensor.contiguous()

    def ranges_of_queries(self, block: int, step: int) -> Named:
        """What each block of queries sees: keys in tiles of `step`, and listed sinks."""
        sinks = plans.sink_ranges(self.plan, block, SINK_TILE) if self.plan.sinks else self.nothing
        return dict(RANGES=plans.block_ranges(self.plan, block, step, True), SINK_RANGES=sinks)

    def poison(self) -> Tensor:
        """0 or NaN for every key: float32 [B, H, Tk]."""
        key, block = self.inputs.plain_key, 64
        shape = (self.batch, self.heads, self.tk)
        out = torch.empty(shape, dtype=torch.float32, device=key.device)
        blocks = -(-self.tk // block)
        named = {**self.named, "K": key, "POISON": out, "blocks": blocks, "BN": block}
        run(kernels().forward.poison, self.batch * self.heads * blocks, named, 4)
        return out

    def _count(self) -> Tensor:
        """Keys that each query sees on each level that is read: float32 [P, U, Tq] by row."""
        ids, block = self.plan.queries.ids, 64
        out = torch.empty(ids.shape, dtype=torch.float32, device=ids.device)
        blocks = -(-self.tq // block)
        named = self.named | self.ranges_of_queries(block, block)
        named.update(SEEN=out, blocks=blocks, BM=block, BN=block)
        run(kernels().forward.count, self.plan.rows * ids.shape[1] * blocks, named, 4)
        return out


def keeps(call: Call) -> Kept:
    """What `forward` returns beside its output: lse, rows of queries, rows of keys, keys seen."""
    positions = call.positions
    query_ids, key_ids = positions.ids
    several = (query_ids, key_ids, positions.prefix, positions.documents)
    rows = max((t.shape[0] for t in several if t is not None and t.shape[0] != 1), default=1)
    levels = len(positions.read)
    by_id = any(positions.pairs[level] is not None for level in positions.read)
    of_queries, of_keys = ((rows, levels, x.shape[2]) for x in (query_ids, key_ids))
    nothing = (0,)
    return [
        (tuple(call.query.shape[:3]), torch.float32),
        (of_queries if by_id else nothing, torch.int32),
        (of_keys if by_id else nothing, torch.int32),
        (of_queries if call.log_scale else nothing, torch.float32),
    ]


def forward(call: Call) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Fused attention.

    Returns:
        out [B, H, Tq, D] in the layout of the query; lse float32 [B, H, Tq] in units of log 2;
        what `backward` wants to have kept: rows of queries, rows of keys, keys seen (empty where
        there is nothing to keep).
    """
    plan, inputs = plans.make_plan(call.positions), prepare(call)
    launch = Launch(call, plan, inputs)
    query = inputs.query
    out = torch.empty_like(query)
    lse = torch.empty(query.shape[:3], dtype=torch.float32, device=query.device)
    sizes = launch.tiles("forward")
    blocks = -(-launch.tq // sizes.bm)
    own: Named = dict(OUT=out, LSE=lse, POISON=launch.poison(), blocks=blocks)
    own |= launch.ranges_of_queries(sizes.bm, sizes.bn)
    launch.run(kernels().forward.forward, launch.batch * launch.heads * blocks, sizes, own)
    rows = (plan.queries.rows, plan.keys.rows)
    kept = [query.new_empty(0, dtype=torch.int32) if r is None else r for r in rows]
    return out, lse, [*kept, launch.seen]
