"""The public operator `attention`: which implementation answers a call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar

from torch import Tensor

from arithtf.attention import cpu, fused, ops, reference, triton
from arithtf.attention.call import Call, checked

IMPLEMENTATIONS = ("auto", "reference", "cpu", *triton.IMPLEMENTATIONS)

P = ParamSpec("P")
R = TypeVar("R")


class Choice(NamedTuple):
    """An implementation and the reason for it."""

    impl: str
    reason: str


def _called_as(check: Callable[P, Call]) -> Callable[[Callable[[Call], R]], Callable[P, R]]:
    """Let a function of a checked call be called with the arguments of `check`.

    So that functions of one call form have one signature, written once.
    """
    form = inspect.signature(check, eval_str=True)

    def decorate(run: Callable[[Call], R]) -> Callable[P, R]:
        @functools.wraps(run)
        def function(*args: P.args, **kwargs: P.kwargs) -> R:
            return run(check(*args, **kwargs))

        returned = inspect.signature(run, eval_str=True).return_annotation
        function.__signature__ = form.replace(return_annotation=returned)  # type: ignore[attr-defined]
        function.__annotations__ = {**check.__annotations__, "return": returned}
        return function

    return decorate


@_called_as(checked)
def attention(call: Call) -> Tensor:
    """Softmax attention whose scores and visibility depend on arbitrary position ids.

    Query i sees key j as `Positions` says. What is invisible has exactly no influence, bit for bit;
    a query that sees nothing gives exactly 0.

    Args:
        query: [B, H, Tq, D]. key, value: [B, H, Tk, D].
        positions: ids, windows, order, sinks, documents; None: causal order alone.
        mechanism: how id differences act on scores; see `arithtf.attention.mechanisms`.
        scale: logit scale; None: 1/sqrt(D); a number; [H]; or LogScale.
        impl: "reference", "cpu" (windowed, forward only, float32), "triton" (products of float32
            as three of TF32, which is about as exact), "triton-ieee" (products of float32 in IEEE
            arithmetic, slower; otherwise the same), or "auto". Only "auto" chooses; `explain` says
            what and why.

    Returns:
        [B, H, Tq, D].

    Raises:
        ValueError, TypeError: what was expected, what came, what to do.
        RuntimeError: impl="triton" or "triton-ieee" where the kernels cannot run.
    """
    impl = _choose(call).impl
    if impl == "reference":
        return reference.attention(call)
    call = call._replace(impl=impl)
    return fused.attention(call) if impl in triton.IMPLEMENTATIONS else ops.attention(call)


@_called_as(checked)
def explain(call: Call) -> Choice:
    """Which implementation `attention` would run for these arguments, and why.

    Args, Raises: as `attention`.

    Returns:
        Choice(impl, reason).
    """
    return _choose(call)


def _choose(call: Call) -> Choice:
    query, mechanism, impl = call.query, call.mechanism, call.impl
    if impl not in IMPLEMENTATIONS:
        raise ValueError(f"expected impl to be one of {IMPLEMENTATIONS}, got {impl!r}")
    if impl in triton.IMPLEMENTATIONS:
        instead = (
            "impl='auto' or impl='reference' (any device), or impl='cpu' (windowed attention "
            "without gradients)"
        )
        triton.require(triton.obstacle(query, mechanism, impl), impl, instead)
        return Choice(impl, "asked for")
    if impl == "reference":
        return Choice("reference", "asked for")
    if impl == "auto" and query.device.type == "cuda":
        lacks = triton.obstacle(query, mechanism)
        if lacks is None:
            return Choice("triton", "fused kernels on a CUDA device")
        return Choice("reference", f"triton cannot run: {lacks}")
    obstacle = cpu.obstacle(call)
    if impl == "cpu":
        if obstacle is not None:
            raise ValueError(f"impl='cpu' cannot run: {obstacle}; use impl='reference' or 'auto'")
        return Choice("cpu", "asked for")
    if obstacle is not None:
        return Choice("reference", f"cpu cannot run: {obstacle}")
    return Choice("cpu", "windowed float32 attention on the CPU without gradients")
