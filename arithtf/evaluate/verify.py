"""One-pass verification: is the greedy answer exact? Streamed in bounded memory.

A teacher-forced pass in which every target is the argmax is the same event as greedy decoding
giving the exact answer: up to the first wrong token both see the same columns. So exact match
costs one forward pass. The first wrong place is the greedy decoder's too; the number of wrong
tokens and the margins behind it are those of the teacher-forced pass.

A windowed model needs only a few keys per query. So a long instance is cut into chunks of query
columns, and each chunk becomes a small instance of its own: the sinks, the earlier columns whose
ids lie in reach of the chunk on some level, and the chunk's columns, in their old order. What is
left out is invisible to every query of the chunk, so nothing changes but the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from arithtf.encodings import Encoding
from arithtf.evaluate.groups import batches
from arithtf.evaluate.local import is_windowed
from arithtf.model import Model, Transformer
from arithtf.tasks import NO_ID, ArithmeticTask, Batch, Coupling, Operands
from arithtf.tasks.instances import Tokens
from arithtf.threads import in_parallel

CHUNK = 4096
"""Query columns of a forward pass where attention is linear: small enough for the caches."""

DENSE_CHUNK = 1024
"""The same where attention stores all scores of its queries and keys."""

BLOCK = 2048
"""Columns whose smallest and largest id are noted, to find the keys in reach of a chunk."""

MEMORY = 4 << 30
"""Bytes that one forward pass of a model without windows may take."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one pass over B instances says.

    Args:
        exact: bool [B], every answer token (EOS included) is the argmax.
        tokens: int64 [B], answer tokens, EOS included.
        wrong: int64 [B], how many of them are not the argmax.
        first_wrong: int64 [B], the place in the answer of the first of those, -1 if exact.
        margin: float32 [B], the smallest of (logit of the right token - largest other logit).
    """

    exact: npt.NDArray[np.bool_]
    tokens: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    first_wrong: npt.NDArray[np.int64]
    margin: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.exact)

    @classmethod
    def join(cls, parts: Sequence[Verdict], order: npt.NDArray[np.int64] | None = None) -> Verdict:
        """Several verdicts as one; entry i of the joined ones goes to place order[i]."""
        joined = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        if order is not None:
            back = np.argsort(order)
            joined = {name: array[back] for name, array in joined.items()}
        return cls(**joined)

    def then(self, later: Verdict) -> Verdict:
        """The verdict on answers of which `later` judged what comes after this part."""
        return Verdict(
            self.exact & later.exact,
            self.tokens + later.tokens,
            self.wrong + later.wrong,
            np.where(self.exact, later.first_wrong, self.first_wrong),
            np.minimum(self.margin, later.margin),
        )

    def __getitem__(self, part: slice) -> Verdict:
        """That on some of the instances."""
        return Verdict(**{name: array[part] for name, array in vars(self).items()})


def verify(model: Model, batch: Batch, *, chunk: int | None = None, impl: str = "auto") -> Verdict:
    """Verify the solved instances of a batch.

    Args:
        model: any transformer; windowed ones with one attention block are streamed.
        batch: B instances with targets.
        chunk: query columns of a forward pass; None chooses.
        impl: implementation of attention, see `arithtf.attention`.

    Raises:
        ValueError: a chunk below 1; a model that cannot be streamed would need more than MEMORY
            for one instance.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"expected chunk >= 1 query columns, got {chunk}")
    dense = _is_dense(model, impl)
    streamed = is_windowed(model)
    if not streamed:
        _check_memory(model, batch, dense)
    jobs = _jobs(batch, chunk or (DENSE_CHUNK if dense else CHUNK), streamed=streamed, dense=dense)
    reach: dict[int, _Reach] = {}
    for job in jobs:
        if job.chunked and job.rows.start not in reach:
            ids = batch.key_ids[job.rows.start % len(batch.key_ids)]
            reach[job.rows.start] = _Reach(ids, model.config.encoding)

    def work(job: _Job) -> Verdict:
        arrays, start = _inputs(batch, job, reach.get(job.rows.start))
        inputs = [torch.from_numpy(np.ascontiguousarray(x)).to(model.device) for x in arrays]
        stop = start + job.columns.stop - job.columns.start
        with torch.inference_mode():
            logits = model(*inputs, start=start, stop=stop, impl=impl)
            return _judge(
                logits, batch.targets[job.rows, job.columns], job.columns.start - batch.start
            )

    found: dict[int, Verdict] = {}
    for job, part in zip(jobs, in_parallel(work, jobs, model.device), strict=True):
        row = job.rows.start
        found[row] = found[row].then(part) if row in found else part
    return Verdict.join(list(found.values()))


