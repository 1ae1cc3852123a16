"""The position-wise blocks after attention: forward with bounds, and backward from each margin.

Let D be the difference between a conforming float32 computation and the exact one. Through one
operation, D_after = M D_before + d, where |d| is at most the operation's own rounding and M is a
mean of its Jacobian between the exact and the computed point. Both points are within the forward
bounds, so M lies in an interval matrix: W itself for a linear layer; 0, 1 or [0, 1] per neuron for
ReLU; a narrow interval for the norm. The margin's error is then a sum over operations of
(derivative of the margin) . d, and the derivatives, enclosed as center and radius, come from one
backward pass. This keeps the cancellation between layers that forward bounds lose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.certify.bounded import (
    SLACK,
    Bounded,
    Weight,
    add,
    exact,
    linear,
    prepare,
    relu,
    rms_norm,
    root_mean_square,
)
from arithtf.model import Transformer
from arithtf.model.transformer import MLP

FLOAT64 = 2.0**-40  # relative rounding of any float64 dot product here, generously


class Derivative(NamedTuple):
    """Derivatives of margins, enclosed: center +- radius, each [R, n]."""

    center: Tensor
    radius: Tensor

    def times(self, error: Tensor) -> Tensor:
        """Bound of |derivative . d| for |d| <= error [R, n]: [R]; NaN where there is none."""
        return ((self.center.abs() + self.radius) * error).sum(-1)


class Layers(NamedTuple):
    """The weights of one MLP block."""

    gain: Tensor
    up: Weight
    down: Weight
    moved: float


class Steps(NamedTuple):
    """The results of one MLP block's operations."""

    given: Bounded
    normed: Bounded
    before: Bounded
    after: Bounded
    down: Bounded
    out: Bounded


def layers(block: MLP, moved: float = 0.0) -> Layers:
    """The weights of an MLP block, prepared; each may be another by a share `moved` of it."""
    up, down = (prepare(linear.weight, moved) for linear in (block.up, block.down))
    return Layers(exact(block.norm.weight), up, down, moved)


def mlp(x: Bounded, block: Layers) -> Steps:
    """x plus an MLP block's output, with all steps."""
    normed = rms_norm(x, block.gain, block.moved)
    before = linear(normed, block.up)
    after = relu(before)
    down = linear(after, block.down)
    return Steps(x, normed, before, after, down, add(x, down))


class Tail:
    """All that follows attention: MLP blocks, norm and unembedding.

    Args:
        model: the transformer.
        blocks: its MLP blocks after attention.
        moved: share of each weight by which it may be another.
    """

    def __init__(self, model: Transformer, blocks: Sequence[MLP], moved: float = 0.0) -> None:
        self.blocks, self.moved = [layers(block, moved) for block in blocks], moved
        self.gain = exact(model.norm.weight)
        self.unembedding = prepare(model.readout, moved)

    def forward(self, x: Bounded) -> tuple[Bounded, list[Steps], Bounded]:
        """Logits of streams [N, C], the blocks' steps, and the last norm's output."""
        steps = []
        for block in self.blocks:
            steps.append(mlp(x, block))
            x = steps[-1].out
        normed = rms_norm(x, self.gain, self.moved)
        return linear(normed, self.unembedding), steps, normed

    def margins(self, x: Bounded, target: Tensor) -> tuple[Bounded, Tensor, Tensor, Tensor]:
        """Logits of streams [N, C]; margins of the targets, lower and upper bounds of them [N]."""
        logits, steps, normed = self.forward(x)
        right = target[:, None]
        gap = (logits.value.gather(1, right) - logits.value).scatter(1, right, math.inf)
        error = (logits.error.gather(1, right) + logits.error) * SLACK
        margin = gap.amin(1)
        # A token can only decide the minimum if its forward bound does not rule it out.
        row, other = torch.nonzero(~(gap - error >= margin[:, None]), as_tuple=True)
        size = max(1, 2**22 // len(self.gain))
        for i in range(0, len(row), size):
            at = row[i : i + size], other[i : i + size]
            bound = self._backward(at[0], target, at[1], logits, steps, normed, x) * SLACK
            error[at] = torch.minimum(error[at], bound)
        error = error.scatter(1, right, 0.0)
        return logits, margin, (gap - error).amin(1), (gap + error).amin(1)

    def _backward(
        self,
        row: Tensor,
        target: Tensor,
        other: Tensor,
        logits: Bounded,
        steps: list[Steps],
        normed: Bounded,
        x: Bounded,
    ) -> Tensor:
        """Bounds [R] of the error of logit[target] - logit[other] of the given rows."""
        right, matrix = target[row], self.unembedding.matrix
        bound = logits.local[row, right] + logits.local[row, other]
        center = matrix[right] - matrix[other]
        slope = Derivative(center, center.abs() * FLOAT64)
        bound = bound + slope.times(normed.local[row])
        slope = _through_norm(slope, steps[-1].out.rows(row) if steps else x.rows(row), self.gain)
        for block, step in zip(reversed(self.blocks), reversed(steps), strict=True):
            bound = bound + slope.times(step.out.local[row] + step.down.local[row])
            inner = _through_relu(_through_linear(slope, block.down), step.before.rows(row))
            bound = bound + inner.times(step.before.local[row])
            inner = _through_linear(inner, block.up)
            bound = bound + inner.times(step.normed.local[row])
            inner = _through_norm(inner, step.given.rows(row), block.gain)
            slope = Derivative(slope.center + inner.center, slope.radius + inner.radius)
        length = slope.center.norm(dim=-1) + slope.radius.norm(dim=-1)
        given = torch.minimum(slope.times(x.error[row]), length * SLACK * x.norm[row, 0])
        return (bound + given).nan_to_num(nan=math.inf)


def _through_linear(slope: Derivative, weight: Weight) -> Derivative:
    widened = slope.radius + FLOAT64 * slope.center.abs()
    return Derivative(slope.center @ weight.matrix, widened @ weight.size)


def _through_relu(slope: Derivative, x: Bounded) -> Derivative:
    """A neuron passes all, nothing, or, where its sign is not certain, anything between."""
    on, off = (x.value > x.error).double(), (x.value <= -x.error).double()
    unsure = (1 - on - off).mul_(0.5)
    share = on.add_(unsure)
    radius = slope.radius * (share + unsure) + slope.center.abs() * unsure
    return Derivative(slope.center * share, radius)


def _through_norm(slope: Derivative, x: Bounded, gain: Tensor) -> Derivative:
    """Jacobian of the norm, gain_j (delta_ij / r - x_i x_j / (n r^3)), anywhere in x's bounds.

    |a' b' c' - a b c| <= (|a| + da)(|b| + db)(c + dc) - |a| |b| c for |a' - a| <= da and so on.
    """
    n = gain.shape[0]
    root, moved = root_mean_square(x)
    wider = torch.where(moved < 1, 1 / (1 - moved), math.inf)
    pulled, blur = slope.center * gain, slope.radius * gain.abs()
    along = (x.value * pulled).sum(-1, keepdim=True)
    cube = n * root**3
    center = pulled / root - x.value * along / cube
    reach = x.value.abs() + x.error
    most = along.abs() + (x.error * pulled.abs() + reach * blur).sum(-1, keepdim=True)
    second = (reach * most * wider**3 - x.value.abs() * along.abs()) / cube
    first = pulled.abs() * (wider - 1) / root + blur * wider / root
    summed = (x.value.abs() * pulled.abs()).sum(-1, keepdim=True)
    own = FLOAT64 * (pulled.abs() / root + reach * summed / cube)
    return Derivative(center, first + second + own)
