"""Greedy decoding: with a cache of keys and values for any model, by a table for local ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch

from arithtf import _core
from arithtf.certify.contexts import enumerate_contexts
from arithtf.encodings.windows import finite_windows
from arithtf.evaluate.groups import TOKENS, batches
from arithtf.evaluate.local import is_local
from arithtf.model import Cache, ContextSet, Model, Transformer, context_logits
from arithtf.tasks import ArithmeticTask, Batch, Coupling, Operands, Vocabulary

Bytes = npt.NDArray[np.uint8]

MANY = 1 << 14
"""Digits of problems from which it pays to ask for every context beforehand."""

COLUMNS = 1 << 16
"""Columns decoded together where a cache of keys and values is kept for each."""


@torch.inference_mode()
def greedy(model: Model, batch: Batch, *, eos: int, impl: str = "auto") -> Bytes:
    """Greedy decoding, one column a step, with keys and values cached per attention block.

    A step looks at all earlier columns, or, where every level has a window, at those in reach.

    Args:
        model: any causal model; one of your own reads all columns anew in every step.
        batch: B instances from `instances(..., solved=False)`.
        eos: token after which an instance is over.
        impl: implementation of attention, see `arithtf.attention`.

    Returns:
        Answer columns [B, T - 1 - start], EOS included; what comes after EOS is as in the batch.
    """
    tokens, query_ids, key_ids = (
        torch.from_numpy(x).int().to(model.device)
        for x in (batch.tokens, batch.query_ids, batch.key_ids)
    )
    kept = {"cache": Cache()} if isinstance(model, Transformer) else {}
    over = torch.zeros(len(tokens), dtype=torch.bool, device=model.device)
    for column in range(batch.start, tokens.shape[1] - 1):
        # What a cache holds is not read again, but it is given the ids of all columns.
        read = slice(column if kept and column > batch.start else 0, column + 1)
        ids = (query_ids, key_ids) if kept else (query_ids[..., read], key_ids[..., read])
        logits = model(tokens[:, read], *ids, start=column, impl=impl, **kept)
        following = logits[:, -1].argmax(-1)
        tokens[:, column + 1] = torch.where(over, tokens[:, column + 1], following)
        over |= following == eos
        if bool(over.all()):
            break
    return tokens[:, batch.start + 1 :].cpu().numpy().astype(batch.tokens.dtype)


def decode_by_table(
    table: _core.ContextTable,
    batch: Batch,
    eos: int,
    ask: Callable[[ContextSet], Bytes],
    threads: int = 0,
) -> npt.NDArray[np.bool_]:
    """Greedy decoding that asks the model once for every local context it has not seen before.

    The result is the sequential greedy one, token for token. All rounds together cost time linear
    in tokens; a table filled with every context beforehand makes it one round.

    Args:
        table: next tokens of contexts, of this model; grows.
        batch: from `instances(..., solved=False)`; its tokens are written from column start + 1 on.
        eos: token at which an instance ends.
        ask: contexts [N] -> the model's next tokens uint8 [N].
        threads: 0 chooses by size.

    Returns:
        bool [B]: the instance ended with EOS (otherwise its columns were used up).

    Raises:
        ValueError: shapes do not fit, or the table holds a context with another next token.
    """
    tokens = batch.tokens
    decoder = _core.MemoDecoder(
        table, tokens, batch.query_ids, batch.key_ids, batch.start, eos, threads
    )
    while True:
        finished, arrays = decoder.run(threads)
        if finished.all():
            ended: npt.NDArray[np.bool_] = (
                tokens[np.arange(len(tokens)), decoder.columns] == eos
            ) & (decoder.columns > batch.start)
            return ended
        missing = ContextSet(**arrays)
        table.insert(*missing.key(), ask(missing))


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
        self.sinks = model.config.encoding.sinks
        self.windows = finite_windows(model.config.encoding.windows, coupling.levels)
        self.table = _core.ContextTable(self.windows, self.sinks)

    def prefill(self) -> int:
        """Ask for every context of any right solution beforehand; returns how many there are.

        Raises:
            ValueError: the task cannot enumerate its contexts at these windows.
        """
        found = enumerate_contexts(self.task, self.coupling, self.windows, self.sinks)
        contexts = found.contexts
        self.table.insert(*contexts.key(), self._ask(contexts))
        return len(contexts.query_token)

    def decode(self, batch: Batch) -> Bytes:
        """As `greedy`, for instances of this task and coupling."""
        work = batch._replace(tokens=batch.tokens.copy())
        decode_by_table(
            self.table, work, self.vocabulary.eos, self._ask, threads=torch.get_num_threads()
        )
        return work.tokens[:, batch.start + 1 :]

    def _ask(self, contexts: ContextSet) -> Bytes:
        logits = context_logits(
            self.model,
            contexts,
            bos=self.vocabulary.bos,
            pad=self.vocabulary.pad,
            impl=self.impl,
        )
        return logits.argmax(-1).to(torch.uint8).cpu().numpy()


class Decoder:
    """Greedy decoding of problems of any lengths: by a table where the model is local.

    Args:
        model: the model.
        task, coupling: of its recipe.
        impl: implementation of attention, see `arithtf.attention`.
    """

    def __init__(
        self, model: Model, task: ArithmeticTask, coupling: Coupling, *, impl: str = "auto"
    ) -> None:
        self.model, self.task, self.coupling, self.impl = model, task, coupling, impl
        self._memo: MemoDecoder | None = None
        if is_local(model):
            self._memo = MemoDecoder(model, task, coupling, impl=impl)
        self._prefilled = False

    def __call__(self, operands: Operands) -> list[Bytes]:
        """Answer tokens of problems, each as long as its operands allow an answer to be.

        Args:
            operands: B problems.

        Returns:
            B arrays, least significant digit first; EOS included where the model writes it.
        """
        answers: list[Bytes] = [np.zeros(0, np.uint8)] * len(operands)
        if self._memo is not None and not self._prefilled and operands.digits.size >= MANY:
            self._prefilled = True
            with suppress(ValueError):  # contexts that cannot be enumerated are asked for as met
                self._memo.prefill()
        most = self.task.answer_room(operands)
        columns = COLUMNS if self._memo is None else TOKENS
        for chosen, batch in batches(self.task, self.coupling, operands, columns, solved=False):
            if self._memo is not None:
                tokens = self._memo.decode(batch)
            else:
                eos = self.task.vocabulary.eos
                tokens = greedy(self.model, batch, eos=eos, impl=self.impl)
            for row, i in enumerate(chosen):
                # What a shorter problem wrote beyond its own columns is not part of its answer:
                # answers must not depend on the company a problem is solved in.
                answers[i] = tokens[row, : most[i]]
        return answers
