"""Calls of every binding of the core, and of what reaches them, with arguments that are right."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from fuzz_tasks import Call, data_call, known, operands, task_call

from arithtf import _core
from arithtf.attention import Positions, attention
from arithtf.evaluate.decode import decode_by_table
from arithtf.model.local import collect
from arithtf.tasks import Address, Batch, Draw, Operands, TimesDigit, couplings


def batch_of(rng: random.Random) -> dict[str, Any]:
    """Tokens, ids and targets of a few instances on two levels."""
    rows, columns = rng.randint(1, 3), rng.randint(4, 9)
    draw = np.random.default_rng(rng.randrange(1 << 30))
    ids = draw.integers(-2, 6, (2, rng.choice([1, rows]), 2, columns)).astype(np.int32)
    ids[draw.random(ids.shape) < 0.1] = _core.NO_ID
    tokens = draw.integers(0, 4, (rows, columns)).astype(np.uint8)
    targets = draw.integers(0, 4, (rows, columns)).astype(np.uint8)
    tokens[:, 0], targets[:, 0] = 9, _core.IGNORE
    return {"tokens": tokens, "query_ids": ids[0], "key_ids": ids[1], "targets": targets}


def context_call(rng: random.Random) -> Call:
    """Collectors, tables, decoding, covers."""
    given = batch_of(rng)
    windows = [(rng.randrange(3), rng.randrange(3)) for _ in range(2)]
    sinks = rng.randrange(2)
    collector = _core.ContextCollector(2, windows, sinks)
    collector.add(**given)
    found = collector.contexts()
    key = {n: found[n] for n in ("query_token", "offsets", "level", "difference", "token")}
    table = _core.ContextTable(windows, sinks)
    if rng.random() < 0.5:
        table.insert(**key, next_token=np.zeros(len(collector), np.uint8))
    decoded = {n: given[n] for n in ("tokens", "query_ids", "key_ids")}
    asked = {"table": table, **decoded, "start": 1, "eos": 3, "threads": 1}

    def collect_all(**arguments: Any) -> None:
        made = _core.ContextCollector(**arguments)
        made.add(**given)
        made.contexts(), made.conflicts(), made.missing(collector), len(made), made.queries

    def decode(**arguments: Any) -> None:
        decoder = _core.MemoDecoder(**arguments)
        decoder.run()
        assert len(decoder.columns) == len(arguments["tokens"])

    steps = np.array([[0, 1, 0], [1, 0, -1]], np.int32)
    automaton = {"transitions": steps, "labels": [0, 1], "start": 0, "accepting": [True, False]}
    extent = {"past": rng.randrange(3), "future": rng.randrange(2), "max_edges": 1000}
    inserted = {"self": table, **key, "next_token": np.zeros(len(collector), np.uint8)}
    first = {"first_instance": 3}
    return rng.choice(
        [
            Call(
                "ContextCollector", collect_all, {"levels": 2, "windows": windows, "sinks": sinks}
            ),
            Call(
                "ContextCollector.add",
                _core.ContextCollector.add,
                {"self": collector, **given, **first},
            ),
            Call(
                "ContextCollector.missing",
                _core.ContextCollector.missing,
                {"self": collector, "other": collector},
            ),
            Call("ContextTable", _core.ContextTable, {"windows": windows, "sinks": sinks}),
            Call("ContextTable.insert", _core.ContextTable.insert, inserted),
            Call("MemoDecoder", decode, asked),
            Call(
                "MemoDecoder.run",
                _core.MemoDecoder.run,
                {"self": _core.MemoDecoder(**asked), "threads": 1},
            ),
            Call("cover", _core.cover, {**automaton, **extent}),
        ]
    )


def attention_parts(rng: random.Random) -> dict[str, Any]:
    """What the core's attention and the public one are both asked with."""
    batch, heads, queries, keys = rng.randint(1, 2), rng.randint(1, 2), 3, rng.randint(3, 6)
    draw = np.random.default_rng(rng.randrange(1 << 30))
    dim = rng.choice([1, 3, 8])
    key, value = draw.standard_normal((2, batch, heads, keys, dim)).astype(np.float32)
    ids = draw.integers(0, 4, (rng.choice([1, batch]), 2, keys)).astype(np.int32)
    documents = np.sort(draw.integers(0, 2, (batch, keys))).astype(np.int32)
    return {
        "query": draw.standard_normal((batch, heads, queries, dim)).astype(np.float32),
        "key": key,
        "value": value,
        "query_ids": ids[..., :queries].copy(),
        "key_ids": ids,
        "head_levels": [rng.randrange(2) for _ in range(heads)],
        "windows": [(1, 0), (2, 1)],
        "sinks": rng.randrange(2),
        "causal": rng.random() < 0.5,
        "query_start": keys - queries,
        "prefix": rng.choice([None, np.ones(batch, np.int32)]),
        "documents": rng.choice([None, documents]),
        "scale": np.ones(heads, np.float32),
    }


