"""Local contexts as inputs of the model.

A model with one windowed attention block predicts from the query token and the visible
(level, id difference, token) triples alone. Here each such context is laid out as an instance of
its own, [sinks, visible tokens, query token], and goes through the model's ordinary forward.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arithtf.attention import NO_ID
from arithtf.model.base import Model
from arithtf.threads import in_parallel


class Contexts(Protocol):
    """The arrays of a set of N contexts with M visible tokens in all (`certify.ContextSet`)."""

    @property
    def query_token(self) -> NDArray[np.uint8]: ...

    @property
    def offsets(self) -> NDArray[np.int64]: ...

    @property
    def level(self) -> NDArray[np.uint8]: ...

    @property
    def difference(self) -> NDArray[np.int32]: ...

    @property
    def token(self) -> NDArray[np.uint8]: ...


def local_inputs(
    contexts: Contexts, *, levels: int, sinks: int, bos: int, pad: int
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
    contexts: Contexts,
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
