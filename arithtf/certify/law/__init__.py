"""The law of a model: its exact-match rate at every length, computed.

A windowed model's predictions are a function of local contexts. So on random problems it is a
finite chain: the columns come one after the other, independent of each other, and the model is
right as long as each window of columns shows contexts in which it is right.

1. The problems of a length are all pairs of operands of exactly n digits, each as likely as any
   other (of tasks on one operand: all operands; strings may begin with zeros). So the columns are
   independent and uniform, but for the top one, whose digits are not 0 where n > 1.
2. A node is what a window holds: the last columns, and the rule's state. Its transitions are the
   digits of the column to come. A transition is good if the model is right in all contexts that the
   window shows for the column in its middle (`chain`).
3. The share of problems of n digits that come out right is the weight of all ways of n columns,
   and of the empty ones behind them, whose transitions are good. Weights are counted in fractions
   (`exact`) or in floating point.
4. Far from both ends all transitions are alike, a matrix. Its powers by squaring give a billion
   digits in thirty products (`powers`); its largest eigenvalue is the share of problems that
   survive one digit more.

Right means that every token that is written is right: for tasks that write work, whole work.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.contexts import render_context
from arithtf.certify.law.chain import Chain, Nodes, Transitions
from arithtf.certify.law.places import places
from arithtf.certify.law.powers import Powers, pushed
from arithtf.certify.provable import CannotCertify, check_task, require_provable
from arithtf.model import ContextSet, Model, context_logits
from arithtf.tasks import ArithmeticTask, ColumnTask, Coupling

__all__ = ["Cost", "Law", "law"]

LENGTHS = (1, 2, 5, 10, 20, 50, 100, 1000, 10**4, 10**6, 10**9)
SHOWN = 10
_MOST_COLUMNS = 200  # after which all windows have occurred


@dataclass(frozen=True)
class Cost:
    """What a context costs.

    Args:
        context: in words.
        rate: share of columns, among those of problems still right, that fail in it.
    """

    context: str
    rate: float


class Law:
    """The law of a model.

    Args:
        task: the task.
        chain: its windows.
        contexts: all contexts.
        coupling: names the levels in `costs`.
    """

    def __init__(
        self, task: ColumnTask, chain: Chain, contexts: ContextSet, coupling: Coupling
    ) -> None:
        self.task, self.chain, self.contexts, self.coupling = task, chain, contexts, coupling
        self.wrong = int(chain.wrong.sum())

    def exact(self, length: int) -> Fraction:
        """Share of the problems of a length that come out right, as a fraction.

        Args:
            length: digits of every operand, at least 1. Time grows with it.
        """
        weights: Any = np.array([1] * len(self.chain.edges.starts), object)
        problems = self.task.base if self.chain.edges.rule.last_digit else 1
        for moved, allowed in self._walk(self.chain.begin(), range(self._stop(length)), length):
            problems *= len(allowed)
            after: Any = np.zeros(len(moved.nodes.state), object)
            np.add.at(after, moved.target, weights[moved.source])
            weights = after
        return Fraction(int(weights.sum()), problems)

    def at(self, length: int) -> float:
        """Share of the problems of a length that come out right.

        Args:
            length: digits of every operand, at least 1.

        Raises:
            CannotCertify: see `Powers`.
        """
        if not self.wrong:
            return 1.0
        return math.exp(min(self.log_at(length), 0.0))

    def log_at(self, length: int) -> float:
        """Natural logarithm of `at`, for shares too small for a float; -inf where none is right."""
        far = self._far
        if far is None or length <= far.columns + 1:
            weights, log, nodes, first = self._first(), 0.0, self.chain.begin(), 0
        else:
            weights, log = far.powers.push(far.weights, length - 1 - far.columns)
            nodes, first = far.nodes, length - 1
        for moved, allowed in self._walk(nodes, range(first, self._stop(length)), length):
            weights = pushed(weights, moved.source, moved.target, len(moved.nodes.state))
            weights /= len(allowed)
        total = float(weights.sum())
        return log + math.log(total) if total > 0 else -math.inf

    @property
    def survival(self) -> float:
        """Share of the problems right so far that are still right after one digit more; 1 where
        answers stop after a number of columns."""
        if not self.wrong or self._far is None:
            return 1.0
        weights, _ = self._late
        return math.exp(self._far.powers.push(weights, 1)[1])

    @property
    def half(self) -> int | None:
        """The least length from which on at most half of the problems come out right; None: there
        is none up to 10^18 digits.

        Short problems can be worse than longer ones: of a + 1 a wrong 9 + 1 is a tenth of all
        problems of one digit, and a hundredth of those of two.
        """
        if not self.wrong or self._far is None:
            return None
        low, high = 0, self._far.columns + 2
        while self.at(high) > 0.5:
            low, high = high, 2 * high
            if high > 10**18:
                return None
        while low and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.at(middle) > 0.5 else (low, middle)
        while not low and high > 1 and self.at(high - 1) <= 0.5:
            high -= 1
        return high

    @property
    def first_failure(self) -> float:
        """Digits of an endless problem before the first that goes wrong, on average."""
        if self._far is None or not self.wrong:
            return math.inf
        expected, weights = 0.0, self._first()
        problems = float(weights.sum())
        walk = self._walk(self.chain.begin(), range(self._far.columns), math.inf)
        for column, (moved, allowed) in enumerate(walk):
            weights = pushed(weights, moved.source, moved.target, len(moved.nodes.state))
            weights /= len(allowed)
            # A window that looks ahead asks for a column only when those ahead are there.
            if column >= self.chain.future:
                expected += float(weights.sum()) / problems
        return expected + self._far.powers.expected(self._far.weights) / problems

    def costs(self, most: int = SHOWN) -> list[Cost]:
        """The contexts that fail most often, far from both ends.

        Args:
            most: how many.
        """
        if not self.wrong or self._far is None:
            return []
        weights, _ = self._late
        if not weights.any():
            return []  # no problem is right that far
        moved, size = self._far.moved, len(self.chain.wrong)
        shares = weights / weights.sum() / len(self.chain.edges.columns)
        rates = pushed(shares, moved.wrong[:, 0], moved.wrong[:, 1], size)
        order = np.argsort(-rates, kind="stable")[:most]
        words = self.task.vocabulary
        return [
            Cost(render_context(self.contexts, int(i), self.coupling, words), float(rates[i]))
            for i in order
            if rates[i] > 0
        ]

    def _first(self) -> NDArray[np.float64]:
        """Weights of the first nodes: problems are as many as the single digit has values."""
        digits = self.task.base if self.chain.edges.rule.last_digit else 1
        return np.full(len(self.chain.edges.starts), 1 / digits)

    def _stop(self, length: int) -> int:
        """Columns of a problem, with those beyond the operands in which something is written."""
        limit = self.chain.edges.rule.limit
        return min(length, limit or length) + 2 + self.chain.future

    def _walk(
        self, nodes: Nodes, columns: Sequence[int], length: float
    ) -> Iterator[tuple[Transitions, Sequence[tuple[int, ...]]]]:
        """Append columns of a problem of so many digits; each with the digits it can have."""
        rule = self.chain.edges.rule
        every = self.chain.edges.columns
        top = 0 if rule.from_left else length - 1
        free = rule.strings or length == 1
        nonzero = every if free else [c for c in every if min(c) > 0]
        written = min(length, rule.limit or length)
        for column in columns:
            allowed = nonzero if column == top else every
            if column >= length:
                allowed = [()]
            moved = self.chain.append(nodes, column, allowed, column < written)
            nodes = moved.nodes
            yield moved, allowed

    @cached_property
    def _far(self) -> _Far | None:
        """The chain far from both ends; None where answers stop after a number of columns."""
        if self.chain.edges.rule.limit:
            return None
        weights, nodes = self._first(), self.chain.begin()
        inner = self.chain.singles + self.chain.past + self.chain.future
        choices = len(self.chain.edges.columns)
        for column in range(_MOST_COLUMNS):
            moved, _ = next(self._walk(nodes, range(column, column + 1), math.inf))
            same = [np.array_equal(a, b) for a, b in zip(moved.nodes, nodes, strict=True)]
            if column > inner and all(same):
                powers = Powers(moved.source, moved.target, len(nodes.state), choices)
                return _Far(column, weights, nodes, moved, powers)
            size = len(moved.nodes.state)
            weights = pushed(weights, moved.source, moved.target, size) / choices
            nodes = moved.nodes
        raise CannotCertify(
            f"the windows that can occur still change after {_MOST_COLUMNS} columns; ask for "
            "exact shares of short lengths (Law.exact)"
        )

    @cached_property
    def _late(self) -> tuple[NDArray[np.float64], float]:
        """Weights after very many columns, and their logarithm's scale."""
        assert self._far is not None
        return self._far.powers.push(self._far.weights, 1 << 40)


