"""Attention on the CPU: the training shape, and windowed attention over long sums.

python -m bench attention-train attention-cpu
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from arithtf.attention import NO_ID, BiasTable, Positions, attention
from bench.registry import Row, benchmark

HEADS, DIM, REACH = 4, 16, 2
QKV = tuple[Tensor, Tensor, Tensor]
Ids = tuple[Tensor, Tensor]
DENSE_LIMIT = 4_000  # keys up to which the dense implementations fit into memory and patience


def _seconds(run: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call, after one call to warm up."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _heads_last(batch: int, columns: int) -> Tensor:
    """Random [B, H, T, D] in the layout the model makes: a view of [B, T, H, D]."""
    return torch.randn(batch, columns, HEADS, DIM).transpose(1, 2)


def _materialised(ids: Ids, table: Tensor, start: int, window: int) -> Tensor:
    """Mask and bias of every pair for scaled_dot_product_attention: [B, H, Tq, Tk]."""
    query_ids, key_ids = (x.long() for x in ids)
    difference = key_ids[:, 0, None, :] - query_ids[:, 0, :, None]
    order = torch.arange(key_ids.shape[-1]) <= torch.arange(query_ids.shape[-1])[:, None] + start
    seen = (difference.abs() <= window) & order
    bias = table[:, difference.clamp(-REACH, REACH) + REACH].transpose(0, 1)
    return bias.masked_fill(~seen[:, None], float("-inf"))


def _ours(qkv: QKV, ids: Ids, table: Tensor, start: int, impl: str) -> Tensor:
    """Table bias, window 1, one sink."""
    positions = Positions(*ids, windows=1, sinks=1, query_start=start)
    return attention(*qkv, positions, mechanism=BiasTable(table), impl=impl)


def _peer(qkv: QKV, ids: Ids, table: Tensor, start: int) -> Tensor:
    """The same without the sink; the mask and the bias are made in every call, as ours are."""
    mask = _materialised(ids, table, start, 1).nan_to_num(neginf=-1e9)
    query, key, value = qkv
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _with_gradients(run: Callable[[], Tensor], leaves: list[Tensor], grad: Tensor) -> None:
    torch.autograd.grad(run(), leaves, grad)


@benchmark("attention-train")
def train_shape() -> Iterator[Row]:
    """Forward and backward of the reference at the shape of training: milliseconds."""
    batch, queries, keys = 128, 12, 34
    qkv = (_heads_last(batch, queries), _heads_last(batch, keys), _heads_last(batch, keys))
    table = torch.randn(HEADS, 2 * REACH + 1)
    leaves = [x.requires_grad_() for x in (*qkv, table)]
    query_ids = torch.randint(0, 11, (batch, 1, queries), dtype=torch.int32)
    ids = (query_ids, torch.randint(0, 11, (batch, 1, keys), dtype=torch.int32))
    grad = torch.randn(batch, HEADS, queries, DIM)
    runs: dict[str, Callable[[], Tensor]] = {
        "reference": partial(_ours, qkv, ids, table, keys - queries, "reference"),
        "sdpa, materialised bias": partial(_peer, qkv, ids, table, keys - queries),
    }
    for name, run in runs.items():
        both = _seconds(partial(_with_gradients, run, leaves, grad), 30)
        with torch.no_grad():
            forward = _seconds(run, 30)
        yield {"impl": name, "batch": batch, "forward_ms": 1e3 * forward, "both_ms": 1e3 * both}


@benchmark("attention-cpu")
def windowed() -> Iterator[Row]:
    """One sum of two n-digit operands, coupled ids, window 1: all answer columns at once."""
    for digits in (3 * 10**2, 10**3, 10**4, 10**5, 10**6):
        falling = torch.arange(digits - 1, -1, -1, dtype=torch.int32)
        none = torch.tensor([NO_ID], dtype=torch.int32)
        rising = torch.arange(digits + 1, dtype=torch.int32)
        key_ids = torch.cat([none, falling, none, falling, none, rising])[None, None]
        ids, start, columns = (rising[None, None], key_ids), 2 * digits + 2, key_ids.shape[-1]
        qkv = (_heads_last(1, digits + 1), _heads_last(1, columns), _heads_last(1, columns))
        table = torch.randn(HEADS, 2 * REACH + 1)
        runs: dict[str, Callable[[], Tensor]] = {
            "cpu": partial(_ours, qkv, ids, table, start, "cpu"),
        }
        if columns <= DENSE_LIMIT:
            runs["reference"] = partial(_ours, qkv, ids, table, start, "reference")
            runs["sdpa, materialised bias"] = partial(_peer, qkv, ids, table, start)
        for name, run in runs.items():
            with torch.no_grad():
                seconds = _seconds(run, 3)
            yield {
                "impl": name,
                "digits": digits,
                "keys": columns,
                "ms": 1e3 * seconds,
                "ns_per_query": 1e9 * seconds / (digits + 1),
            }
