"""The problems of the suites."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from arithtf.evaluate.adversarial import Maker, Problem, choose
from arithtf.tasks import Addition, Address, ArithmeticTask, Calculator, Draw, Operands

DISTRIBUTIONS = (
    "ripple",
    "complement",
    "complement_plus",
    "kill",
    "repdigit",
    "double",
    "zeros",
    "alternating",
    "lopsided",
    "uniform",
)

LONGEST = 10**8
"""No operands are longer: the tokens of their work would overflow 64 bits."""

SHORTEST = {"kill": 3}
"""Digits that a distribution needs at least, if more than one."""

SMALL = 20
"""Lengths of the grid's full square."""

SHARE = 1 << 20
"""Columns for all problems of one shape in a suite; one problem may have more."""

LOOKED_THROUGH = 1 << 16
"""Problems of a shape among which those of the test split are looked for, at most."""

SPLIT = 16
"""More than this many times the test split, which is an eighth, no shape has problems."""

CELL, CELL_FAR = 8, 4
"""Problems of a cell of the grid: of short operands, of long ones."""


def repeats(length: int, most: int = 32) -> int:
    """Problems of a distribution at a length: many short ones, one long one."""
    return max(1, min(most, 20_000 // length))


def chains(length: int) -> list[tuple[int, int]]:
    """(length, place) of carry chains in sums of `length` digits, from one column to all.

    Lengths are powers of ten, half of all and all; places are units, middle and the top.
    """
    powers = [10**k for k in range(len(str(length)))]
    sizes = sorted({size for size in (*powers, length // 2, length) if 1 <= size <= length})
    return [
        (size, place)
        for size in sizes
        for place in sorted({0, (length - size) // 2, length - size})
    ]


class Chained(NamedTuple):
    """Problems of one distribution, and the carry chain they are about."""

    distribution: str
    operands: Operands
    chain: int
    place: int


def carry_problems(task: Addition, length: int, seed: int) -> Iterator[Chained]:
    """The carry suite at one length.

    "chain" is about the chain asked for (elsewhere its digits are random); the others are about the
    longest run of columns that carry in any of their problems.
    """
    for step, (size, place) in enumerate(chains(length)):
        draw = Draw((length, length), repeats(length, 8), "chain", chain=(size, place))
        operands = task.operands(Address(seed, "all", step), draw)
        yield Chained("chain", operands, size, place)
    for distribution in DISTRIBUTIONS:
        if length < SHORTEST.get(distribution, 1):
            continue
        draw = Draw((length, length), repeats(length), distribution)
        operands = task.operands(Address(seed, "all", 0), draw)
        chain = max(carry_run(task, operands, i) for i in range(len(operands)))
        yield Chained(distribution, operands, *chain)


def carry_run(task: Addition, operands: Operands, i: int) -> tuple[int, int]:
    """(length, first column) of the longest run of columns that carry in problem i.

    Column 0 is the units. Without a carry it is (0, 0).
    """
    a, b = operands.problem(i)
    total = task.answer(operands.select([i]))[0].astype(np.int16)
    for operand in (a, b):
        total[: operand.size] -= operand[::-1]
    # What is left of a column is the carry it got, modulo the base: column j carried iff j + 1 got.
    carried = np.concatenate(([False], total[1:] % task.base == 1, [False]))
    edges = np.flatnonzero(carried[1:] != carried[:-1])
    if edges.size == 0:
        return 0, 0
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    return int(ends[longest] - begins[longest]), int(begins[longest])


@dataclass(frozen=True)
class Part:
    """A task alone: one of a joint task, or the task itself.

    Args:
        whole: the joint task, or the task itself.
        task: the part.
        sign: before the distributions of its problems; empty if it is the task itself.
        prefix: what the joint task has before the operands.
    """

    whole: ArithmeticTask
    task: ArithmeticTask
    sign: str = ""
    prefix: Problem = ()

    def is_valid(self, problem: Problem) -> bool:
        """Whether operands are a problem of the part that the joint task takes."""
        return self.task.is_valid(problem) and self.whole.is_valid((*self.prefix, *problem))

    def stress_lengths(self, length: int) -> list[tuple[int, ...]]:
        """Those of the part of which the joint task takes problems."""
        return [
            shape
            for shape in self.task.stress_lengths(length)
            if self.is_valid(tuple(np.broadcast_to(np.uint8(1), n) for n in shape))
        ]


def parts_of(task: ArithmeticTask) -> list[Part]:
    """The parts of a joint task, or the task alone."""
    parts = task.parts if isinstance(task, Calculator) else {}
    joined = [
        Part(task, part, f"{sign} ", (np.array([number], np.uint8),))
        for number, (sign, part) in enumerate(parts.items())
    ]
    return joined or [Part(task, task)]


def different(operands: Operands, seen: set[bytes] | None = None) -> Operands:
    """Each problem once: the first of equal ones, in their order.

    Args:
        operands: B problems.
        seen: problems that are left out as well; gets those of the answer.
    """
    seen = set() if seen is None else seen
    kept = []
    for i, problem in enumerate(operands):
        key = hashlib.blake2b(repr([part.size for part in problem]).encode(), digest_size=16)
        for part in problem:
            key.update(part.tobytes())
        if key.digest() not in seen:
            seen.add(key.digest())
            kept.append(i)
    return operands if len(kept) == len(operands) else operands.select(kept)


def every_problem(task: ArithmeticTask, shape: Sequence[int], most: int) -> Operands | None:
    """All problems of the test split of a shape, if they are few.

    Args:
        task: the task.
        shape: digits of each operand, without a joint task's operation.
        most: how many are few.

    Returns:
        The problems; None if there are more than `most`, or too many to look through.
    """
    base, strings = task.vocabulary.base, task.strings
    counts = [base**n - (0 if n == 1 or strings else base ** (n - 1)) for n in shape]
    if math.prod(counts) > min(LOOKED_THROUGH, SPLIT * most):
        return None
    sides = [
        [np.array(digits, np.uint8) for digits in itertools.product(range(base), repeat=n)][-count:]
        for n, count in zip(shape, counts, strict=True)
    ]
    problems = [
        (*part.prefix, *problem)
        for part in parts_of(task)
        for problem in itertools.product(*sides)
        if part.is_valid(problem)
    ]
    operands = Operands.from_digits(problems, arity=len(problems[0]))
    chosen = np.flatnonzero(task.in_test_split(operands))
    return operands.select(chosen.tolist()) if 0 < len(chosen) <= most else None


class Cell(NamedTuple):
    """Problems of the grid: two operands of `left` and `right` digits.

    Of a task with any number of operands: `left` operands of `right` digits.
    """

    left: int
    right: int
    problems: list[Problem]


def grid_problems(part: Part, max_digits: int, max_tokens: int, seed: int) -> Iterator[list[Cell]]:
    """Cells of the grid: all pairs of short lengths, then pairs of decades; by number of operands.

    Args:
        part: a task with more than one operand.
        max_digits: no operand is longer.
        max_tokens: no problem has more columns.
        seed: of the random digits.

    Yields:
        Cells whose problems have equally many operands.
    """
    task, maker = part.task, Maker(part.task, seed)
    any_number = part.is_valid((np.ones(1, np.uint8),) * 3)
    small = range(1, min(SMALL, max_digits) + 1)
    long = [n for n in ladder_lengths(max_digits) if n > SMALL]
    pairs = [(left, right) for left in small for right in small]
    far = [(left, right) for left in (1, *long) for right in (1, *long) if max(left, right) > SMALL]
    together: dict[int, list[Cell]] = {}
    for left, right in (*pairs, *far):
        if any_number and left < 2:
            continue
        shape = (right,) * left if any_number else (left, right)
        if tokens_of(task, shape) > max_tokens:
            continue
        # Problems are drawn whether they are taken or not: the digits of a cell depend on the
        # seed and the order of cells, not on what a task makes of them.
        most = CELL if max(left, right) <= SMALL else CELL_FAR
        most = max(1, min(most, SHARE // tokens_of(task, shape)))
        chosen = choose(part.is_valid, maker.families(shape), most)
        problems = [problem for found in chosen.values() for problem in found]
        if not problems:
            continue
        if max(left, right) > SMALL:
            yield [Cell(left, right, problems)]
        else:
            together.setdefault(len(shape), []).append(Cell(left, right, problems))
    yield from together.values()


def ladder_lengths(max_digits: int) -> list[int]:
    """10, 100, .. up to max_digits, which comes last."""
    lengths = [10**k for k in range(1, len(str(max_digits))) if 10**k < max_digits]
    return [*lengths, max_digits]


def tokens_of(task: ArithmeticTask, shape: Sequence[int]) -> int:
    """Columns that a problem needs, its work included.

    Args:
        task: the task.
        shape: digits of each operand.
    """
    return int(task.sequence_length(np.array([shape], np.int64))[0])


def writes_work(task: ArithmeticTask) -> bool:
    """Whether work comes before the answer, so that one can be right without the other."""
    problems = task.operands(Address(0, "all"), Draw((3, 3), 8))
    return any(task.scratchpad_length(tokens) for tokens in task.answer(problems))


def shapes(part: Part, lengths: Iterable[int], max_tokens: int) -> list[tuple[int, ...]]:
    """The task's shapes of the given lengths whose problems fit into `max_tokens` columns."""
    found = [shape for length in lengths for shape in part.stress_lengths(length)]
    return list(dict.fromkeys(s for s in found if tokens_of(part.task, s) <= max_tokens))


def too_large(
    task: ArithmeticTask, max_digits: int, max_tokens: int
) -> list[tuple[str, tuple[int, ...], int]]:
    """The smallest shape of each sort, even or lopsided, that the ladder leaves out.

    Returns:
        (name of the task, operand lengths, columns).
    """
    found: dict[tuple[str, int], tuple[str, tuple[int, ...], int]] = {}
    for part in parts_of(task):
        for length in ladder_lengths(max_digits):
            for sort, shape in enumerate(part.stress_lengths(length)):
                columns = tokens_of(part.task, shape)
                if columns > max_tokens:
                    found.setdefault((part.sign, sort), (part.task.name, shape, columns))
    return list(found.values())
