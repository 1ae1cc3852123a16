"""`arithtf::fused`: the Triton kernels as an operator with a backward of its own.

Unlike `arithtf::attention`, whose backward recomputes the reference, it returns beside the output
what its backward needs: the logarithms of the softmax sums, and the order of tokens by id.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from arithtf.attention import ops, triton
from arithtf.attention.geometry import UNLIMITED, Geometry
from arithtf.attention.mechanisms import BucketBias, Mechanism
from arithtf.attention.reference import Scale

INPUTS = ops.SCHEMA[1 : ops.SCHEMA.index(", str impl")] + ", bool short, bool ieee"
FORWARD = f"({INPUTS}) -> (Tensor, Tensor, Tensor[])"
BACKWARD = (
    f"(Tensor grad, Tensor out, Tensor lse, Tensor[] kept, bool[] wanted, {INPUTS}) -> Tensor[]"
)

SHORT = -2  # place of `short` in the schema


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
    ieee: bool = False,
) -> Tensor:
    """Call the registered operator; arguments as `reference.attention`.

    Args:
        ieee: products of float32 in IEEE arithmetic, not as three of TF32.

    Returns:
        [B, H, Tq, D] in the memory layout of the query.
    """
    packed = ops.arguments(query, key, value, mechanism, geometry, scale, "triton")
    windows = [geometry.windows[level] for level in set(geometry.head_levels)]
    short = triton.is_short(
        query, key, mechanism, [w or (UNLIMITED, UNLIMITED) for w in windows], ieee
    )
    out: Tensor = torch.ops.arithtf.fused(*packed[:-1], short, ieee)[0]
    return out


@lru_cache(maxsize=64)
def _edges(buckets: int, max_distance: int, bidirectional: bool) -> tuple[int, ...]:
    """T5's bucket of each difference in [-R, R], R where the last bucket begins.

    On the CPU whatever the default device is: to read numbers of a GPU would wait for it.
    """
    shape = BucketBias(torch.empty(1, buckets, device="cpu"), max_distance, bidirectional)
    reach = shape.thresholds()[-1]
    return tuple(shape.buckets(torch.arange(-reach, reach + 1, device="cpu")).tolist())


def _problem(packed: Sequence[Any]) -> Any:
    """The arguments after query, key and value as the kernels take them."""
    from arithtf.kernels.problem import Problem

    (query_ids, key_ids, prefix, documents, mechanism, tensors, options, scale, factor, log_scale,
     head_levels, windows, sinks, causal, query_start, _, ieee) = packed  # fmt: skip
    edges = None
    if mechanism == "buckets":
        edges = _edges(tensors[0].shape[1], int(options[0]), bool(options[1]))
    return Problem(
        query_ids=query_ids, key_ids=key_ids, prefix=prefix, documents=documents,
        mechanism=mechanism, tensors=tensors, options=list(options), edges=edges, scale=scale,
        factor=factor, log_scale=log_scale, head_levels=tuple(head_levels),
        windows=tuple(zip(windows[0::2], windows[1::2], strict=True)), sinks=sinks, causal=causal,
        query_start=query_start, ieee=ieee,
    )  # fmt: skip


def _fake(*packed: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    if packed[SHORT]:
        return _fake_short(*packed)
    query, _, _, query_ids, key_ids, prefix, documents = packed[:7]
    log_scale, head_levels, windows = packed[12:15]
    read = set(head_levels)
    several = [t.shape[0] for t in (query_ids, key_ids, prefix, documents) if t is not None]
    rows = next((size for size in several if size != 1), 1)
    by_id = any(windows[2 * level] >= 0 for level in read)
    of_queries, of_keys = (
        (rows, len(read), t.shape[2]) if by_id else (0,) for t in (query_ids, key_ids)
    )
    seen = (rows, len(read), query_ids.shape[2]) if log_scale else (0,)
    kept = [
        query.new_empty(of_queries, dtype=torch.int32),
        query.new_empty(of_keys, dtype=torch.int32),
        query.new_empty(seen, dtype=torch.float32),
    ]
    return torch.empty_like(query), query.new_empty(query.shape[:3], dtype=torch.float32), kept


def _fake_short(*packed: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    from arithtf.kernels.whole import keeps

    query, key = packed[:2]
    log_scale, head_levels = packed[12:14]
    shapes = keeps(query, key, len(set(head_levels)), log_scale, packed[-1])
    lse, seen = (query.new_empty(shape, dtype=torch.float32) for shape in shapes)
    return torch.empty_like(query), lse, [seen]


def _forward(*packed: Any) -> tuple[Tensor, Tensor, list[Tensor]]:
    from arithtf.kernels import launch, whole

    query = packed[0]
    if query.numel() == 0:
        return _fake(*packed)
    with torch.cuda.device_of(query):
        if packed[SHORT]:
            out, lse, seen = whole.forward(_problem(packed[3:]), *packed[:3])
            return _laid_out(out, query), lse, [seen]
        out, lse, kept = launch.forward(_problem(packed[3:]), *packed[:3])
    return _laid_out(out, query), lse, kept


def _laid_out(x: Tensor, like: Tensor) -> Tensor:
    """x in the memory layout that the fake promises, that of `like`."""
    wanted = torch.empty_like(like)
    return x if x.stride() == wanted.stride() else wanted.copy_(x)


def _fake_backward(
    grad: Tensor, out: Tensor, lse: Tensor, kept: list[Tensor], wanted: list[bool], *packed: Any
) -> list[Tensor]:
    tensors, scale = packed[ops.TENSORS], packed[ops.TENSORS + 2]
    found = [torch.empty_like(x) for x in packed[:3]]
    found.append(grad.new_empty(0) if scale is None else torch.empty_like(scale))
    return found + [torch.empty_like(t) for t in tensors]


def _run_backward(
    grad: Tensor, out: Tensor, lse: Tensor, kept: list[Tensor], wanted: list[bool], *packed: Any
) -> list[Tensor]:
    from arithtf.kernels import gradient, whole

    fakes = _fake_backward(grad, out, lse, kept, wanted, *packed)
    if grad.numel() == 0:
        return [torch.zeros_like(f) for f in fakes]
    with torch.cuda.device_of(grad):
        problem = _problem(packed[3:])
        if packed[SHORT]:
            found = whole.backward(problem, *packed[:3], out, lse, kept[0], grad)
        else:
            found = gradient.backward(problem, *packed[:3], out, lse, kept, grad, wanted)
    parts = [found.query, found.key, found.value, found.scale, *found.tensors]
    # What was not wanted is zero, for an operator cannot return None in a list.
    return [
        f.zero_() if part is None else _laid_out(part, f)
        for part, f in zip(parts, fakes, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, list[Tensor]]) -> None:
    out, lse, kept = output
    ctx.is_tensor = [isinstance(x, Tensor) for x in inputs]
    ctx.tensors, ctx.kept = len(inputs[ops.TENSORS]), len(kept)
    ctx.wanted = [t.requires_grad for t in inputs[ops.TENSORS]]
    singles = [x for x in inputs if isinstance(x, Tensor)]
    ctx.save_for_backward(out, lse, *kept, *inputs[ops.TENSORS], *singles)
    ctx.plain = [None if isinstance(x, Tensor) else x for x in inputs]
    ctx.plain[ops.TENSORS] = None


def _backward(ctx: Any, grad: Tensor, _lse: Any, _kept: Any) -> tuple[Any, ...]:
    saved = list(ctx.saved_tensors)
    out, lse, kept = saved[0], saved[1], saved[2 : 2 + ctx.kept]
    tensors = saved[2 + ctx.kept : 2 + ctx.kept + ctx.tensors]
    singles = iter(saved[2 + ctx.kept + ctx.tensors :])
    packed = [next(singles) if is_tensor else x for is_tensor, x in
              zip(ctx.is_tensor, ctx.plain, strict=True)]  # fmt: skip
    packed[ops.TENSORS] = tensors
    found = torch.ops.arithtf.fused_backward(grad, out, lse, kept, ctx.wanted, *packed)
    # torch.library takes every empty list, also of integers, for a list of tensors.
    result: list[Any] = [[] if isinstance(x, list) and not x else None for x in ctx.plain]
    result[:3] = found[:3]
    result[ops.TENSORS] = [g if w else None for g, w in zip(found[4:], ctx.wanted, strict=True)]
    if packed[ops.TENSORS + 2] is not None:
        result[ops.TENSORS + 2] = found[3]
    return tuple(result)


torch.library.define("arithtf::fused", FORWARD)
torch.library.define("arithtf::fused_backward", BACKWARD)
for _device in ("cpu", "cuda"):
    torch.library.impl("arithtf::fused", _device, _forward)
    torch.library.impl("arithtf::fused_backward", _device, _run_backward)
torch.library.register_fake("arithtf::fused", _fake)
torch.library.register_fake("arithtf::fused_backward", _fake_backward)
torch.library.register_autograd("arithtf::fused", _backward, setup_context=_setup)
