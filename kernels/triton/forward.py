"""Forward: flash attention over ranges of positions (arXiv 2205.14135), and the visible count."""

import triton
import triton.language as tl

from .tiles import (
    BY_QUERY,
    LOG2E,
    NO_ID,
    head_numbers,
    id_bounds,
    load_documents,
    load_rows,
    rows_at,
    scores_of,
    store_rows,
    visible,
)


@triton.jit
def _step(
    q, factor, acc, top, total, at, end, K, V, POISON, ROWS, IDS, DOCUMENT, FIRST,
    SECOND, h, width, reach, first, second, table, query_id, query_row, low, high, query_column,
    query_document, prefix, stride_kt, stride_vt,
    MASKED: tl.constexpr, SINK: tl.constexpr, GATHER: tl.constexpr, KIND: tl.constexpr,
    WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    D: tl.constexpr, DP: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """Take the keys at positions `at` into the running softmax."""
    row = rows_at(ROWS, at, end, GATHER)
    # 0 for keys and values that are finite, NaN for others: those poison who sees them.
    poison = tl.load(POISON + row, mask=row >= 0, other=0.0)
    live = (row >= 0) & (poison == 0.0)
    k = load_rows(K, row, stride_kt, live, D, DP, UPCAST)
    v = load_rows(V, row, stride_vt, live, D, DP, UPCAST)
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if SINK:
        key_id = row
        scores = scores * factor[:, None]
    else:
        key_id = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
        scores, _, _ = scores_of(
            scores, factor[:, None], query_id[:, None], key_id[None, :], query_row[:, None],
            row[None, :], FIRST, SECOND, h, width, reach, first, second, table, KIND, WIDTH,
        )
    scores += poison[None, :]
    if MASKED:
        document = load_documents(DOCUMENT, row, DOCUMENTS)
        seen = visible(
            low[:, None], high[:, None], query_column[:, None], query_document[:, None],
            key_id[None, :], row[None, :], document[None, :], prefix,
            SINK, CAUSAL, PREFIX, DOCUMENTS,
        )
        scores = tl.where(seen, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, 1))
    base = tl.where(higher == float("-inf"), 0.0, higher)
    weights = tl.exp2(scores - base[:, None])
    shrink = tl.exp2(top - base)
    total = total * shrink + tl.sum(weights, 1)
    acc = acc * shrink[:, None]
    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
    return acc, higher, total


