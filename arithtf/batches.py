"""What a training step is fed: a batch of instances, or the local contexts that occur in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arithtf import _core
from arithtf.model import local_inputs
from arithtf.recipes import Recipe
from arithtf.tasks import Batch


class Inputs(NamedTuple):
    """Tensors of one step, on the device.

    Args:
        tokens: uint8 [B, T].
        query_ids, key_ids: int32 [B or 1, L, T].
        targets: uint8 [B, Q], next tokens of the columns start .. start + Q - 1, or IGNORE.
        start: the first column whose next token counts.
    """

    tokens: Tensor
    query_ids: Tensor
    key_ids: Tensor
    targets: Tensor
    start: int

    def to(self, device: torch.device) -> Inputs:
        """The same on a device, copied without waiting for it."""
        if device.type != "cuda":
            return self
        tokens, query_ids, key_ids, targets = (
            x.pin_memory().to(device, non_blocking=True) for x in self[:4]
        )
        return Inputs(tokens, query_ids, key_ids, targets, self.start)


def instances(batch: Batch) -> Inputs:
    """Whole instances; only columns whose next token counts are computed."""
    targets = batch.targets[:, batch.start : -1]
    return Inputs(
        torch.from_numpy(batch.tokens),
        torch.from_numpy(batch.query_ids),
        torch.from_numpy(batch.key_ids),
        torch.from_numpy(targets),
        batch.start,
    )


def contexts(recipe: Recipe, batch: Batch, step: int) -> Inputs:
    """Distinct local contexts of a batch, each as an instance of its own with one target.

    For a model with one windowed attention block the logits of a column are a function of its local
    context. Long instances repeat theirs many times; here each is computed once, and counts once,
    so that rare ones are learnt as soon as frequent ones. Of more than `recipe.local` contexts that
    many are drawn, by the seed and the step.

    Raises:
        ValueError: one context has two right answers in this batch.
    """
    encoding = recipe.model.encoding
    windows = [window for window in encoding.pairs() if window is not None]
    collector = _core.ContextCollector(len(windows), windows, encoding.sinks)
    collector.add(batch.tokens, batch.query_ids, batch.key_ids, batch.targets, 0)
    if collector.conflicts():
        raise ValueError(
            f"recipe {recipe.name!r} trains on local contexts, but two problems of a batch show "
            "the same one and need different tokens; widen the windows, or set local=0"
        )
    found = _some(collector.contexts(), recipe.local, (recipe.seed, step))
    vocabulary = recipe.task.vocabulary
    tokens, query_ids, key_ids = local_inputs(
        found, levels=recipe.model.levels, sinks=encoding.sinks, bos=vocabulary.bos,
        pad=vocabulary.pad,
    )  # fmt: skip
    targets = torch.from_numpy(found.target)[:, None]
    return Inputs(tokens, query_ids, key_ids, targets, tokens.shape[1] - 1)


class _Found(NamedTuple):
    """What `local_inputs` takes of contexts, and their targets."""

    query_token: npt.NDArray[np.uint8]
    target: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    level: npt.NDArray[np.uint8]
    difference: npt.NDArray[np.int32]
    token: npt.NDArray[np.uint8]


def _some(
    arrays: dict[str, npt.NDArray[np.generic]], most: int, address: tuple[int, int]
) -> _Found:
    """At most so many of the contexts."""
    found = _Found(*(arrays[name] for name in _Found._fields))  # type: ignore[arg-type]
    count = len(found.query_token)
    if count <= most:
        return found
    # Philox by key, like the data: the same choice on every machine.
    draw = np.random.Generator(np.random.Philox(key=np.array(address, np.uint64)))
    chosen = np.sort(draw.permutation(count)[:most])
    sizes = np.diff(found.offsets)[chosen]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    entries = np.arange(offsets[-1]) + np.repeat(found.offsets[chosen] - offsets[:-1], sizes)
    return _Found(
        found.query_token[chosen], found.target[chosen], offsets, found.level[entries],
        found.difference[entries], found.token[entries],
    )  # fmt: skip
