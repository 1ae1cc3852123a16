"""Attention weights of a real problem in coupled coordinates: (id difference, part, token)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arithtf.model import Model, Trace, Transformer
from arithtf.tasks import NO_ID, ArithmeticTask, Batch, Coupling, Operands
from arithtf.tasks.coupling import segment_numbers


@dataclass(frozen=True)
class Slot:
    """A place that keys are drawn at.

    Args:
        name: which part of the instance.
        difference: key id minus query id; None for a sink.
    """

    name: str
    difference: int | None


@dataclass(frozen=True)
class Coupled:
    """Weights of one attention block on one problem.

    Args:
        problem: as text, with its answer.
        slots: S places, sinks first, then by difference and part.
        written: the Q tokens that are written, as text.
        weights: float64 [H, Q, S]; a query's weights sum to 1, or to 0 where it sees nothing.
        tokens: [Q][S] the key's token as text, "" where there is none.
        level: [H] name of the level each head reads.
    """

    problem: str
    slots: tuple[Slot, ...]
    written: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    tokens: tuple[tuple[str, ...], ...]
    level: tuple[str, ...]


@torch.no_grad()
def attention_weights(model: Model, batch: Batch) -> Tensor:
    """Weights of the last attention block over all key columns, [B, H, Q, T].

    Args:
        model: any transformer.
        batch: instances; queries are the columns start .. stop - 1.

    Raises:
        ValueError: a model of another class.
    """
    if not isinstance(model, Transformer):
        raise ValueError(f"weights are drawn for a Transformer, got {type(model).__name__}")
    name = [name for name in model.hook_names if name.endswith("attn.hook_pattern")][-1]
    arrays = (batch.tokens, batch.query_ids, batch.key_ids)
    inputs = [torch.from_numpy(x).to(model.device) for x in arrays]
    trace = Trace(name)
    model(*inputs, start=batch.start, stop=batch.stop, trace=trace)
    return trace[name]


@torch.no_grad()
def coupled_attention(
    model: Model, task: ArithmeticTask, coupling: Coupling, operands: Operands
) -> Coupled:
    """Weights of one problem, sorted by what a key is to the query.

    Args:
        model, task, coupling: of a run.
        operands: one problem.

    Raises:
        ValueError: see `attention_weights`.
    """
    batch = Batch.of(task.instances(operands), coupling)
    weights = attention_weights(model, batch)[0].double().cpu().numpy()
    answer = np.flatnonzero(batch.asked[0] < task.vocabulary.size)
    weights = weights[:, answer]
    encoding = model.config.encodings[-1]
    levels = encoding.levels_of_heads(model.config.heads)
    parts = _parts(batch)
    places: dict[tuple[int, int, int], Slot] = {}
    filled: list[tuple[int, int, tuple[int, int, int], int]] = []  # head, query, place, column
    for head, row, column in zip(*np.nonzero(weights), strict=True):
        level, query = levels[head], batch.start + answer[row]
        key_id = int(batch.key_ids[0, level, column])
        query_id = int(batch.query_ids[0, level, query])
        number, name = parts[column]
        if NO_ID in (key_id, query_id) or column < encoding.sinks:
            place, slot = (-1, 0, number), Slot(name, None)
        else:
            place = (1, key_id - query_id, number)
            slot = Slot(name, key_id - query_id)
        places[place] = slot
        filled.append((int(head), int(row), place, int(column)))
    order = sorted(places)
    drawn = np.zeros((len(weights), len(answer), len(order)))
    tokens = [["" for _ in order] for _ in answer]
    for head, row, place, column in filled:
        drawn[head, row, order.index(place)] += weights[head, row, column]
        tokens[row][order.index(place)] = task.vocabulary.token_text(int(batch.tokens[0, column]))
    text = task.vocabulary.token_text
    return Coupled(
        problem=task.problem_text(operands, 0),
        slots=tuple(places[place] for place in order),
        written=tuple(text(int(batch.targets[0, batch.start + i])) for i in answer),
        weights=drawn,
        tokens=tuple(tuple(row) for row in tokens),
        level=tuple(coupling.levels[level].name for level in levels),
    )


def _parts(batch: Batch) -> list[tuple[int, str]]:
    """Number and name of the segment of every column."""
    assert batch.instances is not None  # it was laid out from some
    names = batch.instances.segments.names
    numbers = segment_numbers(batch.instances)[0].tolist()
    return [(n, names[n]) if n != NO_ID else (-1, "") for n in numbers]
