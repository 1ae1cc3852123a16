"""Registration of `arithtf::attention` with torch.library: schema, fake, kernels, autograd.

An operator takes tensors and plain numbers only, so a mechanism travels as its kind, its tensors
and its other fields as integers. The backward recomputes the reference under autograd: it defines
the gradients, and every implementation that has none of its own gets exactly these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from arithtf.attention import cpu, reference
from arithtf.attention.geometry import Geometry
from arithtf.attention.mechanisms import (
    NONE,
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    Rotary,
)
from arithtf.attention.reference import Scale

NAME = "arithtf::attention"
SCHEMA = (
    "(Tensor query, Tensor key, Tensor value, Tensor query_ids, Tensor key_ids, Tensor? prefix, "
    "Tensor? documents, str mechanism, Tensor[] tensors, int[] options, Tensor? scale, "
    "float factor, bool log_scale, int[] head_levels, int[] windows, int sinks, bool causal, "
    "int query_start, str impl) -> Tensor"
)
TENSORS = 8  # place of `tensors` in the schema
FORMS = ("log", "power")

_Build = Callable[[Sequence[Tensor], Sequence[int]], Mechanism]
_BUILD: dict[str, _Build] = {
    "none": lambda t, o: NONE,
    "table": lambda t, o: BiasTable(t[0]),
    "buckets": lambda t, o: BucketBias(t[0], int(o[0]), bool(o[1])),
    "alibi": lambda t, o: Alibi(t[0]),
    "kerple": lambda t, o: Kerple(t[0], t[1], FORMS[o[0]]),
    "fire": lambda t, o: Fire(*t),
    "content": lambda t, o: Content(t[0] if o[0] else None, t[-1] if o[1] else None),
    "rotary": lambda t, o: Rotary(t[0]),
}


def _options(mechanism: Mechanism) -> list[int]:
    if isinstance(mechanism, BucketBias):
        return [mechanism.max_distance, int(mechanism.bidirectional)]
    if isinstance(mechanism, Kerple):
        return [FORMS.index(mechanism.form)]
    if isinstance(mechanism, Content):
        has_query, has_key = mechanism.query_vectors is not None, mechanism.key_vectors is not None
        return [int(has_query), int(has_key)]
    return []


def arguments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
    impl: str,
) -> tuple[Any, ...]:
    """The operator's arguments, in the order of its schema."""
    tensor = scale.scale if isinstance(scale, LogScale) else scale
    pairs = [w or (-1, -1) for w in geometry.windows]
    return (
        query, key, value, geometry.query_ids, geometry.key_ids, geometry.prefix,
        geometry.documents, mechanism.kind, list(mechanism.tensors()), _options(mechanism),
        tensor if isinstance(tensor, Tensor) else None,
        0.0 if isinstance(tensor, Tensor) else float(tensor),
        isinstance(scale, LogScale), list(geometry.head_levels),
        [n for pair in pairs for n in pair], geometry.sinks, geometry.causal,
        geometry.query_start, impl,
    )  # fmt: skip


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
    impl: str,
) -> Tensor:
    """Call the registered operator; arguments as `reference.attention`, and `impl`."""
    packed = arguments(query, key, value, mechanism, geometry, scale, impl)
    out: Tensor = torch.ops.arithtf.attention(*packed)
    return out


_Inputs = tuple[Tensor, Tensor, Tensor, Mechanism, Geometry, Scale]


def _unpack(packed: Sequence[Any]) -> tuple[_Inputs, str]:
    (
        query,
        key,
        value,
        query_ids,
        key_ids,
        prefix,
        documents,
        kind,
        tensors,
        options,
        scale,
        factor,
        log_scale,
        head_levels,
        windows,
        sinks,
        causal,
        query_start,
        impl,
    ) = packed
    pairs = zip(windows[0::2], windows[1::2], strict=True)
    geometry = Geometry(
        query_ids, key_ids, tuple(head_levels),
        tuple(None if back < 0 else (int(back), int(ahead)) for back, ahead in pairs),
        sinks, causal, query_start, prefix, documents,
    )  # fmt: skip
    mechanism = _BUILD[kind](tensors, options)
    whole: Scale = factor if scale is None else LogScale(scale) if log_scale else scale
    return (query, key, value, mechanism, geometry, whole), impl


_IMPLEMENTATIONS: dict[str, Callable[..., Tensor]] = {
    "reference": reference.attention,
    "cpu": cpu.attention,
}


def _forward(*packed: Any) -> Tensor:
    inputs, impl = _unpack(packed)
    result = _IMPLEMENTATIONS[impl](*inputs)
    # One memory layout for all implementations, the one the fake promises: that of the query.
    out = torch.empty_like(packed[0])
    return result if result.stride() == out.stride() else out.copy_(result)


def _fake(*packed: Any) -> Tensor:
    return torch.empty_like(packed[0])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.is_tensor = [isinstance(x, Tensor) for x in inputs]
    ctx.count = len(inputs[TENSORS])
    ctx.save_for_backward(*[x for x in inputs if isinstance(x, Tensor)], *inputs[TENSORS])
    ctx.plain = [None if isinstance(x, Tensor) else x for x in inputs]
    ctx.plain[TENSORS] = None


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    saved = list(ctx.saved_tensors)
    packed = list(ctx.plain)
    with torch.enable_grad():
        fresh = [t.detach().requires_grad_(t.is_floating_point()) for t in saved]
        singles = iter(fresh[: len(fresh) - ctx.count])
        packed = [next(singles) if is_tensor else x for is_tensor, x in
                  zip(ctx.is_tensor, packed, strict=True)]  # fmt: skip
        packed[TENSORS] = fresh[len(fresh) - ctx.count :]
        inputs, _ = _unpack(packed)
        out = reference.attention(*inputs, look=False)
        wanted = [t for t in fresh if t.requires_grad]
        found = iter(torch.autograd.grad(out, wanted, grad, allow_unused=True))
    grads = [next(found) if t.requires_grad else None for t in fresh]
    singles_grad = iter(grads[: len(grads) - ctx.count])
    result: list[Any] = [next(singles_grad) if is_tensor else None for is_tensor in ctx.is_tensor]
    # torch.library takes every empty list, also of integers, for a list of tensors.
    result = [[] if isinstance(x, list) and not x else r
              for x, r in zip(ctx.plain, result, strict=True)]  # fmt: skip
    result[TENSORS] = grads[len(grads) - ctx.count :]
    return tuple(result)


torch.library.define(NAME, SCHEMA)
for _device in ("cpu", "cuda"):
    torch.library.impl(NAME, _device, _forward)
torch.library.register_fake(NAME, _fake)
torch.library.register_autograd(NAME, _backward, setup_context=_setup)