def verify_operands(
    model: Model,
    task: ArithmeticTask,
    coupling: Coupling,
    operands: Operands,
    *,
    chunk: int | None = None,
    impl: str = "auto",
) -> Verdict:
    """Verify problems of any lengths, laid out in groups of similar length.

    Args:
        model: the model.
        task, coupling: of its recipe.
        operands: B problems.
        chunk, impl: see `verify`.

    Returns:
        The verdict, in the order of the problems.

    Raises:
        ValueError: no problems; see `verify`.
    """
    if len(operands) == 0:
        raise ValueError("expected at least one problem, got none")
    parts, order = [], []
    for chosen, batch in batches(task, coupling, operands):
        parts.append(verify(model, batch, chunk=chunk, impl=impl))
        order.append(chosen)
    return Verdict.join(parts, np.concatenate(order))


class _Job(NamedTuple):
    """One forward pass: query columns of some rows; `chunked` if not all those that count."""

    rows: slice
    columns: slice
    chunked: bool


def _jobs(batch: Batch, chunk: int, *, streamed: bool, dense: bool) -> list[_Job]:
    """The forward passes of a batch: several short rows, or a part of a long one."""
    rows, columns = batch.tokens.shape
    queries = batch.stop - batch.start
    if streamed and queries > chunk:
        jobs = []
        for row in range(rows):
            wanted = batch.asked[row].reshape(queries, -1) != _ignored(batch.targets)
            asked = np.flatnonzero(wanted.any(1))
            end = batch.start + int(asked.max(initial=0)) + 1
            for first in range(batch.start, end, chunk):
                part = slice(first, min(first + chunk, end))
                jobs.append(_Job(slice(row, row + 1), part, True))
        return jobs
    cost, budget = (queries * columns, DENSE_CHUNK**2) if dense else (columns, 3 * chunk)
    together = max(1, budget // max(1, cost))
    every = slice(batch.start, batch.stop)
    return [_Job(slice(i, min(i + together, rows)), every, False) for i in range(0, rows, together)]


def _inputs(batch: Batch, job: _Job, reach: _Reach | None) -> tuple[list[npt.NDArray[Any]], int]:
    """Tokens, query ids and key ids of a pass, and the column of its first query."""
    query_ids, key_ids = (
        x if len(x) == 1 else x[job.rows] for x in (batch.query_ids, batch.key_ids)
    )
    arrays: list[npt.NDArray[Any]] = [batch.tokens[job.rows], query_ids, key_ids]
    if not job.chunked or reach is None:
        return arrays, job.columns.start
    earlier = reach.seen_by(query_ids[0, :, job.columns], job.columns.start)
    return [np.concatenate((x[..., earlier], x[..., job.columns]), -1) for x in arrays], len(
        earlier
    )


def _judge(logits: Tensor | Sequence[Tensor], targets: Tokens, place: int) -> Verdict:
    """The verdict on logits [B, Q, V] by targets [B, Q] from answer place `place` on.

    Where tokens have F factors, on F such logits by targets [B, Q, F], each factor an answer token.
    """
    parts = [logits] if isinstance(logits, Tensor) else list(logits)
    given = targets.reshape(*targets.shape[:2], len(parts)).astype(np.int64)
    target = torch.from_numpy(given).to(parts[0].device)
    asked = target != _ignored(targets)
    target = torch.where(asked, target, 0)
    judged = [_margin(part, target[..., f : f + 1]) for f, part in enumerate(parts)]
    margin, wrong = (torch.cat(found, -1) for found in zip(*judged, strict=True))
    wrong &= asked
    exact = ~wrong.flatten(1).any(1)
    first = torch.where(exact, -1, place + wrong.any(-1).int().argmax(1))
    margin = torch.where(asked, margin, torch.inf).flatten(1).amin(1).float()
    tokens, mistakes = (x.flatten(1).sum(1) for x in (asked, wrong))
    return Verdict(*(x.cpu().numpy() for x in (exact, tokens, mistakes, first, margin)))


def _margin(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Margins of targets [B, Q, 1] by logits [B, Q, V], and where another token is the argmax."""
    own = logits.gather(-1, target)
    margin = own - logits.scatter(-1, target, -torch.inf).amax(-1, keepdim=True)
    # A NaN is never right, whatever argmax makes of it.
    margin = torch.where(margin.isnan(), -torch.inf, margin)
    return margin, (logits.argmax(-1, keepdim=True) != target) | (margin == -torch.inf)


def _ignored(targets: Tokens) -> int:
    """The target of a column where nothing is predicted."""
    return int(np.iinfo(targets.dtype).max)


class _Reach:
    """Finds the columns that a run of queries may see.

    Ids of couplings run steadily through a segment, so the smallest and largest id of each block
    of columns tell which blocks to look into.

    Args:
        key_ids: int32 [L, T].
        encoding: with a window on every level.
    """

    def __init__(self, key_ids: npt.NDArray[np.int32], encoding: Encoding) -> None:
        self.key_ids, self.sinks = key_ids, encoding.sinks
        self.windows = [window for window in encoding.pairs() if window is not None]
        edges = np.arange(0, key_ids.shape[1], BLOCK)
        self.highest = np.maximum.reduceat(key_ids, edges, axis=1)
        # NO_ID is the smallest integer; as an unsigned number one less it is the largest.
        shifted = key_ids.view(np.uint32) - np.uint32(NO_ID % 2**32) - np.uint32(1)
        lowest = np.minimum.reduceat(shifted, edges, axis=1)
        self.lowest = lowest.astype(np.int64) + NO_ID + 1

    def seen_by(self, query_ids: npt.NDArray[np.int32], first: int) -> npt.NDArray[np.int64]:
        """Columns below `first`, ascending, that some query of ids [L, Q] may see."""
        seen = [np.arange(min(self.sinks, first))]
        for level, (back, ahead) in enumerate(self.windows):
            ids = query_ids[level]
            ids = ids[ids != NO_ID]
            if ids.size == 0:
                continue
            low, high = int(ids.min()) - back, int(ids.max()) + ahead
            blocks = np.flatnonzero((self.lowest[level] <= high) & (self.highest[level] >= low))
            for block in blocks[blocks * BLOCK < first].tolist():
                begin = max(block * BLOCK, self.sinks)
                keys = self.key_ids[level, begin : min((block + 1) * BLOCK, first)]
                inside = (keys >= low) & (keys <= high) & (keys != NO_ID)
                seen.append(begin + np.flatnonzero(inside))
        columns = np.concatenate(seen)
        return columns if len(self.windows) == 1 else np.unique(columns)


def _is_dense(model: Model, impl: str) -> bool:
    """Whether attention stores the scores of all its queries and keys."""
    linear = isinstance(model, Transformer) and model.device.type == "cpu"
    linear = linear and all(encoding.linear for encoding in model.config.encodings)
    return not (linear and impl in ("auto", "cpu"))


def _check_memory(model: Model, batch: Batch, dense: bool) -> None:
    """Refuse an instance whose forward pass would not fit into MEMORY."""
    columns = batch.tokens.shape[1]
    needed = 4 * columns * (8 * model.config.width + 2 * model.config.hidden)
    if dense:
        last_only = model.config.blocks.count("attention") == 1
        queries = columns - batch.start if last_only else columns
        needed += 4 * 4 * model.config.heads * queries * columns
    if needed > MEMORY:
        raise ValueError(
            f"verifying an instance of {columns} tokens needs about {needed / 2**30:.0f} GiB, the "
            f"limit is {MEMORY / 2**30:.0f}: without one windowed attention block the model cannot "
            "be streamed; verify shorter operands"
        )
