"""Contexts shown to people: as real problems, short ones where there are any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arithtf.certify.contexts import ContextSet, collect, layouts
from arithtf.tasks import ArithmeticTask, Batch, Coupling, Operands

Key = tuple[int, tuple[tuple[int, int, int], ...]]


def abbreviate(text: str, longest: int = 60) -> str:
    """Text without its middle if it is long."""
    if len(text) <= longest:
        return text
    half = longest // 2 - 2
    return f"{text[:half]} .. {text[-half:]}"


def problem_text(task: ArithmeticTask, operands: Operands, i: int) -> str:
    """Problem i with its true answer; operands as lists of digits where the base has no letters."""
    try:
        return task.problem_text(operands, i)
    except ValueError:
        return " ".join(str(digits.tolist()) for digits in operands.problem(i)) + " = .."


def start_of(task: ArithmeticTask, coupling: Coupling, operands: Operands, instance: int) -> int:
    """Column of the last prompt token in the batch of `layouts` that holds an instance.

    Raises:
        IndexError: there is no such instance.
    """
    first = 0
    for batch in layouts(task, coupling, operands):
        first += len(batch.tokens)
        if instance < first:
            return batch.start
    raise IndexError(f"expected an instance below {first}, got {instance}")


def real_problem(
    task: ArithmeticTask,
    coupling: Coupling,
    windows: Sequence[tuple[int, int]],
    sinks: int,
    contexts: ContextSet,
    operands: Operands,
    i: int,
) -> tuple[str, int]:
    """A real problem in which context i occurs, and which token of the answer it writes.

    The problems of a covering set are long, so first the columns around the place are tried as
    problems of their own: whether the context occurs there is found out by collecting, not assumed.

    Args:
        task, coupling, windows, sinks: what the contexts are those of.
        contexts: the set.
        operands: the instances it was collected from.
        i: the context's number.

    Returns:
        The problem with its true answer, and the token's number, 0 for the first.
    """
    instance = int(contexts.instance[i])
    place = int(contexts.column[i]) - start_of(task, coupling, operands, instance)
    wanted = _key(contexts, i)
    for problem in _around(operands.problem(instance), place):
        if not task.is_valid(problem):
            continue
        short = Operands.from_digits([problem], arity=operands.arity)
        batch = Batch.of(task.instances(short), coupling)
        found = ContextSet(**collect([batch], windows, sinks).contexts())
        for j in range(len(found.target)):
            if _key(found, j) == wanted:
                return problem_text(task, short, 0), int(found.column[j]) - batch.start
    return abbreviate(problem_text(task, operands, instance)), place


def _key(contexts: ContextSet, i: int) -> Key:
    return int(contexts.query_token[i]), tuple(contexts.entries(i))


def _around(
    problem: tuple[np.ndarray, ...], place: int, before: int = 6, after: int = 3
) -> list[tuple[np.ndarray, ...]]:
    """Problems of the operands' digits around a place, shortest first."""
    pieces = []
    for low in range(max(0, place - before), place + 1):
        for high in range(place, place + after + 1):
            piece = []
            for digits in problem:
                part = digits[::-1][low:high][::-1]
                nonzero = np.flatnonzero(part)
                piece.append(part[nonzero[0] :] if nonzero.size else np.zeros(1, np.uint8))
            pieces.append(tuple(piece))
    return sorted(pieces, key=lambda piece: sum(map(len, piece)))
