"""How far all weights may move at once before a certificate breaks.

The radius is the largest r found such that every model whose weights w' satisfy |w' - w| <= r |w|,
each by itself and in the worst direction, is right in every local context, in any conforming
float32 computation. It is a bound like that of rounding, by the same analysis: a weight that is
another by a share r is an operation that rounds by r more (`arithtf.certify.bounded`). So it is
proved, and the true radius may be larger. `attack` looks for the other side: it moves all weights
along the gradient of a margin and finds a share at which a context goes wrong.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from torch import Tensor

from arithtf.certify.rounding import context_bounds
from arithtf.model import ContextSet, Transformer, local_inputs

STEPS = 8  # halvings of the interval of its logarithm: 2^(1/8), so 9 %, is how exact it is
_WORST = 256  # contexts that are looked at first
_ATTACKED = 32  # contexts along whose gradients weights are moved


def radius(model: Transformer, contexts: ContextSet, *, bos: int) -> float:
    """The radius of a model that is right in all contexts; 0 if it is not, after rounding.

    Args:
        model: a transformer that `require_provable` accepts.
        contexts: all contexts of its task.
        bos: token of the sinks.
    """
    lower = context_bounds(model, contexts, bos=bos).lower.numpy()
    if not len(lower) or not (lower > 0).all():
        return 0.0
    worst = np.argsort(lower, kind="stable")[:_WORST]

    def holds(moved: float) -> bool:
        """Whether all contexts stay right; those that do not are looked at first from then on."""
        nonlocal worst
        if not _all_right(model, _chosen(contexts, worst), bos, moved).all():
            return False
        right = _all_right(model, contexts, bos, moved)
        worst = np.union1d(worst, np.flatnonzero(~right)[:_WORST])
        return bool(right.all())

    low, high = -40.0, 0.0
    if not holds(2.0**low):
        return 0.0
    while high - low > 1 / STEPS:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(2.0**middle) else (low, middle)
    return 2.0**low


def attack(model: Transformer, contexts: ContextSet, *, bos: int, pad: int) -> float:
    """A share of all weights, moved in the worst direction found, at which a context goes wrong.

    For the contexts of the smallest margins m: every weight w moves by r |w| against the sign of
    dm/dw, and the least r that suffices is found by halving. So the true radius is at most what is
    returned.

    Args:
        model: a transformer that is right in all contexts.
        contexts: all contexts of its task.
        bos, pad: the vocabulary's tokens.
    """
    margin = context_bounds(model, contexts, bos=bos).margin.numpy()
    moved = copy.deepcopy(model).double()
    best = math.inf
    for i in np.argsort(margin, kind="stable")[:_ATTACKED].tolist():
        one = _chosen(contexts, np.array([i]))
        inputs = local_inputs(
            one, levels=model.config.levels, sinks=model.config.encoding.sinks, bos=bos, pad=pad
        )
        best = min(best, _broken_by(moved, dict(model.named_parameters()), inputs, one, best))
    return best


def _broken_by(
    moved: Transformer,
    weights: dict[str, torch.nn.Parameter],
    inputs: tuple[Tensor, Tensor, Tensor],
    context: ContextSet,
    best: float,
) -> float:
    """The least share found that makes one context wrong; `best` if it is no smaller."""
    target = int(context.target[0])

    def above() -> Tensor:
        last = inputs[0].shape[1] - 1
        logits = moved(*inputs, start=last, stop=last + 1, impl="reference")[0, 0]
        others = torch.cat([logits[:target], logits[target + 1 :]])
        return logits[target] - others.max()

    def move(share: float, signs: dict[str, Tensor]) -> float:
        with torch.no_grad():
            for name, parameter in moved.named_parameters():
                given = weights[name].double()
                parameter.copy_(given - share * given.abs() * signs.get(name, given.new_zeros(())))
            return float(above())

    margin = move(0.0, {})
    gradient = torch.autograd.grad(above(), list(moved.parameters()), allow_unused=True)
    names = [name for name, _ in moved.named_parameters()]
    signs = {n: g.sign() for n, g in zip(names, gradient, strict=True) if g is not None}
    if margin <= 0:
        return 0.0
    low, high = 0.0, min(best, 1.0)
    if move(high, signs) > 0:
        return best
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if move(middle, signs) > 0 else (low, middle)
    return high


def _all_right(
    model: Transformer, contexts: ContextSet, bos: int, moved: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    right = context_bounds(model, contexts, bos=bos, moved=moved).lower > 0
    return right.numpy()


def _chosen(contexts: ContextSet, at: np.ndarray[tuple[int], np.dtype[np.int64]]) -> ContextSet:
    """Some of the contexts."""
    sizes = np.diff(contexts.offsets)[at]
    ends = np.concatenate([[0], np.cumsum(sizes)])
    entries = np.repeat(contexts.offsets[:-1][at] - ends[:-1], sizes) + np.arange(ends[-1])
    by_entry = {name: getattr(contexts, name)[entries] for name in ("level", "difference", "token")}
    names = ("query_token", "target", "instance", "column", "count")
    by_context = {name: getattr(contexts, name)[at] for name in names}
    return ContextSet(offsets=ends, **by_entry, **by_context)
