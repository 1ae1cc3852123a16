"""Powers of a chain's transitions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.provable import CannotCertify

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DENSE = 2000
"""Nodes up to which a matrix is squared; of more, weights are pushed until they have settled."""

SETTLED = 1e-15
PATIENCE = 20_000
"""Columns after which weights that have not settled are given up."""


def pushed(weights: Floats, source: Ints, target: Ints, size: int) -> Floats:
    """What arrives at each of `size` nodes: the sum of weights[source] by target."""
    return np.bincount(target, weights=weights[source], minlength=size).astype(np.float64)


class Powers:
    """A matrix of transitions, to any power.

    Args:
        source, target: [T], from which node to which.
        size: number of nodes.
        choices: every transition has the weight 1 / choices.

    Raises:
        CannotCertify: there are more than DENSE nodes, and weights do not settle. Raised where a
            power is asked for.
    """

    def __init__(self, source: Ints, target: Ints, size: int, choices: int) -> None:
        self.source, self.target, self.size, self.choices = source, target, size, choices
        self._squares: list[tuple[Floats, float]] = []

    def push(self, weights: Floats, steps: int) -> tuple[Floats, float]:
        """Weights after so many steps, scaled to a sum of 1, and the logarithm of the scale.

        Args:
            weights: [size].
            steps: 0 or more.

        Returns:
            All 0 and -inf if nothing is left.
        """
        if self.size > DENSE:
            return self._settling(weights, steps)
        weights, log = _scaled(weights)
        for bit in range(steps.bit_length()):
            if steps >> bit & 1:
                square, scale = self._square(bit)
                weights, more = _scaled(weights @ square)
                log += scale + more
        return weights, log

    def expected(self, weights: Floats) -> float:
        """Sum of all weights after 1, 2, 3, ... steps; inf if it does not end."""
        if not weights.any() or not len(self.source):
            return 0.0
        if self.size > DENSE:
            return self._summing(weights)
        matrix = np.eye(self.size) - self._square(0)[0] * math.exp(self._square(0)[1])
        try:
            total = float(np.linalg.solve(matrix.T, weights).sum())
        except np.linalg.LinAlgError:
            return math.inf
        return total - float(weights.sum()) if total > 0 else math.inf

    def _square(self, bit: int) -> tuple[Floats, float]:
        """The matrix to the power 2^bit, scaled, and the logarithm of the scale."""
        if not self._squares:
            matrix = np.zeros((self.size, self.size))
            np.add.at(matrix, (self.source, self.target), 1 / self.choices)
            self._squares.append(_scaled(matrix))
        while len(self._squares) <= bit:
            matrix, log = self._squares[-1]
            square, more = _scaled(matrix @ matrix)
            self._squares.append((square, 2 * log + more))
        return self._squares[bit]

    def _step(self, weights: Floats) -> tuple[Floats, float]:
        after = pushed(weights, self.source, self.target, self.size) / self.choices
        return _scaled(after)

    def _settling(self, weights: Floats, steps: int) -> tuple[Floats, float]:
        weights, log = _scaled(weights)
        for step in range(steps):
            after, more = self._step(weights)
            log += more
            if not np.isfinite(more):
                return after, log
            if np.abs(after - weights).max() < SETTLED:
                return after, log + (steps - step - 1) * more
            if step > PATIENCE:
                raise CannotCertify(
                    f"the weights of {self.size:,} windows have not settled after {PATIENCE:,} "
                    "columns; ask for exact shares of short lengths (Law.exact)"
                )
            weights = after
        return weights, log

    def _summing(self, weights: Floats) -> float:
        total, log = 0.0, math.log(float(weights.sum()))
        for _ in range(PATIENCE):
            after, more = self._step(weights)
            log += more
            total += math.exp(log)
            if np.abs(after - weights / weights.sum()).max() < SETTLED:
                ratio = math.exp(more)
                return math.inf if ratio >= 1 else total + math.exp(log) * ratio / (1 - ratio)
            weights = after
        return total


def _scaled(values: Floats) -> tuple[Floats, float]:
    """Values divided by their sum, and its logarithm; all 0 and -inf if they are all 0."""
    total = float(values.sum())
    return (values / total, math.log(total)) if total > 0 else (values, -math.inf)
