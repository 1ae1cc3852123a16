"""A coupling as formulas and an instance as an aligned table, so that a person sees both."""

from __future__ import annotations

import numpy as np

from arithtf.tasks.base import Task
from arithtf.tasks.coupling import NO_ID, Coupling, Place, segment_numbers
from arithtf.tasks.instances import Batch, Instances
from arithtf.tasks.vocabulary import Vocabulary

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


def segments_text(task: Task, instances: Instances, i: int) -> str:
    """The tokens of instance i by segment, in order: "key 7, value 4, key 3, value 1, asked 7".

    Args:
        task: the task they came from.
        instances: of any task.
        i: number of the instance.
    """
    parts: list[tuple[int, list[str]]] = []
    for number, token in zip(segment_numbers(instances)[i], instances.tokens[i], strict=True):
        if number == NO_ID:
            continue
        if not parts or parts[-1][0] != number:
            parts.append((int(number), []))
        parts[-1][1].append(_word(task.vocabulary, token))
    names = instances.segments.names
    return ", ".join(f"{names[number]} {' '.join(words)}" for number, words in parts)


def _word(vocabulary: Vocabulary, token: object) -> str:
    """A token as text; the factors of one that has several with "/" between them."""
    numbers = np.atleast_1d(np.asarray(token)).tolist()
    words = zip(vocabulary.factors, numbers, strict=True)
    return "/".join(factor.token_text(number) for factor, number in words)


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
    used = (batch.key_ids[i] != NO_ID).any(axis=0)
    if batch.instances is not None:
        used |= segment_numbers(batch.instances)[i] != NO_ID
    else:
        used |= tokens != vocabulary.pad
    shown = [t for t in range(width) if padding or used[t]]

    def ids(row: object) -> list[str]:
        values = row[shown].tolist()  # type: ignore[index]
        return ["." if value == NO_ID else str(value) for value in values]

    rows = [("column", [str(t) for t in shown])]
    rows.append(("token", [_word(vocabulary, tokens[t]) for t in shown]))
    for number, level in enumerate(coupling.levels):
        rows.append((f"{level.name}: is", ids(batch.key_ids[i, number])))
        rows.append((f"{level.name}: to come", ids(batch.query_ids[i, number])))
    ignore = np.iinfo(batch.targets.dtype).max
    asked = [(batch.targets[i, t], (batch.targets[i, t] == ignore).any()) for t in shown]
    rows.append(("target", ["." if no else _word(vocabulary, t) for t, no in asked]))
    head = max(len(name) for name, _ in rows)
    cell = max(len(text) for _, texts in rows for text in texts)
    return "\n".join(
        f"{name:<{head}}  " + " ".join(f"{text:>{cell}}" for text in texts) for name, texts in rows
    )
