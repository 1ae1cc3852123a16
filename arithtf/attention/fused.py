"""`arithtf::fused`: the Triton kernels as an operator with a backward of its own.

Unlike `arithtf::attention`, whose backward recomputes the reference, it returns beside the output
what its backward needs: the logarithms of the softmax sums, and the order of tokens by id.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from arithtf.attention.call import SCHEMA, Call, Flat
from arithtf.attention.ops import gradients, is_needed, keep, kept, laid_out, register

_Results = tuple[Tensor, Tensor, list[Tensor]]


def attention(call: Call) -> Tensor:
    """By the registered operator, or at once where that is not needed.

    Returns:
        [B, H, Tq, D] in the memory layout of the query.
    """
    if not is_needed(call):
        return _run(call)[0]
    out: Tensor = torch.ops.arithtf.fused(*call.flat())[0]
    return out


def _fake(*packed: Any) -> _Results:
    return _like(Flat(*packed).call())


def _like(call: Call) -> _Results:
    """Results without numbers in them."""
    from arithtf.kernels import launch, whole

    short = whole.kernel_of(call)
    shapes = launch.keeps(call) if short is None else whole.keeps(call, short)
    lse, *rest = (call.query.new_empty(shape, dtype=dtype) for shape, dtype in shapes)
    return torch.empty_like(call.query), lse, rest


def _forward(*packed: Any) -> _Results:
    return _run(Flat(*packed).call())


def _run(call: Call) -> _Results:
    from arithtf.kernels import launch, whole

    if call.query.numel() == 0:
        return _like(call)
    with torch.cuda.device_of(call.query):
        short = whole.kernel_of(call)
        out, lse, rest = launch.forward(call) if short is None else whole.forward(call, short)
    return laid_out(out, call.query), lse, rest


def _fake_backward(
    grad: Tensor, out: Tensor, lse: Tensor, rest: list[Tensor], wanted: list[bool], *packed: Any
) -> list[Tensor]:
    flat = Flat(*packed)
    scale = grad.new_empty(0) if flat.scale is None else flat.scale
    return [torch.empty_like(x) for x in (flat.query, flat.key, flat.value, scale, *flat.tensors)]


def _run_backward(
    grad: Tensor, out: Tensor, lse: Tensor, rest: list[Tensor], wanted: list[bool], *packed: Any
) -> list[Tensor]:
    from arithtf.kernels import gradient, whole

    fakes = _fake_backward(grad, out, lse, rest, wanted, *packed)
    if grad.numel() == 0:
        return [torch.zeros_like(f) for f in fakes]
    call = Flat(*packed).call()
    with torch.cuda.device_of(grad):
        short = whole.kernel_of(call)
        if short is None:
            found = gradient.backward(call, out, lse, rest, grad, wanted)
        else:
            found = whole.backward(call, short, out, lse, rest, grad)
    parts = [found.query, found.key, found.value, found.scale, *found.tensors]
    # What was not wanted is zero, for an operator cannot return None in a list.
    return [
        f.zero_() if part is None else laid_out(part, f)
        for part, f in zip(parts, fakes, strict=True)
    ]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: _Results) -> None:
    out, lse, rest = output
    flat = Flat(*inputs)
    ctx.wanted = [t.requires_grad for t in flat.tensors]
    keep(ctx, flat, out, lse, *rest)


def _backward(ctx: Any, grad: Tensor, _lse: Any, _rest: Any) -> tuple[Any, ...]:
    flat, (out, lse, *rest) = kept(ctx)
    found = torch.ops.arithtf.fused_backward(grad, out, lse, rest, ctx.wanted, *flat)
    query, key, value, scale, *tensors = found
    return gradients(
        query=query,
        key=key,
        value=value,
        scale=None if flat.scale is None else scale,
        tensors=[g if wanted else None for g, wanted in zip(tensors, ctx.wanted, strict=True)],
    )


register("arithtf::fused", f"({SCHEMA}) -> (Tensor, Tensor, Tensor[])", _forward, _fake)
register(
    "arithtf::fused_backward",
    f"(Tensor grad, Tensor out, Tensor lse, Tensor[] rest, bool[] wanted, {SCHEMA}) -> Tensor[]",
    _run_backward,
    _fake_backward,
)
torch.library.register_autograd("arithtf::fused", _backward, setup_context=_setup)
