"""What a training step is fed: a batch of instances, or local contexts that occur in some."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arithtf import _core
from arithtf.model import ContextSet, collect, local_inputs
from arithtf.recipes import Recipe
from arithtf.tasks import Address, ArithmeticTask, Batch, Draw, Operands


class Inputs(NamedTuple):
    """Tensors of one step, on the device.

    Args:
        tokens: uint8 [B, T].
        query_ids, key_ids: int32 [B or 1, L, T].
        targets: uint8 [B, Q], those of the columns start .. start + Q - 1, or IGNORE.
        start: the first column whose query counts.
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


def batches(
    recipe: Recipe, first: int, device: torch.device
) -> Iterator[tuple[Inputs, Inputs | None]]:
    """What the steps `first` .. steps learn from, one made ahead, and what they are measured on.

    The C++ core fills the next batch, holding no lock, while the current step runs. Steps are
    measured on what they learn from, or, if that is no instances, on those where metrics are due.
    """
    local = LocalContexts(recipe, device) if recipe.local else None

    def make(step: int) -> tuple[Inputs, Inputs | None]:
        if local is None:
            return instances(drawn(recipe, step)).to(device), None
        due = step == recipe.steps or step % recipe.log_every == 0
        return local.step(step), instances(drawn(recipe, step)).to(device) if due else None

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, first)
        for step in range(first, recipe.steps + 1):
            ready = ahead.result()
            if step < recipe.steps:
                ahead = pool.submit(make, step + 1)
            yield ready


def drawn(recipe: Recipe, step: int) -> Batch:
    """The batch of training problems at a step's address."""
    if recipe.problems:
        given = _given(recipe.arithmetic, recipe.problems)
        rows = Turns(recipe.seed, len(given)).take(step, recipe.batch)
        chosen = [given.problem(int(row)) for row in rows]
        operands = Operands.from_digits(chosen, arity=given.arity)
        return Batch.of(recipe.arithmetic.instances(operands), recipe.coupling)
    drawn_by = Draw(recipe.lengths, recipe.batch, pool=recipe.pool)
    return Batch.of(
        recipe.task.sample(Address(recipe.seed, "train", step), drawn_by), recipe.coupling
    )


@lru_cache(maxsize=4)
def _given(task: ArithmeticTask, problems: tuple[str, ...]) -> Operands:
    """Problems as a person writes them."""
    parsed = [task.parse(problem) for problem in problems]
    return Operands.from_digits(parsed, arity=len(parsed[0]))


class Turns:
    """Numbers 0 .. count - 1 in one random order after another.

    By Philox, like the data: the same on every machine.

    Args:
        seed: of the orders.
        count: of the numbers.
    """

    def __init__(self, seed: int, count: int) -> None:
        self.seed, self.count = seed, count
        self._kept: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def take(self, step: int, size: int) -> npt.NDArray[np.int64]:
        """The numbers of step 1, 2, ..., `size` a step."""
        first, last = (step - 1) * size, step * size
        parts = []
        while first < last:
            turn, at = divmod(first, self.count)
            parts.append(self._order(turn)[at : at + last - first])
            first += len(parts[-1])
        return np.concatenate(parts)

    def _order(self, turn: int) -> npt.NDArray[np.int64]:
        kept, order = self._kept
        if kept != turn:
            key = np.array([self.seed, turn], np.uint64)
            order = np.random.Generator(np.random.Philox(key=key)).permutation(self.count)
            self._kept = (turn, order)
        return order


def instances(batch: Batch) -> Inputs:
    """Whole instances; only columns whose query counts are computed.

    Raises:
        ValueError: no column of the batch has a target.
    """
    targets = batch.asked
    if (targets == np.iinfo(targets.dtype).max).all():
        raise ValueError(
            f"expected a target in some column {batch.start} .. {batch.stop - 1} of the batch, got "
            "none; let the task's sample set targets there, and `ahead` to 0 if they are the "
            "tokens themselves"
        )
    return Inputs(
        torch.from_numpy(batch.tokens),
        torch.from_numpy(batch.query_ids),
        torch.from_numpy(batch.key_ids),
        torch.from_numpy(targets),
        batch.start,
    )


class LocalContexts:
    """The distinct local contexts of a recipe's first batches, a training set by itself.

    For a model with one windowed attention block the logits of a column are a function of its local
    context. Problems repeat theirs many times, and some a thousand times as often as others; here
    each is there once, as an instance of its own with one target, so that rare ones are learnt as
    soon as frequent ones. Steps go through the whole set in one random order after another.

    Args:
        recipe: with `local` contexts a step.
        device: where the set is kept; steps only gather from it.

    Raises:
        ValueError: one context has two right answers.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.size, self.device = recipe.local, device
        collector = collected(recipe)
        if collector.conflicts():
            raise ValueError(
                f"recipe {recipe.name!r} trains on local contexts, but two problems show the same "
                "one and need different tokens; widen the windows, or set local=0"
            )
        found = ContextSet(**collector.contexts())
        vocabulary = recipe.task.vocabulary
        tokens, query_ids, key_ids = local_inputs(
            found,
            levels=recipe.model.levels,
            sinks=recipe.model.encoding.sinks,
            bos=vocabulary.bos,
            pad=vocabulary.pad,
        )
        targets = torch.from_numpy(found.target)[:, None]
        self.all = Inputs(
            tokens.to(device),
            query_ids.to(device),
            key_ids.to(device),
            targets.to(device),
            start=tokens.shape[1] - 1,
        )
        self._turns = Turns(recipe.seed, len(self))

    def __len__(self) -> int:
        """How many contexts there are."""
        return len(self.all.tokens)

    def step(self, step: int) -> Inputs:
        """What step 1, 2, ... learns from, by the seed and the step."""
        rows = torch.from_numpy(self._turns.take(step, self.size)).to(self.device)
        tokens, query_ids, key_ids, targets, start = self.all
        return Inputs(tokens[rows], query_ids, key_ids[rows], targets[rows], start)


def collected(recipe: Recipe) -> _core.ContextCollector:
    """The contexts that a recipe's first `local_batches` batches show."""
    encoding = recipe.model.encoding
    windows = [window for window in encoding.pairs() if window is not None]
    batches = (drawn(recipe, step) for step in range(1, recipe.local_batches + 1))
    return collect(batches, windows, encoding.sinks)
