"""Adversarial operands for any task: digits, pairs and families that random problems never show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf.tasks import ArithmeticTask

Bytes = npt.NDArray[np.uint8]
Problem = tuple[Bytes, ...]

PATTERNS = ("power", "nines", "random", "zeros", "alternating", "repdigit", "edges")
"""How one operand is made, see `number`."""

FIRST = ("nines", "random", "power", "zeros", "alternating", "repdigit", "edges")
"""The first operand's patterns, in the order in which they are tried."""

RANDOM = 8
"""Random problems of a shape."""


class Family(NamedTuple):
    """Problems of one distribution, made when they are asked for: long ones are large."""

    distribution: str
    problems: Iterator[Problem]


class Maker:
    """Makes operands of one task.

    Args:
        task: for its base, and whether operands may begin with zeros.
        seed: of the random digits.
    """

    def __init__(self, task: ArithmeticTask, seed: int) -> None:
        self.task, self.base = task, task.vocabulary.base
        self.rng = np.random.Generator(np.random.Philox(seed))

    def number(self, pattern: str, length: int) -> Bytes:
        """One operand.

        Args:
            pattern: "nines" (largest digits), "power" (1 and zeros), "random", "zeros" (zeros
                between random ends; one digit: 0), "alternating" (largest digit and 0 in turn),
                "repdigit" (a random digit again and again), "edges" (1, zeros, 1).
            length: digits.
        """
        digits = np.zeros(length, np.uint8)
        if pattern == "nines":
            digits[:] = self.base - 1
        elif pattern == "alternating":
            digits[::2] = self.base - 1
        elif pattern == "repdigit":
            digits[:] = self.rng.integers(1, self.base)
        elif pattern == "random":
            digits[:] = self.rng.integers(0, self.base, length, np.uint8)
        elif pattern == "zeros":
            edge = length // 4
            digits[:edge] = self.rng.integers(0, self.base, edge, np.uint8)
            digits[length - edge :] = self.rng.integers(0, self.base, edge, np.uint8)
        else:
            digits[0] = 1
            if pattern == "edges":
                digits[-1] = 1
        if length > 1 and not self.task.strings:
            digits[0] = max(1, int(digits[0]))
        return digits

    def families(self, shape: Sequence[int]) -> Iterator[Family]:
        """Problems of operands of the given lengths, the hardest distributions first.

        Of one operand: its patterns. Of two: every pair of patterns, and pairs that are equal, that
        differ in one digit, that carry or borrow through every column, multiples. Of more: all
        alike, patterns in turn, one long operand.

        Args:
            shape: digits of each operand.
        """
        if len(shape) == 1:
            yield from self._alone(shape[0])
        elif len(shape) == 2:
            yield from self._pairs(*shape)
        else:
            yield from self._many(shape)

    def _alone(self, length: int) -> Iterator[Family]:
        for pattern in FIRST:
            times = RANDOM if pattern == "random" else 1
            yield Family(pattern, self._each([(pattern,)] * times, (length,)))
        if self.task.strings:
            turned = (np.arange(length) % 2 * (self.base - 1)).astype(np.uint8)
            yield Family("all zeros", iter([(np.zeros(length, np.uint8),)]))
            yield Family("alternating from 0", iter([(turned,)]))

    def _pairs(self, left: int, right: int) -> Iterator[Family]:
        for pattern in FIRST:
            others = (*PATTERNS, *["random"] * RANDOM) if pattern == "random" else PATTERNS
            yield Family(pattern, self._each([(pattern, q) for q in others], (left, right)))
            relation = {"nines": self._complements, "power": self._borrows}.get(pattern)
            if relation and left == right:
                yield Family(relation.__name__.strip("_"), relation(left))
        if left == right:
            yield Family("equal", self._equal(left))
            yield Family("neighbours", self._neighbours(left))
        elif left > right:
            yield Family("multiples", self._multiples(left, right))

    def _many(self, shape: Sequence[int]) -> Iterator[Family]:
        """All alike, random, one long one among ones, patterns in turn."""
        for pattern in FIRST:
            times = RANDOM if pattern == "random" else 1
            yield Family(pattern, self._each([(pattern,) * len(shape)] * times, shape))
        turns = tuple(PATTERNS[i % len(PATTERNS)] for i in range(len(shape)))
        yield Family("patterns in turn", self._each([turns], shape))
        yield Family("one long operand", self._one_long(len(shape), max(shape)))

    def _each(self, patterns: Iterable[Sequence[str]], shape: Sequence[int]) -> Iterator[Problem]:
        for problem in patterns:
            yield tuple(self.number(p, n) for p, n in zip(problem, shape, strict=True))

    def _one_long(self, operands: int, length: int) -> Iterator[Problem]:
        """The largest digits, first or last, and ones."""
        ones = (np.ones(1, np.uint8),) * (operands - 1)
        long = self.number("nines", length)
        yield (long, *ones)
        yield (*ones, long)

    def _equal(self, length: int) -> Iterator[Problem]:
        for pattern in PATTERNS:
            number = self.number(pattern, length)
            yield (number, number)

    def _complements(self, length: int) -> Iterator[Problem]:
        """Every column's digits make up the largest digit; with one more at the units, a carry."""
        for _ in range(2):
            a = self.number("random", length)
            a[-1] = max(1, int(a[-1]))
            b = (self.base - 1 - a).astype(np.uint8)
            if b[0] == 0 and length > 1 and not self.task.strings:
                b[0] = 1
            more = b.copy()
            more[-1] += 1 if more[-1] < self.base - 1 else 0
            yield from ((a, more), (a, b))

    def _borrows(self, length: int) -> Iterator[Problem]:
        """A borrow through every column: 20..0 against 10..01, and the other way round."""
        first, second = self.number("power", length), self.number("edges", length)
        first[0] = min(2, self.base - 1)
        yield from ((first, second), (second, first))

    def _neighbours(self, length: int) -> Iterator[Problem]:
        """Numbers that differ in their last, first or middle digit alone."""
        for pattern in ("random", "nines", "power"):
            for place in sorted({0, length // 2, length - 1}, reverse=True):
                a = self.number(pattern, length)
                b = a.copy()
                b[place] = (b[place] + 1) % self.base
                if length == 1 or b[0] or self.task.strings:
                    yield from ((a, b), (b, a))

    def _multiples(self, left: int, right: int) -> Iterator[Problem]:
        """A multiple of the second number, and one less: remainders 0 and the largest."""
        for pattern in ("random", "nines", "power"):
            b = self.number(pattern, right)
            b[0] = max(1, int(b[0]))
            times = np.concatenate((b, np.zeros(left - right, np.uint8)))
            yield (times, b)
            last = int(np.flatnonzero(times)[-1])
            times = times.copy()
            times[last] -= 1
            times[last + 1 :] = self.base - 1
            if times[0] or self.task.strings:
                yield (times, b)


def choose(
    is_valid: Callable[[Problem], bool], families: Iterable[Family], most: int
) -> dict[str, list[Problem]]:
    """At most so many problems that a task takes, in turn from every family.

    Args:
        is_valid: whether it takes a problem.
        families: problems, the hardest distributions first.
        most: problems in all.

    Returns:
        Problems by distribution.
    """
    found: dict[str, list[Problem]] = {}
    waiting = list(families)
    count = 0
    while waiting and count < most:
        for family in list(waiting):
            if count == most:
                break
            problem = next((p for p in family.problems if is_valid(p)), None)
            if problem is None:
                waiting.remove(family)
                continue
            found.setdefault(family.distribution, []).append(problem)
            count += 1
    return found
