"""A coupling as formulas and an instance as an aligned table, so that a person sees both."""

from __future__ import annotations

import numpy as np

from arithtf.tasks.base import Task
from arithtf.tasks.coupling import NO_ID, Coupling, Place
from arithtf.tasks.instances import Batch

SYMBOLS = {
    "left": "the token's index in its segment",
    "right": "that index from the right",
    "row": "the number of its row",
    "index": "its index in the instance",
    "row_stride": "ids from one row of the scratchpad to the next",
    "cell": "row * row_stride",
}
"""What the letters of `form_text` mean: the fields of `Place` but its offset."""


def form_text(place: Place) -> str:
    """An affine form as people write it: "2 right - 1"."""
    text = ""
    for name in SYMBOLS:
        factor = getattr(place, name)
        if factor:
            size = "" if abs(factor) == 1 else f"{abs(factor)} "
            text += (" - " if factor < 0 else " + ") + size + name
    if place.offset or not text:
        text += (" - " if place.offset < 0 else " + ") + str(abs(place.offset))
    return text.removeprefix(" + ").strip()


def symbols_text(coupling: Coupling) -> str:
    """What the names in a coupling's forms mean, those that occur; empty where all are numbers."""
    forms = [
        place
        for level in coupling.levels
        for side in (level.key, level.query)
        for place in side.values()
    ]
    used = [name for name in SYMBOLS if any(getattr(place, name) for place in forms)]
    return "; ".join(f"{name}: {SYMBOLS[name]}" for name in used)


def show(task: Task, coupling: Coupling, batch: Batch, i: int, *, padding: bool = False) -> str:
    """Instance i of a batch as text: a line each for tokens, ids per level and side, and targets.

    Args:
        task: the task the batch came from.
        coupling: the coupling it was laid out with; its level names head the lines.
        batch: arrays as `Batch` describes them.
        i: number of the instance.
        padding: show PAD columns too.

    Returns:
        Lines of equal columns; "." stands for no id and no target.

    Raises:
        ValueError: an instance or coupling the batch does not have.
    """
    instances, levels, width = batch.key_ids.shape
    if not 0 <= i < instances:
        raise ValueError(f"expected an instance below {instances}, got {i}")
    if levels != len(coupling.levels):
        raise ValueError(f"the batch has {levels} levels, the coupling {len(coupling.levels)}")
    vocabulary = task.vocabulary
    tokens = batch.tokens[i]
    # Columns to be decoded hold PAD but have ids: they are part of the instance.
    used = (tokens != vocabulary.pad) | (batch.key_ids[i] != NO_ID).any(axis=0)
    shown = [t for t in range(width) if padding or used[t]]

    def ids(row: object) -> list[str]:
        values = row[shown].tolist()  # type: ignore[index]
        return ["." if value == NO_ID else str(value) for value in values]

    rows = [("column", [str(t) for t in shown])]
    rows.append(("token", [vocabulary.token_text(int(tokens[t])) for t in shown]))
    for number, level in enumerate(coupling.levels):
        rows.append((f"{level.name}: is", ids(batch.key_ids[i, number])))
        rows.append((f"{level.name}: to come", ids(batch.query_ids[i, number])))
    ignore = np.iinfo(batch.targets.dtype).max
    targets = [int(batch.targets[i, t]) for t in shown]
    rows.append(("target", ["." if t == ignore else vocabulary.token_text(t) for t in targets]))
    head = max(len(name) for name, _ in rows)
    cell = max(len(text) for _, texts in rows for text in texts)
    return "\n".join(
        f"{name:<{head}}  " + " ".join(f"{text:>{cell}}" for text in texts) for name, texts in rows
    )
