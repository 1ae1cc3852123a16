"""The arguments of a fused attention call, checked and normalised; and its plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from arithtf.kernels import plan as plans
from arithtf.kernels.plan import Side

TABLE, KERPLE, FIRE = 1, 3, 5
KINDS = {
    "none": 0, "rotary": 0, "table": TABLE, "buckets": TABLE, "alibi": 2, "kerple": KERPLE,
    "fire": FIRE, "content": FIRE,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything of a call but query, key and value.

    Args:
        query_ids: int32 [B or 1, L, Tq]. key_ids: int32 [B or 1, L, Tk].
        prefix: int32 [B] or None. documents: int32 [B or 1, Tk] or None.
        mechanism: "none", "table", "buckets", "alibi", "kerple", "fire", "content" or "rotary".
        tensors: its tensors. options: its numbers (kerple: 0 log, 1 power; content: whether there
            are query vectors, key vectors).
        edges: for "buckets", column of the table for each clipped difference, else None.
        scale: [H] or None. factor: the scale if it is a number. log_scale: times log(seen).
        head_levels: level of each head. windows: (back, ahead) per level, (-1, -1) for no limit.
        ieee: products of float32 in IEEE arithmetic, not as three of TF32.
    """

    query_ids: Tensor
    key_ids: Tensor
    prefix: Tensor | None
    documents: Tensor | None
    mechanism: str
    tensors: Sequence[Tensor]
    options: Sequence[int]
    edges: tuple[int, ...] | None
    scale: Tensor | None
    factor: float
    log_scale: bool
    head_levels: tuple[int, ...]
    windows: tuple[tuple[int, int], ...]
    sinks: int
    causal: bool
    query_start: int
    ieee: bool = False

    @property
    def read(self) -> tuple[int, ...]:
        """The levels that heads read, ascending."""
        return tuple(sorted(set(self.head_levels)))

    @property
    def read_windows(self) -> tuple[tuple[int, int], ...]:
        """Windows of the levels that are read, unlimited ones as numbers."""
        far = plans.UNLIMITED
        pairs = [self.windows[level] for level in self.read]
        return tuple((far, far) if back < 0 else (back, ahead) for back, ahead in pairs)

    @property
    def kind(self) -> int:
        """Number of the mechanism in the kernels."""
        number = KINDS[self.mechanism]
        if self.mechanism == "kerple":
            return number + self.options[0]
        if self.mechanism == "content":
            # 1, 2 or 3 more: the query meets vectors, the key does, both do.
            return number + self.options[1] + 2 * self.options[0]
        return number


class Gradients(NamedTuple):
    """Gradients of one call; None where nothing was wanted or there is no such tensor."""

    query: Tensor
    key: Tensor
    value: Tensor
    scale: Tensor | None
    tensors: list[Tensor | None]


@dataclass(frozen=True)
class Plan:
    """What kernels walk: both sides of the levels that are read, and the sinks.

    Args:
        queries, keys: the tokens in order; keys without the sinks' ids.
        documents: numbers of documents by key column int32 [P, Tk], or None.
        prefix: int32 [P] or None.
        sinks: how many sinks are listed. sink_rows: their columns int32 [P, sinks] where documents
            have sinks of their own, else None: columns 0 .. sinks - 1.
    """

    queries: Side
    keys: Side
    documents: Tensor | None
    prefix: Tensor | None
    sinks: int
    sink_rows: Tensor | None

    @property
    def rows(self) -> int:
        """P: batch rows that plans tell apart; 1 if they are all the same."""
        return self.keys.ids.shape[0]


