"""Values with rigorous bounds on float32 rounding, and the position-wise operations on them.

The bounds follow N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, chapter 3:
with u = 2^-24 and gamma(n) = n u / (1 - n u), a dot product of n terms errs by at most
gamma(n) |x|.|y|, in whatever order it is summed and with or without fused multiply-add.

Errors are carried forward twice, entry by entry and as a Euclidean norm (a matrix enlarges a norm
by its largest singular value, often much less than the entries of |W| suggest), and a backward
pass (`arithtf.certify.sensitivity`) multiplies each operation's own rounding by the derivative of
the margin. For that the roundings of the last operation are kept apart as `local`.

Weights may also be known but for a share m of each, |w' - w| <= m |w|. In y = x W^T that is one
more error of the operation, m |x| |W|^T at most, and goes where roundings go
(`arithtf.certify.radius`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.model.blocks import NORM_EPS

UNIT = 2.0**-24
ULPS = 4
FUNCTION = 2 * ULPS * UNIT  # relative error of exp, log, 1/sqrt: an ulp is at most 2 u
TINY = 2.0**-120  # absolute error of any result that underflows, flushed to zero or not
HUGE = 2.0**100  # beyond this a float32 intermediate might overflow, and no bound is given
SLACK = 1.0 + 2.0**-20

ASSUMPTIONS: dict[str, str | int | float] = {
    "numbers": "IEEE 754 binary32",
    "rounding": "to nearest",
    "sums": "any order, any parenthesising",
    "fused multiply-add": "any use",
    "batch": "any shape",
    "ulps of exp, log and 1/sqrt": ULPS,
    "results flushed to zero below": TINY,
}
"""What a computation must be for the bounds to hold, for machines."""


def gamma(n: int) -> float:
    """Relative error of n roundings in a row (Higham, lemma 3.1)."""
    return n * UNIT / (1 - n * UNIT)


def own_share(rounding: float, moved: float) -> float:
    """Relative error of an operation that rounds, on a weight that has moved."""
    return rounding + moved + rounding * moved


class Bounded(NamedTuple):
    """Vectors, and how far any conforming float32 computation of them can be from the exact ones.

    Args:
        value: float64 [..., n], exact but for float64's own rounding.
        error: float64 [..., n], bounds per entry; inf where nothing can be said.
        norm: float64 [..., 1], bounds of the error's Euclidean norm.
        local: float64 [..., n], the part of `error` that the last operation added.
    """

    value: Tensor
    error: Tensor
    norm: Tensor
    local: Tensor

    def rows(self, index: Tensor) -> Bounded:
        """The vectors of the given numbers."""
        return Bounded(*(part[index] for part in self))


class Weight(NamedTuple):
    """A matrix [m, n] of float32 numbers in float64, and what its bounds need.

    Args:
        matrix: [m, n].
        size: [m, n], its absolute values.
        rows: [m], norms of its rows.
        sigma: its largest singular value, rounded up.
        moved: share of each entry by which it may be another.
    """

    matrix: Tensor
    size: Tensor
    rows: Tensor
    sigma: float
    moved: float


def exact(weight: Tensor) -> Tensor:
    """A float32 tensor in float64, without gradients, on the CPU."""
    return weight.detach().cpu().double()


def prepare(weight: Tensor, moved: float = 0.0) -> Weight:
    """The matrix of a linear layer, ready for `linear`.

    Args:
        weight: [m, n].
        moved: share of each entry by which it may be another.
    """
    matrix = exact(weight)
    # An SVD in float64 errs by some 1e-13 of the largest singular value.
    sigma = float(torch.linalg.matrix_norm(matrix, 2)) * SLACK
    return Weight(matrix, matrix.abs(), matrix.norm(dim=1) * SLACK, sigma, moved)


def known(value: Tensor, moved: float = 0.0) -> Bounded:
    """Given values, exact but for a share `moved` of each."""
    error = value.abs() * (moved * SLACK)
    return Bounded(value, error, error.norm(dim=-1, keepdim=True) * SLACK, error)


def bounded(
    value: Tensor, carried: Tensor, local: Tensor, norm: Tensor | None, magnitude: Tensor
) -> Bounded:
    """A result whose error is what was carried over plus what the operation added.

    Args:
        value, carried, local: [..., n].
        norm: [..., 1], bound of the norm of what was carried over; None: that of its entries.
        magnitude: bound of all intermediates, of local and of carried, up to factors that float64
            has room for; from HUGE on nothing is said.
    """
    local = local * SLACK
    error = (carried + local).mul_(SLACK)
    safe = magnitude < HUGE
    if not bool(safe.all()):  # NaN is not safe either
        local, error = (torch.where(safe, part, math.inf) for part in (local, error))
    entries = error.norm(dim=-1, keepdim=True)
    if norm is not None:
        entries = torch.minimum(entries, norm + local.norm(dim=-1, keepdim=True))
    return Bounded(value, error, entries * SLACK, local)


def linear(x: Bounded, weight: Weight) -> Bounded:
    """x W^T, W exact or moved: [..., n] -> [..., m]."""
    n = weight.matrix.shape[1]
    by_entries = x.error @ weight.size.T
    carried = torch.minimum(by_entries, x.norm * weight.rows)
    magnitude = (x.value.abs() @ weight.size.T).add_(by_entries)
    local = (own_share(gamma(n), weight.moved) * magnitude).add_(n * TINY)
    return bounded(x.value @ weight.matrix.T, carried, local, x.norm * weight.sigma, magnitude)


def add(x: Bounded, y: Bounded) -> Bounded:
    """x + y."""
    value, carried = x.value + y.value, x.error + y.error
    reach = value.abs() + carried
    magnitude = x.value.abs() + y.value.abs() + carried
    return bounded(value, carried, UNIT * reach + TINY, x.norm + y.norm, magnitude)


def relu(x: Bounded) -> Bounded:
    """max(x, 0): no rounding, and no error at all where x is surely not positive."""
    error = torch.where(x.value + x.error <= 0, 0.0, x.error)
    norm = torch.minimum(x.norm, error.norm(dim=-1, keepdim=True) * SLACK)
    return Bounded(x.value.clamp(min=0), error, norm, torch.zeros_like(error))


def root_mean_square(x: Bounded) -> tuple[Tensor, Tensor]:
    """r = sqrt(mean(x^2) + eps) [..., 1], and by what share of it the errors in x can move it.

    r is a Euclidean norm of x / sqrt(n) and sqrt(eps), so it moves by at most |error| / sqrt(n).
    """
    root = (x.value.square().mean(-1, keepdim=True) + NORM_EPS).sqrt()
    return root, x.norm / (math.sqrt(x.value.shape[-1]) * root) * SLACK


def rms_norm(x: Bounded, gain: Tensor, share: float = 0.0) -> Bounded:
    """x / sqrt(mean(x^2) + eps) * gain: [..., n] with gain [n], exact but for a share of each.


    The computed mean is a sum of positive terms, good to gamma(n + 4), its root to half of that;
    the root's reciprocal, two products and the constant eps add their own. The derivative is
    gain / r times a projection, r being the root somewhere between x and its float32 version.
    """
    n = gain.shape[0]
    root, moved = root_mean_square(x)
    summed = gamma(n + 4) + n * TINY / NORM_EPS
    computed = summed / (2 - summed) + FUNCTION
    rounding = own_share(1 / ((1 - computed) * (1 - gamma(4))) - 1, share)
    reach, least = x.value.abs() + x.error, root * (1 - moved)
    local = gain.abs() * reach / least * rounding + TINY * (1 + gain.abs() / root)
    carried = gain.abs() / root * (x.error + reach * (1 / (1 - moved) - 1))
    norm = x.norm * gain.abs().amax() / least
    magnitude = torch.where(moved < 1, reach.square().sum(-1, keepdim=True), math.inf)
    return bounded(x.value / root * gain, carried, local, norm, magnitude)
