"""Gradient of a table over clipped id differences, by tensor cores and in a fixed order.

Queries of a tile with ids base .. base + U - 1 and keys with ids in a range of KB ids: with one-hot
matrices E of ids, E_q^T (ds E_k) adds ds up by pairs of ids in a [U, KB] accumulator whose
entries each belong to one difference, whatever the tile, head row or batch row. Only pairs strictly
inside the table come here (their number is linear in tokens); the two end columns, in which all
far pairs meet, are plain sums in the kernel for dq.
"""

import triton
import triton.language as tl

from .tiles import (
    GREATEST,
    LOG2E,
    NO_ID,
    bias,
    head_numbers,
    id_bounds,
    load_documents,
    load_rows,
    rows_at,
    visible,
)


@triton.jit
def first_at_least(IDS, low, high, wanted):
    """Least position in [low, high) whose id is >= wanted; ids ascend there."""
    while low < high:
        middle = (low + high) // 2
        if tl.load(IDS + middle).to(tl.int64) < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@triton.jit
def _pair_sums(
    q, g, factor, lse, delta, inside, start, stop, first_id, K, V, POISON, KEY_ROWS, KEY_IDS,
    DOCUMENT, FIRST, h, width, reach, first, second, table, query_id, low, high, query_column,
    query_document, prefix, tk, stride_kt, stride_vt,
    KIND: tl.constexpr, WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr,
    DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, KB: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """ds summed over keys of one id, for KB ids from first_id on: [BM, KB]."""
    sums = tl.zeros([BM, KB], tl.float32)
    for n in range(start, stop, BN):
        at = n + tl.arange(0, BN)
        row = rows_at(KEY_ROWS, at, tl.minimum(stop, tk), GATHER)
        live = (row >= 0) & (tl.load(POISON + row, mask=row >= 0, other=0.0) == 0.0)
        k = load_rows(K, row, stride_kt, live, D, DP, UPCAST)
        v = load_rows(V, row, stride_vt, live, D, DP, UPCAST)
        key_id = tl.load(KEY_IDS + at, mask=row >= 0, other=NO_ID)
        scores = tl.dot(q, tl.trans(k), input_precision=PRECISION) * factor[:, None]
        scores += bias(
            query_id[:, None], key_id[None, :], FIRST, h, width, reach, first, second, table,
            KIND, WIDTH,
        )
        document = load_documents(DOCUMENT, row, DOCUMENTS)
        seen = visible(
            low[:, None], high[:, None], query_column[:, None], query_document[:, None],
            key_id[None, :], row[None, :], document[None, :], prefix,
            False, CAUSAL, PREFIX, DOCUMENTS,
        )
        p = tl.exp2(scores - lse[:, None])
        ds = p * (tl.dot(g, tl.trans(v), input_precision=PRECISION) - delta[:, None])
        ds = tl.where(seen & inside[:, None], ds, 0.0)
        place = key_id.to(tl.int64) - first_id
        one_hot = (place[:, None] == tl.arange(0, KB)[None, :]).to(k.dtype)
        sums = tl.dot(ds.to(k.dtype), one_hot, sums, input_precision=PRECISION)
    return sums


@triton.jit
def table_sums(
    Q, K, V, GRAD, LSE, DELTA, SUMS, POISON, LEVELS, WINDOWS, SCALE, SEEN, FIRST, SECOND,
    QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, batch, heads, levels, tq, tk, blocks, query_start, per_batch,
    width, reach, offset, chunks, parts,
    KIND: tl.constexpr, WIDTH: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr,
    DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, U: tl.constexpr, KB: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: one head, one chunk of KB differences, every `parts`-th block of queries.

    WINDOWS are cut to the inside of the table. SUMS [parts, H, chunks, U, KB]: entry (u, j) of
    chunk c belongs to the difference offset + c * KB + j - u.
    """
    program = tl.program_id(0)
    chunk = program % chunks
    h = ((program // chunks) % heads).to(tl.int64)
    part = program // chunks // heads
    level = tl.load(LEVELS + h)
    back = tl.load(WINDOWS + 2 * level)
    ahead = tl.load(WINDOWS + 2 * level + 1)
    scale = tl.load(SCALE + h)
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
    acc = tl.zeros([U, KB], tl.float32)
    for turn in range(part, batch * blocks, parts):
        block = turn % blocks
        b = (turn // blocks).to(tl.int64)
        plan = (b * per_batch) * levels + level
        head = b * heads + h
        at = block * BM + tl.arange(0, BM)
        row = rows_at(QUERY_ROWS + plan * tq, at, tq, GATHER)
        query_id = tl.load(QUERY_IDS + plan * tq + at, mask=row >= 0, other=NO_ID)
        query_column = tl.where(row >= 0, row + query_start, -1)
        document_of = DOCUMENT + b * per_batch * tk
        query_document = load_documents(document_of, query_column, DOCUMENTS)
        low, high = id_bounds(query_id, back, ahead)
        prefix = 0
        if PREFIX:
            prefix = tl.load(PREFIX_OF + b)
        lse = tl.load(LSE + head * tq + row, mask=row >= 0, other=float("inf"))
        delta = tl.load(DELTA + head * tq + row, mask=row >= 0, other=0.0)
        live = lse < float("inf")
        q_at = b * stride_qb + h * stride_qh
        q = load_rows(Q + q_at, row, stride_qt, live, D, DP, UPCAST)
        g = load_rows(GRAD + q_at, row, stride_qt, live, D, DP, UPCAST)
        factor = tl.full([BM], LOG2E, tl.float32) * scale
        if LOG_SCALE:
            seen = tl.load(SEEN + plan * tq + row, mask=row >= 0, other=1.0)
            factor = factor * tl.log(tl.maximum(seen, 1.0))
        bounds = RANGES + (plan * blocks + block) * 4
        lo = tl.load(bounds)
        hi = tl.load(bounds + 3)
        wide = query_id.to(tl.int64)
        base = tl.min(tl.where(query_id == NO_ID, GREATEST + 1, wide), 0)
        # One round where the ids of the tile are dense; sparse ids take a round per U ids present.
        while base <= GREATEST:
            place = wide - base
            inside = (place >= 0) & (place < U)
            first_id = base + offset + chunk * KB
            start = lo
            stop = hi
            if not DOCUMENTS:
                start = first_at_least(KEY_IDS + plan * tk, lo, hi, first_id)
                stop = first_at_least(KEY_IDS + plan * tk, start, hi, first_id + KB)
            sums = _pair_sums(
                q, g, factor, lse, delta, inside, start, stop, first_id,
                K + b * stride_kb + h * stride_kh, V + b * stride_vb + h * stride_vh,
                POISON + head * tk, KEY_ROWS + plan * tk, KEY_IDS + plan * tk, document_of, FIRST,
                h, width, reach, first, second, table, query_id, low, high, query_column,
                query_document, prefix, tk, stride_kt, stride_vt, KIND, WIDTH, CAUSAL, PREFIX,
                DOCUMENTS, GATHER, D, DP, BM, BN, KB, PRECISION, UPCAST,
            )
            one_hot = (tl.arange(0, U)[:, None] == place[None, :]).to(q.dtype)
            acc = tl.dot(one_hot, sums.to(q.dtype), acc, input_precision=PRECISION)
            base = tl.min(tl.where((place >= U) & (query_id != NO_ID), wide, GREATEST + 1), 0)
    cell = tl.arange(0, U)[:, None] * KB + tl.arange(0, KB)[None, :]
    tl.store(SUMS + ((part * heads + h) * chunks + chunk).to(tl.int64) * U * KB + cell, acc)
