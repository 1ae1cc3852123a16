"""`arithtf::attention`, and how the operators of this package are registered with torch.library.

An operator takes tensors and plain numbers only, so that a call travels as a `Flat`. The backward
recomputes the reference under autograd: it defines the gradients, and every implementation that has
none of its own gets exactly these.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from arithtf.attention import cpu, reference
from arithtf.attention.call import SCHEMA, Call, Flat


def register(name: str, schema: str, run: Callable[..., Any], fake: Callable[..., Any]) -> None:
    """Define an operator of this package for CPUs and GPUs.

    Args:
        run: computes it. fake: tensors of the right shape and layout, for tracers.
    """
    torch.library.define(name, schema)
    for device in ("cpu", "cuda"):
        torch.library.impl(name, device, run)
    torch.library.register_fake(name, fake)


def laid_out(x: Tensor, like: Tensor) -> Tensor:
    """x in the memory layout that fakes promise, that of `like`."""
    wanted = torch.empty_like(like)
    return x if x.stride() == wanted.stride() else wanted.copy_(x)


def keep(ctx: Any, flat: Flat, *more: Tensor) -> None:
    """Save a call, and tensors beside it, for the backward of an operator."""
    ctx.single = [isinstance(x, Tensor) for x in flat]
    ctx.more, ctx.tensors = len(more), len(flat.tensors)
    ctx.save_for_backward(*more, *flat.tensors, *(x for x in flat if isinstance(x, Tensor)))
    plain = (None if isinstance(x, Tensor) else x for x in flat)
    ctx.plain = Flat._make(plain)._replace(tensors=[])


def kept(ctx: Any) -> tuple[Flat, list[Tensor]]:
    """What `keep` has saved."""
    saved = iter(ctx.saved_tensors)
    more, tensors = list(islice(saved, ctx.more)), list(islice(saved, ctx.tensors))
    both = zip(ctx.single, ctx.plain, strict=True)
    flat = Flat._make(next(saved) if single else x for single, x in both)
    return flat._replace(tensors=tensors), more


_NOTHING: dict[str, Any] = dict.fromkeys(Flat._fields)


def gradients(*, tensors: list[Tensor | None], **found: Tensor | None) -> tuple[Any, ...]:
    """Gradients of an operator's arguments: those found, None for all others."""
    return tuple((_NOTHING | found | {"tensors": tensors}).values())


def is_needed(call: Call) -> bool:
    """Whether a call must go through an operator: for gradients, or because a tracer looks on.

    Elsewhere what the operator runs may be run at once, which saves the dispatcher's time.
    """
    traced = torch.compiler.is_compiling() or type(call.query) is not Tensor
    return traced or call.has_gradients


def attention(call: Call) -> Tensor:
    """impl="cpu" by the registered operator, or at once where that is not needed."""
    if not is_needed(call):
        return cpu.attention(call)
    out: Tensor = torch.ops.arithtf.attention(*call.flat())
    return out


def _forward(*packed: Any) -> Tensor:
    call = Flat(*packed).call()
    result = cpu.attention(call) if call.impl == "cpu" else reference.attention(call)
    return laid_out(result, call.query)


def _fake(*packed: Any) -> Tensor:
    return torch.empty_like(Flat(*packed).query)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    keep(ctx, Flat(*inputs))


def _backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    flat, _ = kept(ctx)
    with torch.enable_grad():
        leaves: dict[str, Any] = {
            name: _leaf(x) for name, x in flat._asdict().items() if _has_gradient(x)
        }
        tensors = [_leaf(x) for x in flat.tensors]
        out = reference.attention(flat._replace(**leaves, tensors=tensors).call(), look=False)
        wanted = [*leaves.values(), *tensors]
        found = torch.autograd.grad(out, wanted, grad, allow_unused=True)
    own = dict(zip(leaves, found, strict=False))
    return gradients(**own, tensors=list(found[len(leaves) :]))


def _leaf(x: Tensor) -> Tensor:
    return x.detach().requires_grad_()


def _has_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


register("arithtf::attention", f"({SCHEMA}) -> Tensor", _forward, _fake)
torch.library.register_autograd("arithtf::attention", _backward, setup_context=_setup)