class _Far(NamedTuple):
    """A chain whose transitions are all alike.

    Args:
        columns: appended so far.
        weights: of the nodes.
        nodes: that the columns led to.
        moved: transitions from there.
        powers: of these.
    """

    columns: int
    weights: NDArray[np.float64]
    nodes: Nodes
    moved: Transitions
    powers: Powers


def law(model: Model, task: ArithmeticTask, coupling: Coupling) -> Law:
    """The law of a windowed model on a column task.

    Args:
        model: a model that could be certified; it need not be right.
        task: what it was trained on.
        coupling: where its ids come from.

    Raises:
        CannotCertify: predictions depend on more than a local context, or the task is none of
            columns, or its windows are too wide.
    """
    if not isinstance(task, ColumnTask):
        raise CannotCertify(
            f"task {task.name!r} writes no columns: what a row shows depends on the row before, so "
            "its columns are not independent; there is a law for column tasks only"
        )
    provable = require_provable(model, task, coupling)
    encoding = provable.config.encoding
    found = check_task(task, coupling, encoding.windows, sinks=encoding.sinks).contexts
    words = task.vocabulary
    logits = context_logits(provable, found, bos=words.bos, pad=words.pad, impl="reference")
    wrong = logits.argmax(1).cpu().numpy() != found.target
    seen = places(task, coupling, encoding, task.rule())
    return Law(task, Chain(task, seen, found, wrong), found, coupling)
