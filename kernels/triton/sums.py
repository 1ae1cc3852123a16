"""Gradients of mechanisms that act by more than a table: content vectors, FIRE's network.

Both walk the pairs again and add up ds in registers: per query (or per key) and column of the
vectors, per hidden unit of the network. Each program owns what it writes.
"""

import triton
import triton.language as tl

from .tiles import (
    LOG2E,
    NO_ID,
    fire_position,
    head_numbers,
    id_bounds,
    load_documents,
    load_rows,
    rows_at,
    scores_of,
    table_column,
    visible,
)


@triton.jit
def _query_side(
    at, tq, Q, GRAD, LSE, DELTA, SEEN, ROWS, IDS, DOCUMENT, scale, query_start, stride_qt,
    LOG_SCALE: tl.constexpr, DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr,
    DP: tl.constexpr, UPCAST: tl.constexpr,
):
    """Queries at positions `at`; rows that take no part have row -1."""
    row = rows_at(ROWS, at, tq, GATHER)
    lse = tl.load(LSE + row, mask=row >= 0, other=float("inf"))
    ids = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
    row = tl.where(lse < float("inf"), row, -1)
    live = row >= 0
    q = load_rows(Q, row, stride_qt, live, D, DP, UPCAST)
    g = load_rows(GRAD, row, stride_qt, live, D, DP, UPCAST)
    delta = tl.load(DELTA + row, mask=live, other=0.0)
    factor = tl.zeros(row.shape, tl.float32) + scale
    if LOG_SCALE:
        seen = tl.load(SEEN + row, mask=live, other=1.0)
        factor = factor * tl.log(tl.maximum(seen, 1.0))
    column = tl.where(live, row + query_start, -1)
    return q, g, lse, delta, factor, row, ids, column, load_documents(DOCUMENT, column, DOCUMENTS)