def make_plan(problem: Problem, order: Sequence[Tensor] = ()) -> Plan:
    """Sort, or take `order` = (query rows, key rows) of an earlier plan (empty: not sorted)."""
    query_ids, key_ids, prefix = problem.query_ids, problem.key_ids, problem.prefix
    documents = problem.documents
    if len(problem.read) < key_ids.shape[1]:
        index = plans.device_numbers(problem.read, torch.int64, key_ids.device)
        query_ids, key_ids = query_ids.index_select(1, index), key_ids.index_select(1, index)
    size = [t.shape[0] for t in (query_ids, key_ids, documents, prefix) if t is not None]
    rows, tk, tq = max(size), key_ids.shape[2], query_ids.shape[2]
    query_ids = query_ids.expand(rows, -1, -1)
    key_ids = key_ids.expand(rows, -1, -1)
    if documents is not None:
        documents = plans.document_numbers(documents).expand(rows, -1).contiguous()
    sinks, sink_rows = min(problem.sinks, tk), None
    if sinks and documents is not None:
        is_sink = plans.sink_columns(documents, problem.sinks, tk)
        sink_rows = (~is_sink).to(torch.int8).sort(stable=True, dim=1).indices.to(torch.int32)
        listed = torch.arange(tk, device=key_ids.device) < is_sink.sum(1, keepdim=True)
        sink_rows, sinks = torch.where(listed, sink_rows, -1).contiguous(), tk
        key_ids = key_ids.masked_fill(is_sink[:, None], plans.NO_ID)
    elif sinks:
        key_ids = torch.nn.functional.pad(key_ids[..., sinks:], (sinks, 0), value=plans.NO_ID)
    by_id = tuple(window[0] >= 0 for window in (problem.windows[u] for u in problem.read))
    of_queries = (
        None if documents is None else documents[:, problem.query_start :][:, :tq].contiguous()
    )
    make = _taking(order) if order else plans.make_side
    return Plan(
        make(query_ids, problem.query_start, of_queries, by_id),
        make(key_ids, 0, documents, by_id),
        documents,
        prefix,
        sinks,
        sink_rows,
    )


def _taking(order: Sequence[Tensor]) -> Callable[..., Side]:
    orders = iter(order)

    def make(ids: Tensor, first: int, documents: Tensor | None, by_id: tuple[bool, ...]) -> Side:
        rows = next(orders)
        if rows.numel() == 0:
            return Side(None, ids.contiguous(), first, documents, by_id)
        return Side(rows, ids.gather(2, rows.long()), first, documents, by_id)

    return make


def sink_ranges(plan: Plan, block: int, step: int) -> Tensor:
    """Listed sinks that each block of query positions may see: int32 [P, U, N, 2]."""
    ids, device = plan.queries.ids, plan.queries.ids.device
    blocks = -(-ids.shape[2] // block)
    out = torch.zeros(*ids.shape[:2], blocks, 2, dtype=torch.int32, device=device)
    if plan.sink_rows is None:
        out[..., 1] = plan.sinks
        return out
    least, greatest = plans._extremes(plan.queries.at_documents(), block)
    listed = _sink_documents(plan)[:, None]
    out[..., 0] = plans._search(listed, least, False) // step * step
    out[..., 1] = plans._search(listed, greatest, True)
    return out


def _sink_documents(plan: Plan) -> Tensor:
    assert plan.documents is not None
    assert plan.sink_rows is not None
    found = plan.documents.long().gather(1, plan.sink_rows.long().clamp(min=0))
    return torch.where(plan.sink_rows < 0, plans._LAST, found)


def sink_query_ranges(plan: Plan, block: int, causal: bool) -> Tensor:
    """Query rows that may see each block of listed sinks: int32 [P, 1, N, 4], as block_ranges."""
    queries, device = plan.queries, plan.queries.ids.device
    tq, rows = queries.ids.shape[2], plan.rows
    start = torch.arange(0, plan.sinks, block, device=device)
    if plan.sink_rows is None:
        lo = start.expand(rows, -1)
        hi = torch.full_like(lo, tq)
    else:
        assert queries.documents is not None
        numbers = _sink_documents(plan)
        listed = (plan.sink_rows >= 0).sum(1, keepdim=True)
        last = torch.minimum(start + block, listed) - 1
        mine = queries.documents.long()
        lo = plans._search(mine, numbers[:, start], False)
        hi = plans._search(mine, numbers.gather(1, last.clamp(min=0)), True)
        hi = torch.where(start < listed, hi, 0)
    if causal and plan.prefix is None and plan.sink_rows is None:
        lo = (lo - queries.first).clamp(min=0)
    elif plan.sink_rows is None:
        lo = torch.zeros_like(lo)
    lo = torch.minimum(lo, hi)
    return torch.stack((lo, hi, hi, hi), -1)[:, None].to(torch.int32).contiguous()
