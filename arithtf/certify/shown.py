"""Contexts shown to people: as real problems, short ones where there are any."""

from __future__ import annotations

import numpy as np

from arithtf.certify.contexts import TaskContexts
from arithtf.model import ContextSet, collect
from arithtf.tasks import ArithmeticTask, Batch, Operands

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


def start_of(found: TaskContexts, instance: int) -> int:
    """Column of the last prompt token in the batch of the covering set that holds an instance.

    Raises:
        IndexError: there is no such instance.
    """
    first = 0
    for batch in found.layouts():
        first += len(batch.tokens)
        if instance < first:
            return batch.start
    raise IndexError(f"expected an instance below {first}, got {instance}")


def real_problem(found: TaskContexts, i: int) -> tuple[str, int]:
    """A real problem in which context i occurs, and which token of the answer it writes.

    The problems of a covering set are long, so first the columns around the place are tried as
    problems of their own: whether the context occurs there is found out by collecting, not assumed.

    Args:
        found: a task's contexts.
        i: the context's number.

    Returns:
        The problem with its true answer, and the token's number, 0 for the first.
    """
    task, operands, contexts = found.task, found.operands, found.contexts
    instance = int(contexts.instance[i])
    place = int(contexts.column[i]) - start_of(found, instance)
    wanted = _key(contexts, i)
    for problem in _around(operands.problem(instance), place):
        if not task.is_valid(problem):
            continue
        short = Operands.from_digits([problem], arity=operands.arity)
        batch = Batch.of(task.instances(short), found.coupling)
        met = ContextSet(**collect([batch], found.windows, found.sinks).contexts())
        for j in range(len(met.target)):
            if _key(met, j) == wanted:
                return problem_text(task, short, 0), int(met.column[j]) - batch.start
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
