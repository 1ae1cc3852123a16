"""Backward in two kernels, each of which owns what it writes: no atomics, one order of sums.

With p the weights and g the gradient of the output, ds = p * (g . v - delta), delta = g . out.
`queries` gives dq, the mechanism's scalar sums and delta; `keys` gives dk and dv.
"""

import triton
import triton.language as tl

from .tiles import (
    BY_QUERY,
    FIRE,
    LOG2E,
    NO_ID,
    NONE,
    TABLE,
    bias,
    bias_gradients,
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
def _query_step(
    q, g, factor, lse, delta, acc, one, two, moved, rest, mean, at, end, K, V, POISON, ROWS, IDS,
    DOCUMENT, FIRST, SECOND, h, width, reach, first, second, table, query_id, query_row, low, high,
    query_column, query_document, prefix, stride_kt, stride_vt,
    MASKED: tl.constexpr, SINK: tl.constexpr, GATHER: tl.constexpr, KIND: tl.constexpr,
    WIDTH: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    CENTRED: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Add ds . k over the keys at positions `at`, and the bias sums.

    CENTRED: also ds * x, ds and weight * x, where x is what the logit factor multiplies.
    FULL: rows of 128 numbers, split in two for TF32, leave no registers to what makes the bias
    while the scores are made; so that comes first.
    """
    row = rows_at(ROWS, at, end, GATHER)
    live = (row >= 0) & (tl.load(POISON + row, mask=row >= 0, other=0.0) == 0.0)
    k = load_rows(K, row, stride_kt, live, D, DP, UPCAST)
    v = load_rows(V, row, stride_vt, live, D, DP, UPCAST)
    FULL: tl.constexpr = DP >= 128 and PRECISION == "tf32x3"
    if FULL:
        if KIND == TABLE and not SINK:
            key_id = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
            value = bias(
                query_id[:, None], key_id[None, :], FIRST, h, width, reach, first, second, table,
                KIND, WIDTH,
            )
        dp = tl.dot(g, tl.trans(v), input_precision=PRECISION) - delta[:, None]
    raw = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if SINK:
        key_id = row
        scores = raw * factor[:, None]
    elif FULL and KIND == TABLE:
        scores = raw * factor[:, None] + value
    else:
        key_id = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
        scores, shift, raw = scores_of(
            raw, factor[:, None], query_id[:, None], key_id[None, :], query_row[:, None],
            tl.where(live, row, -1)[None, :], FIRST, SECOND, h, width, reach, first, second, table,
            KIND, WIDTH,
        )
    p = tl.exp2(scores - lse[:, None])
    if FULL:
        ds = p * dp
    else:
        ds = p * (tl.dot(g, tl.trans(v), input_precision=PRECISION) - delta[:, None])
    if MASKED:
        document = load_documents(DOCUMENT, row, DOCUMENTS)
        seen = visible(
            low[:, None], high[:, None], query_column[:, None], query_document[:, None],
            key_id[None, :], row[None, :], document[None, :], prefix,
            SINK, CAUSAL, PREFIX, DOCUMENTS,
        )
        # Not p: what is invisible may be large enough to make 0 * infinity of it.
        ds = tl.where(seen, ds, 0.0)
        if CENTRED:
            p = tl.where(seen, p, 0.0)
            raw = tl.where(seen, raw, 0.0)
    acc = tl.dot(ds.to(k.dtype), k, acc, input_precision=PRECISION)
    if CENTRED:
        moved += tl.sum(ds * raw, 1)
        rest += tl.sum(ds, 1)
        mean += tl.sum(p * raw, 1)
    if (not SINK) and KIND >= BY_QUERY:
        one += tl.sum(ds * shift, 1)
    elif (not SINK) and KIND != NONE and KIND != FIRE:
        more, more2 = bias_gradients(
            ds, query_id[:, None], key_id[None, :], reach, first, second, 1, KIND
        )
        one += more
        two += more2
    return acc, one, two, moved, rest, mean


@triton.jit
def queries(
    Q, K, V, Q_PLAIN, K_PLAIN, OUT, GRAD, DQ, DQ_PLAIN, LSE, DELTA, SUMS, POISON, LEVELS, WINDOWS,
    SCALE, SEEN, FIRST, SECOND, QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT,
    PREFIX_OF, SINK_ROWS, SINK_RANGES,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, heads, levels, tq, tk, sinks, blocks, query_start, per_batch,
    width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, ROTARY: tl.constexpr, LOG_SCALE: tl.constexpr,
    CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
    GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BS: tl.constexpr, CENTRED: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: dq of BM queries; SUMS gets three numbers (scale, bias first, bias second)."""
    program = tl.program_id(0)
    block = blocks - 1 - program % blocks
    h = ((program // blocks) % heads).to(tl.int64)
    b = (program // blocks // heads).to(tl.int64)
    level = tl.load(LEVELS + h)
    plan = (b * per_batch) * levels + level
    at = block * BM + tl.arange(0, BM)
    row = rows_at(QUERY_ROWS + plan * tq, at, tq, GATHER)
    query_id = tl.load(QUERY_IDS + plan * tq + at, mask=row >= 0, other=NO_ID)
    query_column = tl.where(row >= 0, row + query_start, -1)
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
    # Rows that saw nothing, or something not finite, have lse = inf and take no part.
    lse = tl.load(LSE + head * tq + row, mask=row >= 0, other=float("inf"))
    live = lse < float("inf")
    q = load_rows(Q + q_at, row, stride_qt, live, D, DP, UPCAST)
    g = load_rows(GRAD + q_at, row, stride_qt, live, D, DP, UPCAST)
    out = load_rows(OUT + q_at, row, stride_qt, live, D, DP, True)
    delta = tl.sum(g.to(tl.float32) * out, 1)
    tl.store(DELTA + head * tq + row, delta, mask=row >= 0)
    scale = tl.load(SCALE + h)
    growth = tl.full([BM], 1.0, tl.float32)
    if LOG_SCALE:
        seen = tl.load(SEEN + plan * tq + row, mask=row >= 0, other=1.0)
        growth = tl.log(tl.maximum(seen, 1.0))
    factor = growth * (scale * LOG2E)
    if KIND >= BY_QUERY:
        FIRST += head * tq * width
        SECOND += head * tk * reach
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)

    acc = tl.zeros([BM, DP], tl.float32)
    one = tl.zeros([BM], tl.float32)
    two = tl.zeros([BM], tl.float32)
    moved = tl.zeros([BM], tl.float32)
    rest = tl.zeros([BM], tl.float32)
    mean = tl.zeros([BM], tl.float32)
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
            acc, one, two, moved, rest, mean = _query_step(
                q, g, factor, lse, delta, acc, one, two, moved, rest, mean, n + tl.arange(0, BN),
                tk, K + k_at, V + v_at, POISON + head * tk, KEY_ROWS + plan * tk,
                KEY_IDS + plan * tk, document_of, FIRST, SECOND, h, width, reach, first, second,
                table, query_id, tl.where(live, row, -1), low, high, query_column, query_document,
                prefix, stride_kt, stride_vt,
                part == 0, False, GATHER, KIND, WIDTH, CAUSAL, PREFIX, DOCUMENTS,
                CENTRED, D, DP, PRECISION, UPCAST,
            )
    # acc . q is what the logit factor gets, for it is sum_j ds_ij (k_j . q_i); and content.
    d_factor = tl.sum(acc * q.to(tl.float32), 1)
    if KIND >= BY_QUERY:
        d_factor += one
    if ROTARY and SINKS:
        store_rows(DQ + q_at, row, stride_qt, row >= 0, acc * (growth * scale)[:, None], D, DP)
        q = load_rows(Q_PLAIN + q_at, row, stride_qt, live, D, DP, UPCAST)
        acc = tl.zeros([BM, DP], tl.float32)
    if SINKS:
        bounds = SINK_RANGES + (plan * blocks + block) * 2
        for n in range(tl.load(bounds), tl.load(bounds + 1), BS):
            acc, one, two, moved, rest, mean = _query_step(
                q, g, factor, lse, delta, acc, one, two, moved, rest, mean, n + tl.arange(0, BS),
                sinks, K_PLAIN + k_at, V + v_at, POISON + head * tk,
                SINK_ROWS + b * per_batch * sinks, KEY_IDS, document_of, FIRST, SECOND, h, width,
                reach, first, second, table, query_id, row, low, high, query_column,
                query_document, prefix, stride_kt, stride_vt,
                True, True, DOCUMENTS, KIND, WIDTH, CAUSAL, PREFIX, DOCUMENTS,
                CENTRED, D, DP, PRECISION, UPCAST,
            )
        if ROTARY:
            d_factor += tl.sum(acc * q.to(tl.float32), 1)
        else:
            d_factor = tl.sum(acc * q.to(tl.float32), 1)
            if KIND >= BY_QUERY:
                d_factor += one
    if CENTRED:
        # ds of a row sums to 0 but for rounding, and x may have a part common to the row: off
        # with what is left, spread over the row as the weights are.
        d_factor = moved - rest * mean
    target = DQ_PLAIN if (ROTARY and SINKS) else DQ
    store_rows(target + q_at, row, stride_qt, row >= 0, acc * (growth * scale)[:, None], D, DP)
    sums = SUMS + (head * blocks + block) * 3
    tl.store(sums, tl.sum(d_factor * growth, 0))
    tl.store(sums + 1, tl.sum(one, 0))
    tl.store(sums + 2, tl.sum(two, 0))


@triton.jit
def _key_step(
    k, v, dk, dv, at, Q, GRAD, LSE, DELTA, SEEN, ROWS, IDS, DOCUMENT, FIRST, SECOND, h, width,
    reach, first, second, table, scale, back, ahead, key_id, key_row, key_column, key_document,
    prefix, tq, query_start, stride_qt,
    MASKED: tl.constexpr, SINK: tl.constexpr, GATHER: tl.constexpr, KIND: tl.constexpr,
    WIDTH: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr,
    DOCUMENTS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Add the queries at positions `at`; tiles are [keys, queries].

    EARLY: a table's bias before the scores, as with FULL in `_query_step`.
    """
    row = rows_at(ROWS, at, tq, GATHER)
    lse = tl.load(LSE + row, mask=row >= 0, other=float("inf"))
    live = lse < float("inf")
    delta = tl.load(DELTA + row, mask=row >= 0, other=0.0)
    q = load_rows(Q, row, stride_qt, live, D, DP, UPCAST)
    g = load_rows(GRAD, row, stride_qt, live, D, DP, UPCAST)
    factor = tl.full([1], 1.0, tl.float32) * scale
    if LOG_SCALE:
        seen = tl.load(SEEN + row, mask=row >= 0, other=1.0)
        factor = factor * tl.log(tl.maximum(seen, 1.0))
    EARLY: tl.constexpr = KIND == TABLE and DP >= 128 and PRECISION == "tf32x3" and not SINK
    if EARLY:
        query_id = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
        value = bias(
            query_id[None, :], key_id[:, None], FIRST, h, width, reach, first, second, table,
            KIND, WIDTH,
        )
    scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)
    if not EARLY:
        query_id = row
    if SINK:
        scores = scores * (factor * LOG2E)[None, :]
    elif EARLY:
        scores = scores * (factor * LOG2E)[None, :] + value
    else:
        query_id = tl.load(IDS + at, mask=row >= 0, other=NO_ID)
        scores, _, _ = scores_of(
            scores, (factor * LOG2E)[None, :], query_id[None, :], key_id[:, None],
            tl.where(live, row, -1)[None, :], key_row[:, None], FIRST, SECOND, h, width, reach,
            first, second, table, KIND, WIDTH,
        )
    p = tl.exp2(scores - lse[None, :])
    ds = p * (tl.dot(v, tl.trans(g), input_precision=PRECISION) - delta[None, :])
    if MASKED:
        column = tl.where(row >= 0, row + query_start, -1)
        document = load_documents(DOCUMENT, column, DOCUMENTS)
        low, high = id_bounds(query_id, back, ahead)
        seen_pairs = visible(
            low[None, :], high[None, :], column[None, :], document[None, :],
            key_id[:, None], key_column[:, None], key_document[:, None], prefix,
            SINK, CAUSAL, PREFIX, DOCUMENTS,
        )
        p = tl.where(seen_pairs, p, 0.0)
        ds = tl.where(seen_pairs, ds, 0.0)
    dv = tl.dot(p.to(g.dtype), g, dv, input_precision=PRECISION)
    if LOG_SCALE:
        ds = ds * factor[None, :]
    dk = tl.dot(ds.to(q.dtype), q, dk, input_precision=PRECISION)
    return dk, dv


@triton.jit
def keys(
    Q, K, V, GRAD, DK, DV, LSE, DELTA, POISON, LEVELS, WINDOWS, SCALE, SEEN, FIRST, SECOND,
    QUERY_ROWS, QUERY_IDS, KEY_ROWS, KEY_IDS, RANGES, DOCUMENT, PREFIX_OF,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, stride_ob, stride_oh, stride_ot, stride_op,
    heads, levels, tq, tk, listed, blocks, parts, query_start, per_batch, width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINK: tl.constexpr, PARTIAL: tl.constexpr,
    GATHER: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: dk and dv of BN keys.

    SINK: the keys are sinks, the queries all rows in order; the rows are split into `parts`, and
    with PARTIAL each part writes sums of its own ([parts, B, H, listed, D]) to be added up.
    """
    program = tl.program_id(0)
    block = program % blocks
    part = (program // blocks) % parts
    h = ((program // blocks // parts) % heads).to(tl.int64)
    b = (program // blocks // parts // heads).to(tl.int64)
    level = tl.load(LEVELS + h)
    shared = b * per_batch
    plan = shared * levels + level
    at = block * BN + tl.arange(0, BN)
    list_of = shared if SINK else plan
    column = rows_at(KEY_ROWS + list_of * listed, at, listed, DOCUMENTS if SINK else GATHER)
    key_id = column
    if not SINK:
        key_id = tl.load(KEY_IDS + plan * tk + at, mask=column >= 0, other=NO_ID)
    document_of = DOCUMENT + shared * tk
    key_document = load_documents(document_of, column, DOCUMENTS)
    back = tl.load(WINDOWS + 2 * level)
    ahead = tl.load(WINDOWS + 2 * level + 1)
    prefix = 0
    if PREFIX:
        prefix = tl.load(PREFIX_OF + b)
    q_at = b * stride_qb + h * stride_qh
    head = b * heads + h
    there = column >= 0
    live = there & (tl.load(POISON + head * tk + column, mask=there, other=0.0) == 0.0)
    k = load_rows(K + b * stride_kb + h * stride_kh, column, stride_kt, live, D, DP, UPCAST)
    v = load_rows(V + b * stride_vb + h * stride_vh, column, stride_vt, live, D, DP, UPCAST)
    scale = tl.load(SCALE + h)
    if KIND >= BY_QUERY:
        FIRST += head * tq * width
        SECOND += head * tk * reach
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)

    dk = tl.zeros([BN, DP], tl.float32)
    dv = tl.zeros([BN, DP], tl.float32)
    bounds = RANGES + ((shared if SINK else plan) * blocks + block) * 4
    lo = tl.load(bounds)
    a = tl.load(bounds + 1)
    z = tl.load(bounds + 2)
    hi = tl.load(bounds + 3)
    if SINK:
        share = tl.cdiv(tl.cdiv(hi - lo, BM), parts) * BM
        lo += part * share
        hi = tl.minimum(hi, lo + share)
        a = hi
        z = hi
    for piece in tl.static_range(1 if SINK else 2):
        start = lo if piece == 0 else a
        stop = a + hi - z if piece == 0 else z
        for i in range(start, stop, BM):
            m = tl.where(i < a, i, i + z - a) if piece == 0 else i
            dk, dv = _key_step(
                k, v, dk, dv, m + tl.arange(0, BM), Q + q_at, GRAD + q_at, LSE + head * tq,
                DELTA + head * tq, SEEN + plan * tq, QUERY_ROWS + plan * tq,
                QUERY_IDS + plan * tq, document_of, FIRST, SECOND, h, width, reach, first, second,
                table, scale, back, ahead, key_id, tl.where(live, column, -1), column,
                key_document, prefix, tq, query_start, stride_qt,
                piece == 0, SINK, GATHER and not SINK, KIND, WIDTH, LOG_SCALE, CAUSAL, PREFIX,
                DOCUMENTS, D, DP, PRECISION, UPCAST,
            )
    if not LOG_SCALE:
        dk = dk * scale
    if PARTIAL:
        o_at = part.to(tl.int64) * stride_op + b * stride_ob + h * stride_oh
        store_rows(DK + o_at, at, stride_ot, there, dk, D, DP)
        store_rows(DV + o_at, at, stride_ot, there, dv, D, DP)
    else:
        k_out = DK + b * stride_kb + h * stride_kh
        store_rows(k_out, column, stride_kt, there, dk, D, DP)
        store_rows(DV + b * stride_vb + h * stride_vh, column, stride_vt, there, dv, D, DP)