@triton.jit
def forward(
    Q, K, V, Q_PLAIN, K_PLAIN, OUT, LSE, POISON, LEVELS, WINDOWS, SCALE, SEEN, FIRST, SECOND,
    QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF, SINK_ROWS, SINK_RANGES,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, heads, levels, tq, tk, sinks, blocks, query_start, per_batch,
    width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, ROTARY: tl.constexpr, LOG_SCALE: tl.constexpr,
    CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
    GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BS: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: BM queries of one head of one batch row.

    Late blocks first: with causal order they are the longest.
    """
    program = tl.program_id(0)
    block = blocks - 1 - program % blocks
    h = ((program // blocks) % heads).to(tl.int64)
    b = (program // blocks // heads).to(tl.int64)
    level = tl.load(LEVELS + h)
    plan = (b * per_batch) * levels + level
    at = block * BM + tl.arange(0, BM)
    row = rows_at(QUERY_ROWS + plan * tq, at, tq, GATHER)
    live = row >= 0
    query_id = tl.load(QUERY_IDS + plan * tq + at, mask=live, other=NO_ID)
    query_column = tl.where(live, row + query_start, -1)
    document_of = DOCUMENT + b * per_batch * tk
    query_document = load_documents(document_of, query_column, DOCUMENTS)
    low, high = id_bounds(query_id, tl.load(WINDOWS + 2 * level), tl.load(WINDOWS + 2 * level + 1))
    prefix = 0
    if PREFIX:
        prefix = tl.load(PREFIX_OF + b)
    q_at = b * stride_qb + h * stride_qh
    k_at = b * stride_kb + h * stride_kh
    v_at = b * stride_vb + h * stride_vh
    head = b * heads + h
    q = load_rows(Q + q_at, row, stride_qt, live, D, DP, UPCAST)
    # A query that is not finite poisons all it sees: its factor is NaN.
    wide = q.to(tl.float32)
    good = tl.sum(wide * 0.0, 1) == 0.0
    q = tl.where(good[:, None], wide, 0.0).to(q.dtype)
    scale = tl.load(SCALE + h)
    factor = tl.where(good, scale * LOG2E, float("nan"))
    if LOG_SCALE:
        seen = tl.load(SEEN + plan * tq + row, mask=live, other=1.0)
        factor = factor * tl.log(tl.maximum(seen, 1.0))
    if KIND >= BY_QUERY:
        FIRST += head * tq * width
        SECOND += head * tk * reach
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)

    acc = tl.zeros([BM, DP], tl.float32)
    top = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    bounds = RANGES + (plan * blocks + block) * 4
    lo = tl.load(bounds)
    a = tl.load(bounds + 1)
    z = tl.load(bounds + 2)
    hi = tl.load(bounds + 3)
    # First the tiles on both sides of the interior [a, z), with masks; then the interior.
    for part in tl.static_range(2):
        start = lo if part == 0 else a
        stop = a + hi - z if part == 0 else z
        for i in range(start, stop, BN):
            n = tl.where(i < a, i, i + z - a) if part == 0 else i
            acc, top, total = _step(
                q, factor, acc, top, total, n + tl.arange(0, BN), tk, K + k_at, V + v_at,
                POISON + head * tk, KEY_ROWS + plan * tk, KEY_IDS + plan * tk, document_of, FIRST,
                SECOND, h, width, reach, first, second, table, query_id, row, low, high,
                query_column, query_document, prefix, stride_kt, stride_vt,
                part == 0, False, GATHER, KIND, WIDTH, CAUSAL, PREFIX, DOCUMENTS,
                D, DP, PRECISION, UPCAST,
            )
    if SINKS:
        if ROTARY:
            q = load_rows(Q_PLAIN + q_at, row, stride_qt, live & good, D, DP, UPCAST)
        bounds = SINK_RANGES + (plan * blocks + block) * 2
        for n in range(tl.load(bounds), tl.load(bounds + 1), BS):
            acc, top, total = _step(
                q, factor, acc, top, total, n + tl.arange(0, BS), sinks, K_PLAIN + k_at, V + v_at,
                POISON + head * tk, SINK_ROWS + b * per_batch * sinks, KEY_IDS, document_of, FIRST,
                SECOND, h, width, reach, first, second, table, query_id, row, low, high,
                query_column, query_document, prefix, stride_kt, stride_vt,
                True, True, DOCUMENTS, KIND, WIDTH, CAUSAL, PREFIX, DOCUMENTS,
                D, DP, PRECISION, UPCAST,
            )
    # Nothing seen: exactly 0. The sum is NaN where something seen was not finite.
    out = tl.where((total == 0.0)[:, None], 0.0, acc / tl.where(total == 0.0, 1.0, total)[:, None])
    some = total > 0.0
    lse = tl.where(some, top + tl.log2(tl.where(some, total, 1.0)), float("inf"))
    store_rows(OUT + q_at, row, stride_qt, live, out, D, DP)
    # +inf makes all weights of the row 0 in the backward.
    tl.store(LSE + head * tq + row, lse, mask=live)


@triton.jit
def poison(
    K, V, POISON, stride_kb, stride_kh, stride_kt, stride_vb, stride_vh, stride_vt, heads, tk,
    blocks, D: tl.constexpr, DP: tl.constexpr, BN: tl.constexpr,
):
    """0 for each key whose k and v are finite, NaN for others: float32 [B, H, Tk]."""
    program = tl.program_id(0)
    h = ((program // blocks) % heads).to(tl.int64)
    b = (program // blocks // heads).to(tl.int64)
    at = (program % blocks) * BN + tl.arange(0, BN)
    live = at < tk
    k = load_rows(K + b * stride_kb + h * stride_kh, at, stride_kt, live, D, DP, True)
    v = load_rows(V + b * stride_vb + h * stride_vh, at, stride_vt, live, D, DP, True)
    tl.store(POISON + (b * heads + h) * tk + at, tl.sum(k * 0.0 + v * 0.0, 1), mask=live)


@triton.jit
def count(
    SEEN, WINDOWS, QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF,
    SINK_ROWS, SINK_RANGES, levels, tq, tk, sinks, blocks, query_start,
    CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
    GATHER: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BS: tl.constexpr,
):
    """Keys that each query sees on a level: float32 [P, U, Tq] by row."""
    program = tl.program_id(0)
    block = program % blocks
    plan = (program // blocks).to(tl.int64)
    level = plan % levels
    p = plan // levels
    at = block * BM + tl.arange(0, BM)
    row = rows_at(QUERY_ROWS + plan * tq, at, tq, GATHER)
    live = row >= 0
    query_id = tl.load(QUERY_IDS + plan * tq + at, mask=live, other=NO_ID)
    query_column = tl.where(live, row + query_start, -1)
    query_document = load_documents(DOCUMENT + p * tk, query_column, DOCUMENTS)
    low, high = id_bounds(query_id, tl.load(WINDOWS + 2 * level), tl.load(WINDOWS + 2 * level + 1))
    prefix = 0
    if PREFIX:
        prefix = tl.load(PREFIX_OF + p)
    total = tl.zeros([BM], tl.int32)
    bounds = RANGES + (plan * blocks + block) * 4
    for n in range(tl.load(bounds), tl.load(bounds + 3), BN):
        there = n + tl.arange(0, BN)
        column = rows_at(KEY_ROWS + plan * tk, there, tk, GATHER)
        key_id = tl.load(KEY_IDS + plan * tk + there, mask=column >= 0, other=NO_ID)
        document = load_documents(DOCUMENT + p * tk, column, DOCUMENTS)
        seen = visible(
            low[:, None], high[:, None], query_column[:, None], query_document[:, None],
            key_id[None, :], column[None, :], document[None, :], prefix,
            False, CAUSAL, PREFIX, DOCUMENTS,
        )
        total += tl.sum(seen.to(tl.int32), 1)
    if SINKS:
        bounds = SINK_RANGES + (plan * blocks + block) * 2
        for n in range(tl.load(bounds), tl.load(bounds + 1), BS):
            column = rows_at(SINK_ROWS + p * sinks, n + tl.arange(0, BS), sinks, DOCUMENTS)
            document = load_documents(DOCUMENT + p * tk, column, DOCUMENTS)
            seen = visible(
                low[:, None], high[:, None], query_column[:, None], query_document[:, None],
                column[None, :], column[None, :], document[None, :], prefix,
                True, CAUSAL, PREFIX, DOCUMENTS,
            )
            total += tl.sum(seen.to(tl.int32), 1)
    tl.store(SEEN + plan * tq + row, total.to(tl.float32), mask=live)
