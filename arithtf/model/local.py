"""Local contexts: collected from batches, and as inputs of the model.

A model with one windowed attention block predicts from the query token and the visible
(level, id difference, token) triples alone. Here each such context is laid out as an instance of
its own, [sinks, visible tokens, query token], and goes through the model's ordinary forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arithtf import _core
from arithtf.attention import NO_ID
from arithtf.model.base import Model
from arithtf.tasks import Batch
from arithtf.threads import in_parallel


class ContextSet(NamedTuple):
    """Unique local contexts. Entries of context i are [offsets[i], offsets[i + 1]).

    Args:
        query_token: uint8 [N].
        target: uint8 [N], the right next token (at the first occurrence).
        offsets: int64 [N + 1].
        level: uint8 [M].
        difference: int32 [M], key id minus query id.
        token: uint8 [M]; a context's entries are sorted by (level, difference, token).
        instance: int64 [N], where the context occurred first.
        column: int64 [N], its column in the batch that held the instance.
        count: int64 [N], occurrences.
    """

    query_token: NDArray[np.uint8]
    target: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    level: NDArray[np.uint8]
    difference: NDArray[np.int32]
    token: NDArray[np.uint8]
    instance: NDArray[np.int64]
    column: NDArray[np.int64]
    count: NDArray[np.int64]  # type: ignore[assignment]  # hides tuple.count

    def key(
        self,
    ) -> tuple[
        NDArray[np.uint8],
        NDArray[np.int64],
        NDArray[np.uint8],
        NDArray[np.int32],
        NDArray[np.uint8],
    ]:
        """The arrays that make up the contexts, as a ContextTable takes them."""
        return self.query_token, self.offsets, self.level, self.difference, self.token

    def entries(self, i: int) -> list[tuple[int, int, int]]:
        """The (level, difference, token) triples of context i."""
        part = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        columns = (self.level[part], self.difference[part], self.token[part])
        return list(zip(*(column.tolist() for column in columns), strict=True))


def collect(
    batches: Iterable[Batch], windows: Sequence[tuple[int, int]], sinks: int = 0
) -> _core.ContextCollector:
    """Collect the unique local contexts of a stream of batches, in one pass and bounded memory.

    Args:
        batches: batches of instances, which are numbered in order of arrival.
        windows: (back, ahead) of every level.
        sinks: number of leading columns that every query sees and that are no part of a context.

    Returns:
        A collector: `.contexts()`, `.conflicts()`, `.missing(other)`, `len()`.

    Raises:
        ValueError: shapes do not fit, or the tokens of the sinks differ between instances.
    """
    collector = _core.ContextCollector(len(windows), list(windows), sinks)
    first = 0
    for batch in batches:
        collector.add(batch.tokens, batch.query_ids, batch.key_ids, batch.targets, first)
        first += len(batch.tokens)
    return collector


def local_inputs(
    contexts: ContextSet, *, levels: int, sinks: int, bos: int, pad: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Each context as one instance.

    Args:
        contexts: N contexts with at most W visible tokens each.
        levels: id systems L of the model.
        sinks: leading tokens that every query sees; they are `bos`.
        bos, pad: the vocabulary's tokens.

    Returns:
        tokens uint8 [N, T], query_ids int32 [1, L, T] and key_ids int32 [N, L, T] with
        T = sinks + W + 1. The query is the last column: its ids are 0, so that a key's id is its
        difference. A token visible on two levels stands in two columns.
    """
    count = len(contexts.query_token)
    visible = np.diff(contexts.offsets)
    width = int(visible.max(initial=0))
    tokens = np.full((count, sinks + width + 1), pad, np.uint8)
    tokens[:, :sinks] = bos
    tokens[:, -1] = contexts.query_token
    key_ids = np.full((count, levels, tokens.shape[1]), NO_ID, np.int32)
    row = np.repeat(np.arange(count), visible)
    column = sinks + np.arange(len(contexts.token)) - np.repeat(contexts.offsets[:-1], visible)
    tokens[row, column] = contexts.token
    key_ids[row, contexts.level, column] = contexts.difference
    query_ids = np.zeros((1, levels, tokens.shape[1]), np.int32)
    return torch.from_numpy(tokens), torch.from_numpy(query_ids), torch.from_numpy(key_ids)


def context_logits(
    model: Model,
    contexts: ContextSet,
    *,
    bos: int,
    pad: int,
    impl: str = "auto",
    chunk: int = 2048,
) -> Tensor:
    """Next-token logits [N, V] of every context, by the model's ordinary forward.

    Args:
        model: a transformer with a single attention block.
        contexts: N contexts.
        bos, pad: the vocabulary's tokens.
        impl: implementation of attention.
        chunk: contexts a forward pass.
    """
    inputs = local_inputs(
        contexts,
        levels=model.config.levels,
        sinks=model.config.encoding.sinks,
        bos=bos,
        pad=pad,
    )
    tokens, query_ids, key_ids = (t.to(model.device) for t in inputs)
    last = tokens.shape[1] - 1

    @torch.inference_mode()  # here, as it holds for one thread only
    def work(part: slice) -> Tensor:
        given = (tokens[part], query_ids, key_ids[part])
        return model(*given, start=last, stop=last + 1, impl=impl)[:, 0]

    parts = [slice(i, i + chunk) for i in range(0, len(tokens), chunk)]
    if not parts:
        return torch.empty(0, sum(model.config.factors))
    return torch.cat(list(in_parallel(work, parts, model.device)))
