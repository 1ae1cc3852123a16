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
    best = 1.0
    for i in np.argsort(margin, kind="stable")[:_ATTACKED].tolist():
        move = _Move(model, contexts, i, bos, pad)
        if move.margin(best) <= 0:
            best = move.least(best)
    return best


def break_context(model: Transformer, contexts: ContextSet, i: int, *, bos: int, pad: int) -> bool:
    """Move a model's weights just so far that one context goes wrong, in float64.

    Args:
        model: is changed.
        contexts: all contexts of its task.
        i: the context.
        bos, pad: the vocabulary's tokens.

    Returns:
        Whether a share below 1 suffices; otherwise the weights stay.
    """
    move = _Move(model, contexts, i, bos, pad)
    if move.margin(1.0) > 0:
        return False
    move.margin(move.least(1.0))
    model.load_state_dict({name: w.float() for name, w in move.model.state_dict().items()})
    return True


class _Move:
    """Weights moved against the derivative of one context's margin, in float64."""

    def __init__(
        self, model: Transformer, contexts: ContextSet, i: int, bos: int, pad: int
    ) -> None:
        self.model = copy.deepcopy(model).double()
        self.given = {name: w.detach().clone() for name, w in self.model.named_parameters()}
        one, config = _chosen(contexts, np.array([i])), model.config
        self.target = int(one.target[0])
        self.inputs = local_inputs(
            one, levels=config.levels, sinks=config.encoding.sinks, bos=bos, pad=pad
        )
        slopes = torch.autograd.grad(
            self._above(), list(self.model.parameters()), allow_unused=True
        )
        named = zip(self.given, slopes, strict=True)
        self.signs = {name: slope.sign() for name, slope in named if slope is not None}

    def _above(self) -> Tensor:
        """The margin of the weights as they are."""
        last = self.inputs[0].shape[1] - 1
        logits = self.model(*self.inputs, start=last, stop=last + 1, impl="reference")[0, 0]
        others = torch.cat([logits[: self.target], logits[self.target + 1 :]])
        return logits[self.target] - others.max()

    @torch.no_grad()
    def margin(self, share: float) -> float:
        """The margin after a move by a share of each weight."""
        for name, weight in self.model.named_parameters():
            given = self.given[name]
            if name in self.signs:
                weight.copy_(given - share * given.abs() * self.signs[name])
        return float(self._above())

    def least(self, share: float) -> float:
        """The least share that makes the context wrong, given one that does."""
        low, high = 0.0, share
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.margin(middle) > 0 else (low, middle)
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
