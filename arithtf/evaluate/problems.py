"""The problems of the suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from arithtf.tasks import Addition, Operands

Bytes = npt.NDArray[np.uint8]

KINDS = (
    "ripple", "complement", "complement_plus", "kill", "repdigit", "double", "zeros",
    "alternating", "lopsided", "uniform",
)  # fmt: skip

SHORTEST = {"kill": 3}
"""Digits that a kind needs at least, if more than one."""

SMALL = 20
"""Lengths of the grid's full square."""

RANDOM = 5
"""Random problems of a cell of the grid."""


def repeats(length: int, most: int = 32) -> int:
    """Problems of a kind at a length: many short ones, one long one."""
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
    """Problems of one kind, and the carry chain they are about."""

    kind: str
    operands: Operands
    chain: int
    place: int


def carry_problems(task: Addition, length: int, seed: int) -> Iterator[Chained]:
    """The carry suite at one length.

    Kind "chain" is about the chain asked for (elsewhere its digits are random); of other kinds it
    is the longest run of columns that carry in any of the problems.
    """
    for step, (size, place) in enumerate(chains(length)):
        operands = task.operands(
            seed=seed,
            split="all",
            step=step,
            lengths=(length, length),
            size=repeats(length, 8),
            kind="chain",
            chain=(size, place),
        )
        yield Chained("chain", operands, size, place)
    for kind in KINDS:
        if length < SHORTEST.get(kind, 1):
            continue
        operands = _draw(task, kind, length, seed)
        yield Chained(
            kind, operands, *max(carry_run(task, operands, i) for i in range(len(operands)))
        )


def ladder_problems(task: Addition, length: int, seed: int) -> Iterator[tuple[str, Operands]]:
    """(kind, problems) of the ladder at one length."""
    for kind in ("uniform", "ripple", "complement_plus"):
        yield kind, _draw(task, kind, length, seed + 1)


def _draw(task: Addition, kind: str, length: int, seed: int) -> Operands:
    return task.operands(
        seed=seed,
        split="all",
        step=0,
        lengths=(length, length),
        size=repeats(length),
        kind=kind,
    )


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


class Cell(NamedTuple):
    """Problems of the grid whose operands have `left` and `right` digits."""

    left: int
    right: int
    problems: list[tuple[Bytes, Bytes]]


def grid_problems(
    task: Addition, decades: Sequence[int], max_digits: int, seed: int
) -> Iterator[list[Cell]]:
    """Cells of the grid: all pairs of short lengths together, then pairs of decades.

    Args:
        task: addition.
        decades: lengths beyond the square of short ones.
        max_digits: no operand is longer.
        seed: of the random digits.
    """
    small = range(1, min(SMALL, max_digits) + 1)
    rng = np.random.Generator(np.random.Philox(seed))
    yield [_cell(task, left, right, rng) for left in small for right in small]
    long = [length for length in decades if length > SMALL]
    for left in (1, *long):
        for right in (1, *long):
            if max(left, right) > SMALL:
                yield [_cell(task, left, right, rng)]


def _cell(task: Addition, left: int, right: int, rng: np.random.Generator) -> Cell:
    """Random problems and three with as many carries as the lengths allow."""
    nines = [np.full(n, task.base - 1, np.uint8) for n in (left, right)]
    powers = [np.zeros(n, np.uint8) for n in (left, right)]
    for power in powers:
        power[0] = 1
    problems = [(nines[0], nines[1]), (nines[0], powers[1]), (powers[0], nines[1])]
    random = RANDOM if max(left, right) <= SMALL else 1
    for _ in range(random):
        problems.append((_number(task, left, rng), _number(task, right, rng)))
    return Cell(left, right, problems)


def _number(task: Addition, length: int, rng: np.random.Generator) -> Bytes:
    digits = rng.integers(0, task.base, length, np.uint8)
    if length > 1:
        digits[0] = rng.integers(1, task.base)
    return digits
