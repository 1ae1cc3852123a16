"""Greedy decoding: with a cache of keys and values for any model, by a table for local ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arithtf import _core
from arithtf.attention import KeyOrder, Positions, order_keys
from arithtf.attention.triton import step_obstacle
from arithtf.evaluate.local import is_local, windows_of
from arithtf.model import Model, Transformer, context_logits
from arithtf.model.local import Contexts
from arithtf.model.transformer import Attention
from arithtf.tasks import NO_ID, ArithmeticTask, Batch, Coupling, Vocabulary

Bytes = npt.NDArray[np.uint8]


@torch.inference_mode()
def greedy(model: Model, batch: Batch, *, eos: int, impl: str = "auto") -> Bytes:
    """Greedy decoding, one column a step, with keys and values cached per attention block.

    A step looks at all earlier columns, or, where every level has a window, at those in reach.

    Args:
        model: any model; one of your own reads all columns anew in every step.
        batch: B instances from `instances(..., solved=False)`.
        eos: token after which an instance is over.
        impl: implementation of attention, see `arithtf.attention`.

    Returns:
        Answer columns [B, T - 1 - start], EOS included; what comes after EOS is as in the batch.
    """
    tokens, query_ids, key_ids = (
        torch.from_numpy(x).to(model.device)
        for x in (batch.tokens.copy(), batch.query_ids, batch.key_ids)
    )
    decoder: _CachedDecoder | _Reader
    if isinstance(model, Transformer):
        decoder = _CachedDecoder(model, query_ids, key_ids, tokens.shape, impl)
    else:
        decoder = _Reader(model, query_ids, key_ids, impl)
    start = batch.start
    logits = decoder.prompt(tokens[:, : start + 1])
    over = torch.zeros(len(tokens), dtype=torch.bool, device=model.device)
    for column in range(start + 1, tokens.shape[1]):
        following = logits.argmax(-1).to(torch.uint8)
        tokens[:, column] = torch.where(over, tokens[:, column], following)
        over |= following == eos
        if column == tokens.shape[1] - 1 or bool(over.all()):
            break
        logits = decoder.step(following[:, None], column)
    return tokens[:, start + 1 :].cpu().numpy()


class _Reader:
    """A model that keeps nothing: every step reads all columns again.

    Args:
        model: the model.
        query_ids, key_ids: int32 [B or 1, L, T] of all columns, those to come included.
        impl: implementation of attention.
    """

    def __init__(self, model: Model, query_ids: Tensor, key_ids: Tensor, impl: str) -> None:
        self.model, self.query_ids, self.key_ids, self.impl = model, query_ids, key_ids, impl

    def prompt(self, tokens: Tensor) -> Tensor:
        """Read the columns of tokens [B, Q], the first there are -> logits [B, V] of the last."""
        self.tokens, end = tokens, tokens.shape[1]
        ids = (self.query_ids[..., :end], self.key_ids[..., :end])
        logits: Tensor = self.model(tokens, *ids, start=end - 1, impl=self.impl)
        return logits[:, -1]

    def step(self, tokens: Tensor, column: int) -> Tensor:
        """Read one more column, tokens [B, 1] -> logits [B, V]."""
        return self.prompt(torch.cat([self.tokens[:, :column], tokens], 1))


class _CachedDecoder:
    """A model with the keys and values of the columns it has read.

    Args:
        model: the model.
        query_ids, key_ids: int32 [B or 1, L, T] of all columns, those to come included.
        shape: (B, T).
        impl: implementation of attention.
    """

    def __init__(
        self,
        model: Transformer,
        query_ids: Tensor,
        key_ids: Tensor,
        shape: torch.Size,
        impl: str,
    ) -> None:
        self.model, self.impl = model, impl
        self.query_ids, self.key_ids = query_ids, key_ids
        attention = [i for i, block in enumerate(model.blocks) if isinstance(block, Attention)]
        self.last = attention[-1]
        size = (*shape, model.config.width)
        weight = model.embedding.weight
        self.keys = {i: weight.new_empty(size) for i in attention}
        self.values = {i: weight.new_empty(size) for i in attention}
        self.reach: _Reach | None = None
        self.order: KeyOrder | None = None
        self.columns = torch.arange(shape[1], dtype=torch.int32, device=model.device)
        if self._steps_fused():
            windows = model.config.encoding.windows
            self.order = order_keys(Positions(key_ids, key_ids, windows=windows))
        elif model.config.encoding.finite:
            self.reach = _Reach(model, query_ids, key_ids, shape)

    def _steps_fused(self) -> bool:
        """Whether the kernel for steps is to be used: asked for, or what "auto" takes."""
        if self.impl not in ("auto", "triton", "triton-ieee"):
            return False
        weight, config = self.model.embedding.weight, self.model.config
        head = weight.new_empty(1, config.heads, 1, config.width // config.heads)
        block = self.model.blocks[self.last]
        assert isinstance(block, Attention)
        mechanism = block.mechanism()
        able = step_obstacle(head, mechanism) is None
        return able and (self.impl != "auto" or weight.device.type == "cuda")

    def prompt(self, tokens: Tensor) -> Tensor:
        """Read the columns of tokens [B, Q], the first there are -> logits [B, V] of the last."""
        end = tokens.shape[1]
        x = self._embed(tokens, 0)
        for i, block in enumerate(self.model.blocks):
            if not isinstance(block, Attention):
                x = x + block(x)
                continue
            query = self._project(i, block, x, 0)
            first = end - 1 if i == self.last else 0
            x = x[:, first:] + block.attend(
                query[:, first:],
                self.keys[i][:, :end],
                self.values[i][:, :end],
                self.query_ids[..., first:end],
                self.key_ids[..., :end],
                first,
                self.impl,
            )
        return self._logits(x)

    def step(self, tokens: Tensor, column: int) -> Tensor:
        """Read one more column, tokens [B, 1] -> logits [B, V]."""
        x = self._embed(tokens, column)
        key_ids = self.key_ids[..., : column + 1]
        seen: Tensor | None = None
        if self.reach is not None:
            seen, key_ids = self.reach.columns(column)
        for i, block in enumerate(self.model.blocks):
            if not isinstance(block, Attention):
                x = x + block(x)
                continue
            query = self._project(i, block, x, column)
            keys, values = self.keys[i], self.values[i]
            if self.order is not None:
                at, ids = self.columns[column : column + 1], self.query_ids
                ids = ids[..., column : column + 1]
                x = x + block.attend_step(
                    query, keys, values, ids, self.key_ids, self.order, at, self.impl
                )
                continue
            if seen is None:
                keys, values = keys[:, : column + 1], values[:, : column + 1]
            else:
                index = seen[..., None].expand(-1, -1, keys.shape[-1])
                keys, values = keys.gather(1, index), values.gather(1, index)
            ids = self.query_ids[..., column : column + 1]
            first = keys.shape[1] - 1
            x = x + block.attend(query, keys, values, ids, key_ids, first, self.impl)
        return self._logits(x)

    def _embed(self, tokens: Tensor, first: int) -> Tensor:
        x: Tensor = self.model.embedding(tokens.int())
        if self.model.positions is not None:
            read = self.model.config.encoding.embedded(self.key_ids)
            x = x + self.model.positions(read[..., first : first + tokens.shape[1]])
        return x

    def _project(self, i: int, block: Attention, x: Tensor, first: int) -> Tensor:
        """Queries of the columns of x; their keys and values go into the cache."""
        normed = block.norm(x)
        end = first + x.shape[1]
        self.keys[i][:, first:end] = block.key(normed)
        self.values[i][:, first:end] = block.value(normed)
        query: Tensor = block.query(normed)
        return query

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model.unembedding(self.model.norm(x[:, -1]))
        return logits


class _Reach:
    """The few cached columns that one query can see, where every level has a window.

    Args:
        model: for its windows and sinks.
        query_ids, key_ids: int32 [B or 1, L, T].
        shape: (B, T).
    """

    def __init__(self, model: Model, query_ids: Tensor, key_ids: Tensor, shape: torch.Size) -> None:
        levels = model.config.levels
        rows, columns = shape
        self.query_ids = query_ids.long().expand(rows, levels, columns)
        ids = key_ids.long().expand(rows, levels, columns)
        self.sorted_ids, self.order = ids.sort(dim=-1, stable=True)
        self.windows, self.sinks = windows_of(model), model.config.encoding.sinks

    def columns(self, column: int) -> tuple[Tensor, Tensor]:
        """What the query at `column` may see.

        A column within reach on two levels stands there twice, with an id on one level each.

        Returns:
            Columns [B, W], the sinks first and `column` last, and their ids int32 [B, L, W].
        """
        rows, levels, _ = self.order.shape
        device = self.order.device
        seen = [torch.arange(min(self.sinks, column), device=device).expand(rows, -1)]
        ids = [seen[0].new_full((rows, levels, seen[0].shape[1]), NO_ID)]
        for level, (back, ahead) in enumerate(self.windows):
            query = self.query_ids[:, level, column, None]
            ordered, order = self.sorted_ids[:, level], self.order[:, level]
            begin = torch.searchsorted(ordered.contiguous(), query - back)
            end = torch.searchsorted(ordered.contiguous(), query + ahead, right=True)
            end = torch.where(query == NO_ID, begin, end)
            index = begin + torch.arange(int((end - begin).max()), device=device)
            inside = index < end
            index = index.clamp(max=order.shape[1] - 1)
            found = order.gather(1, index)
            inside &= (found <= column) & (found >= self.sinks)
            seen.append(torch.where(inside, found, column))
            here = seen[0].new_full((rows, levels, index.shape[1]), NO_ID)
            here[:, level] = torch.where(inside, ordered.gather(1, index), NO_ID)
            ids.append(here)
        # The query's own column, unseen, marks where the query stands among the keys.
        seen.append(torch.full((rows, 1), column, device=device))
        ids.append(seen[0].new_full((rows, levels, 1), NO_ID))
        return torch.cat(seen, 1), torch.cat(ids, 2).int()


class MemoDecoder:
    """Greedy decoding of a local model by a table of its predictions, asked for once each.

    With one windowed attention block a prediction is a function of the local context, so decoding
    needs the model once per context and not once per token. The result is that of `greedy`, up to
    the rounding of logits that depends on the shape of a pass.

    Args:
        model: a local model.
        task, coupling: of its recipe.
        impl: implementation of attention, see `arithtf.attention`.

    Raises:
        ValueError: the model is not local.
    """

    def __init__(
        self, model: Model, task: ArithmeticTask, coupling: Coupling, *, impl: str = "auto"
    ) -> None:
        if not is_local(model):
            raise ValueError(
                "expected a model whose predictions are functions of local contexts (one windowed "
                "attention block, id differences only, at most one sink); decode with `greedy`"
            )
        self.model, self.task, self.coupling, self.impl = model, task, coupling, impl
        self.vocabulary: Vocabulary = task.vocabulary
        self.windows = windows_of(model)
        self.sinks = model.config.encoding.sinks
        self.table = _core.ContextTable(list(self.windows), self.sinks)

    def prefill(self) -> int:
        """Ask for every context of any right solution beforehand; returns how many there are.

        Raises:
            ValueError: the task cannot enumerate its contexts at these windows.
        """
        # Certificates import the verifier: here, so that either room can be imported first.
        from arithtf.certify.contexts import enumerate_contexts

        contexts, _ = enumerate_contexts(self.task, self.coupling, self.windows, self.sinks)
        self.table.insert(*contexts.key(), self._ask(contexts))
        return len(contexts.query_token)

    def decode(self, batch: Batch) -> Bytes:
        """As `greedy`, for instances of this task and coupling."""
        from arithtf.certify.contexts import decode_by_table

        work = batch._replace(tokens=batch.tokens.copy())
        decode_by_table(
            self.table, work, self.vocabulary.eos, self._ask, threads=torch.get_num_threads()
        )
        return work.tokens[:, batch.start + 1 :]

    def _ask(self, contexts: Contexts) -> Bytes:
        logits = context_logits(
            self.model,
            contexts,
            bos=self.vocabulary.bos,
            pad=self.vocabulary.pad,
            impl=self.impl,
        )
        return logits.argmax(-1).to(torch.uint8).cpu().numpy()