@triton.jit
def _key_side(
    at, tk, K, V, POISON, ROWS, IDS, DOCUMENT, stride_kt, stride_vt,
    DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Keys at positions `at`; those that are not finite have row -1."""
    row = rows_at(ROWS, at, tk, GATHER)
    ids = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
    poison = tl.load(POISON + row, mask=row >= 0, other=0.0)
    row = tl.where(poison == 0.0, row, -1)
    k = load_rows(K, row, stride_kt, row >= 0, D, DP, UPCAST)
    v = load_rows(V, row, stride_vt, row >= 0, D, DP, UPCAST)
    return k, v, row, ids, load_documents(DOCUMENT, row, DOCUMENTS)


@triton.jit
def _score_gradients(
    q, g, lse, delta, factor, query_row, query_id, query_column, query_document, k, v, key_row,
    key_id, key_document, FIRST, SECOND, h, width, reach, back, ahead, prefix,
    KIND: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """ds of all pairs [BM, BN], 0 for those that are invisible."""
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, 0)
    scores, _, _ = scores_of(
        tl.dot(q, tl.trans(k), input_precision=PRECISION), (factor * LOG2E)[:, None],
        query_id[:, None], key_id[None, :], query_row[:, None], key_row[None, :], FIRST, SECOND, h,
        width, reach, first, second, table, KIND, 0,
    )
    low, high = id_bounds(query_id, back, ahead)
    seen = visible(
        low[:, None], high[:, None], query_column[:, None], query_document[:, None],
        key_id[None, :], key_row[None, :], key_document[None, :], prefix,
        False, CAUSAL, PREFIX, DOCUMENTS,
    )
    seen = seen & (query_row >= 0)[:, None] & (key_row >= 0)[None, :]
    ds = tl.exp2(scores - lse[:, None])
    ds = ds * (tl.dot(g, tl.trans(v), input_precision=PRECISION) - delta[:, None])
    return tl.where(seen, ds, 0.0)


@triton.jit
def content_sums(
    Q, K, V, GRAD, LSE, DELTA, OUT, POISON, LEVELS, WINDOWS, SCALE, SEEN, FIRST, SECOND,
    QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, heads, levels, tq, tk, blocks, query_start, per_batch,
    width, reach, columns, column0, chunks,
    KIND: tl.constexpr, OF_KEYS: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr,
    DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, COLUMNS: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: gradient of COLUMNS of the content numbers of BM queries, or of BN keys.

    OUT float32 [B, H, Tq or Tk, columns]; chunk c writes columns column0 + c * COLUMNS and on.
    """
    program = tl.program_id(0)
    block = program % blocks
    chunk = (program // blocks) % chunks
    h = ((program // blocks // chunks) % heads).to(tl.int64)
    b = (program // blocks // chunks // heads).to(tl.int64)
    level = tl.load(LEVELS + h)
    plan = (b * per_batch) * levels + level
    head = b * heads + h
    scale = tl.load(SCALE + h)
    back = tl.load(WINDOWS + 2 * level)
    ahead = tl.load(WINDOWS + 2 * level + 1)
    prefix = tl.load(PREFIX_OF + b) if PREFIX else 0
    document_of = DOCUMENT + b * per_batch * tk
    q_at = b * stride_qb + h * stride_qh
    k_at = b * stride_kb + h * stride_kh
    v_at = b * stride_vb + h * stride_vh
    FIRST += head * tq * width
    SECOND += head * tk * reach
    start = column0 + chunk * COLUMNS
    BLOCK: tl.constexpr = BN if OF_KEYS else BM
    STEP: tl.constexpr = BM if OF_KEYS else BN
    acc = tl.zeros([BLOCK, COLUMNS], tl.float32)
    at = block * BLOCK + tl.arange(0, BLOCK)
    if OF_KEYS:
        k, v, key_row, key_id, key_document = _key_side(
            at, tk, K + k_at, V + v_at, POISON + head * tk, KEY_ROWS + plan * tk,
            KEY_IDS + plan * tk, document_of, stride_kt, stride_vt, DOCUMENTS, GATHER, D, DP,
            UPCAST,
        )
    else:
        q, g, lse, delta, factor, query_row, query_id, query_column, query_document = _query_side(
            at, tq, Q + q_at, GRAD + q_at, LSE + head * tq, DELTA + head * tq, SEEN + plan * tq,
            QUERY_ROWS + plan * tq, QUERY_IDS + plan * tq, document_of, scale, query_start,
            stride_qt, LOG_SCALE, DOCUMENTS, GATHER, D, DP, UPCAST,
        )
    bounds = RANGES + (plan * blocks + block) * 4
    for n in range(tl.load(bounds), tl.load(bounds + 3), STEP):
        there = n + tl.arange(0, STEP)
        if OF_KEYS:
            q, g, lse, delta, factor, query_row, query_id, query_column, query_document = (
                _query_side(
                    there, tq, Q + q_at, GRAD + q_at, LSE + head * tq, DELTA + head * tq,
                    SEEN + plan * tq, QUERY_ROWS + plan * tq, QUERY_IDS + plan * tq, document_of,
                    scale, query_start, stride_qt, LOG_SCALE, DOCUMENTS, GATHER, D, DP, UPCAST,
                )
            )
        else:
            k, v, key_row, key_id, key_document = _key_side(
                there, tk, K + k_at, V + v_at, POISON + head * tk, KEY_ROWS + plan * tk,
                KEY_IDS + plan * tk, document_of, stride_kt, stride_vt, DOCUMENTS, GATHER, D, DP,
                UPCAST,
            )
        ds = factor[:, None] * _score_gradients(
            q, g, lse, delta, factor, query_row, query_id, query_column, query_document, k, v,
            key_row, key_id, key_document, FIRST, SECOND, h, width, reach, back, ahead, prefix,
            KIND, CAUSAL, PREFIX, DOCUMENTS, PRECISION,
        )
        column = table_column(query_id[:, None], key_id[None, :], columns // 2)
        for c in range(0, COLUMNS):
            part = tl.sum(tl.where(column == start + c, ds, 0.0), 0 if OF_KEYS else 1)
            acc += tl.where(tl.arange(0, COLUMNS)[None, :] == c, part[:, None], 0.0)
    length = tk if OF_KEYS else tq
    row = rows_at((KEY_ROWS if OF_KEYS else QUERY_ROWS) + plan * length, at, length, GATHER)
    place = start + tl.arange(0, COLUMNS)
    pointers = OUT + (head * length + row)[:, None] * columns + place[None, :]
    tl.store(pointers, acc, mask=(row >= 0)[:, None] & (place < columns)[None, :])


@triton.jit
def fire_sums(
    Q, K, V, GRAD, LSE, DELTA, OUT, POISON, LEVELS, WINDOWS, SCALE, SEEN, FIRST, SECOND,
    QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, heads, levels, tq, tk, blocks, query_start, per_batch,
    width, reach,
    KIND: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr,
    DOCUMENTS: tl.constexpr, GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, UNITS: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """One program: sums over BM queries of what FIRE's parameters get.

    OUT float32 [B, H, blocks, 3, UNITS]: per hidden unit the sums of ds and of ds * x over the
    pairs that switch it on; then the sum of ds, and the gradients of c and threshold.
    """
    program = tl.program_id(0)
    block = blocks - 1 - program % blocks
    h = ((program // blocks) % heads).to(tl.int64)
    b = (program // blocks // heads).to(tl.int64)
    level = tl.load(LEVELS + h)
    plan = (b * per_batch) * levels + level
    head = b * heads + h
    prefix = tl.load(PREFIX_OF + b) if PREFIX else 0
    document_of = DOCUMENT + b * per_batch * tk
    q_at = b * stride_qb + h * stride_qh
    q, g, lse, delta, factor, query_row, query_id, query_column, query_document = _query_side(
        block * BM + tl.arange(0, BM), tq, Q + q_at, GRAD + q_at, LSE + head * tq,
        DELTA + head * tq, SEEN + plan * tq, QUERY_ROWS + plan * tq, QUERY_IDS + plan * tq,
        document_of, tl.load(SCALE + h), query_start, stride_qt, LOG_SCALE, DOCUMENTS, GATHER, D,
        DP, UPCAST,
    )
    NUMBERS = FIRST + h * (3 * width + 3)
    unit = tl.arange(0, UNITS)
    counted = tl.zeros([UNITS], tl.float32)
    moved = tl.zeros([UNITS], tl.float32)
    of_bias = 0.0
    of_c = 0.0
    of_threshold = 0.0
    bounds = RANGES + (plan * blocks + block) * 4
    for n in range(tl.load(bounds), tl.load(bounds + 3), BN):
        k, v, key_row, key_id, key_document = _key_side(
            n + tl.arange(0, BN), tk, K + b * stride_kb + h * stride_kh,
            V + b * stride_vb + h * stride_vh, POISON + head * tk, KEY_ROWS + plan * tk,
            KEY_IDS + plan * tk, document_of, stride_kt, stride_vt, DOCUMENTS, GATHER, D, DP,
            UPCAST,
        )
        ds = _score_gradients(
            q, g, lse, delta, factor, query_row, query_id, query_column, query_document, k, v,
            key_row, key_id, key_document, FIRST, SECOND, h, width, reach,
            tl.load(WINDOWS + 2 * level), tl.load(WINDOWS + 2 * level + 1), prefix,
            KIND, CAUSAL, PREFIX, DOCUMENTS, PRECISION,
        )
        x, far, c, threshold, length, divisor = fire_position(
            query_id[:, None], key_id[None, :], NUMBERS, width
        )
        slope = tl.zeros([BM, BN], tl.float32)
        for j in range(0, width):
            w1 = tl.load(NUMBERS + j)
            on = w1 * x + tl.load(NUMBERS + width + j) > 0.0
            here = tl.where(on, ds, 0.0)
            counted += tl.where(unit == j, tl.sum(tl.sum(here, 1), 0), 0.0)
            moved += tl.where(unit == j, tl.sum(tl.sum(here * x, 1), 0), 0.0)
            slope += tl.where(on, w1 * tl.load(NUMBERS + 2 * width + j), 0.0)
        of_bias += tl.sum(tl.sum(ds, 1), 0)
        # x = log(1 + c far) / divisor, divisor = log(1 + c |length|) + 1e-6, c = |parameter|.
        dx = ds * slope
        ddivisor = -dx * x / divisor
        dc = dx * (far / (1.0 + c * far)) / divisor
        size = tl.abs(length)
        dc += ddivisor * (size / (1.0 + c * size))
        of_c += tl.sum(tl.sum(dc, 1), 0)
        # torch.maximum gives each of two equals half of the gradient.
        id_number = query_id.to(tl.float32)[:, None]
        share = tl.where(threshold > id_number, 1.0, tl.where(threshold == id_number, 0.5, 0.0))
        share = share * tl.where(length > 0.0, 1.0, tl.where(length < 0.0, -1.0, 0.0))
        of_threshold += tl.sum(tl.sum(ddivisor * (c / (1.0 + c * size)) * share, 1), 0)
    sign = tl.load(NUMBERS + 3 * width + 1)
    of_c = of_c * tl.where(sign > 0.0, 1.0, tl.where(sign < 0.0, -1.0, 0.0))
    target = OUT + (head * blocks + block) * 3 * UNITS
    tl.store(target + unit, counted)
    tl.store(target + UNITS + unit, moved)
    rest = tl.where(unit == 0, of_bias, tl.where(unit == 1, of_c, of_threshold))
    tl.store(target + 2 * UNITS + unit, rest)