def attention_call(rng: random.Random) -> Call:
    """The core's attention."""
    parts = attention_parts(rng)
    heads = parts["query"].shape[1]
    bias = rng.choice([None, np.zeros((heads, 5), np.float32)])
    more = {"out": np.empty_like(parts["query"]), "bias": bias, "log_scale": False, "threads": 1}
    build = rng.choice(_core.attention_builds())
    below = -np.arange(5, dtype=np.float32)
    return rng.choice(
        [
            Call("windowed_attention", _core.windowed_attention, {**parts, **more}),
            Call("windowed_attention", _core.windowed_attention, {**parts, **more}),
            Call("exp_nonpositive", _core.exp_nonpositive, {"values": below}),
            Call("use_attention_build", _core.use_attention_build, {"name": build}),
        ]
    )


def search_call(rng: random.Random) -> Call:
    """The search for couplings."""
    given = batch_of(rng)
    rows = len(given["tokens"])
    places = {
        f"{side}_places": np.repeat(given[f"{side}_ids"][:1], rows, 0) for side in ("query", "key")
    }
    relations = np.array([[0, 1, 1, -1], [1, 1, 0, 2]], np.int64)
    seen = {
        "tokens": given["tokens"],
        **places,
        "targets": given["targets"],
        "relations": relations,
        "low": -1,
        "high": 1,
        "threads": 0,
    }
    queries = rng.randint(1, 9)
    lookups = np.arange(3 * queries, dtype=np.uint64).reshape(3, queries)
    scored = {
        "lookups": lookups,
        "start": lookups[0].copy(),
        "targets": np.arange(queries, dtype=np.uint8) % 3,
        "symbols": 3,
        "offsets": np.array([0, 2, 3]),
        "rows": np.array([0, 1, 2]),
        "factors": np.array([1, 3, 5], np.uint64),
        "alpha": 0.5,
        "most_bits": 1e9,
        "most_conflicts": 9,
        "threads": 1,
    }
    return rng.choice(
        [
            Call("lookups", _core.lookups, seen),
            Call("score_candidates", _core.score_candidates, scored),
            Call("token_code", _core.token_code, {"token": 3}),
        ]
    )


def attend(
    query: Any, key: Any, value: Any, scale: Any, head_levels: Any, **positions: Any
) -> None:
    """`arithtf.attention` of arrays."""
    tensor = torch.from_numpy
    asked = {n: tensor(x) if isinstance(x, np.ndarray) else x for n, x in positions.items()}
    with torch.no_grad():
        attention(
            *(tensor(x) for x in (query, key, value)),
            Positions(**asked, head_levels=head_levels),
            scale=tensor(scale),
            impl="cpu",
        )


def sample(task: Any, address: dict[str, Any], draw: dict[str, Any], threads: int) -> None:
    """`Task.sample` and `Task.operands`."""
    task.operands(Address(**address), Draw(**draw), threads=threads)
    made = task.sample(Address(**address), Draw(**draw), threads=threads)
    couplings.index(task).ids(made, threads=threads)


def public_call(rng: random.Random) -> Call:
    """What is written in Python and reaches the core."""
    tasks, _ = known()
    task = rng.choice([t for t in tasks if not isinstance(t, TimesDigit)])
    address = {"seed": rng.randrange(9), "split": "all", "step": 1}
    draw = {"lengths": (1, 4), "size": 2, "distribution": "uniform", "chain": None, "pool": 0}
    digits, offsets = operands(rng, task.arity)
    table = _core.ContextTable([(2, 2)], 1)
    adder = tasks[0]
    pairs = Operands(*operands(rng, 2), 2)
    batch = Batch.of(adder.instances(pairs, solved=False), couplings.columns(adder))

    def instances(digits: Any, offsets: Any, arity: Any, **how: Any) -> None:
        made = task.instances(Operands(digits, offsets, arity), **how)
        couplings.index(task).ids(made)

    def ids(threads: int, **change: Any) -> None:
        couplings.index(adder).ids(replace(batch.instances, **change), threads=threads)

    def decoded(**change: Any) -> None:
        changed = batch._replace(**{**change, "tokens": change["tokens"].copy()})
        decode_by_table(table, changed, adder.vocabulary.eos, ask, 1)

    def ask(contexts: Any) -> Any:
        return np.full(len(contexts.query_token), adder.vocabulary.eos, np.uint8)

    def collected(windows: Any, sinks: int, **change: Any) -> None:
        collect([batch._replace(**change)], windows, sinks)

    fields = {n: getattr(batch, n) for n in ("tokens", "query_ids", "key_ids")}
    how = {"solved": True, "max_length": 6, "threads": 0}
    given = {"digits": digits, "offsets": offsets, "arity": task.arity, **how}
    moved = {"tokens": batch.tokens, "ahead": 1, "threads": 0}
    return rng.choice(
        [
            Call("attention", attend, attention_parts(rng), True),
            Call("attention", attend, attention_parts(rng), True),
            Call(
                f"{task.name}.sample",
                lambda **a: sample(task, **a),
                {"address": address, "draw": draw, "threads": 0},
                True,
            ),
            Call(f"{task.name}.instances", instances, given, True),
            Call("Coupling.ids of instances", ids, moved, True),
            Call("decode_by_table", decoded, {**fields, "start": batch.start}, True),
            Call("collect", collected, {"windows": [(2, 2)], "sinks": 1, **fields}, True),
        ]
    )


KINDS = (task_call, data_call, context_call, attention_call, search_call, public_call)
