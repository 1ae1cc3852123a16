"""Short sequences: all keys of a sequence in one tile, forward and one-program backward.

One program takes one sequence and one level, and walks the heads that read it: they share ids,
visibility and places in the table, made once where all queries fit into the tile too (larger tiles
take the queries in blocks). Softmax needs no running sums, and the backward recomputes it instead
of reading it. Nothing is sorted, nothing but the inputs is read, and every program writes what no
other does, so that sums have one order.
"""

import triton
import triton.language as tl

from .tiles import (
    LOG2E,
    NO_ID,
    NONE,
    TABLE,
    bias_gradients,
    distance_bias,
    head_numbers,
    id_bounds,
    load_rows,
    store_rows,
    table_column,
)


@triton.jit
def _table_place(query_id, key_id, reach, EDGES, EDGED: tl.constexpr):
    """Columns of the table; EDGED: by the bucket of a difference."""
    column = table_column(query_id, key_id, reach)
    if EDGED:
        column = tl.load(EDGES + column)
    return column


@triton.jit
def _sums_by_column(total, ds, column, column0, columns, COLUMNS: tl.constexpr):
    """total [COLUMNS] and what of ds is in the table's columns from column0 on."""
    for c in range(0, columns):
        part = tl.sum(tl.where(column == column0 + c, ds, 0.0), 1)
        total += tl.where(tl.arange(0, COLUMNS) == c, tl.sum(part, 0), 0.0)
    return total


@triton.jit
def _store_sums(
    SUMS, of_scale, one, two, of_table, columns, KIND: tl.constexpr, COLUMNS: tl.constexpr
):
    """What a head's scale and bias sum up over a sequence: 3 + columns numbers."""
    tl.store(SUMS, of_scale)
    tl.store(SUMS + 1, one)
    tl.store(SUMS + 2, two)
    if KIND == TABLE:
        c = tl.arange(0, COLUMNS)
        tl.store(SUMS + 3 + c, of_table, mask=c < columns)


@triton.jit
def _visible_pairs(
    low, high, query_column, key_id, key_column, DOCUMENT, PREFIX_OF, b, tk, sinks, query_start,
    CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
):
    """Which pairs are visible [BM, BN], and which keys are sinks [BN]; -1: no such column."""
    seen = (key_id[None, :] >= low[:, None]) & (key_id[None, :] <= high[:, None])
    sink = key_column < 0
    if SINKS:
        sink = (key_column >= 0) & (key_column < sinks)
        if DOCUMENTS:
            own = tl.load(DOCUMENT + key_column, mask=key_column >= 0, other=0)
            earlier = tl.load(DOCUMENT + key_column - sinks, mask=key_column >= sinks, other=0)
            sink = sink | ((key_column >= sinks) & (own != earlier))
        seen = seen | sink[None, :]
    seen = seen & (query_column >= 0)[:, None] & (key_column >= 0)[None, :]
    if CAUSAL:
        allowed = key_column[None, :] <= query_column[:, None]
        if PREFIX:
            allowed = allowed | (key_column < tl.load(PREFIX_OF + b))[None, :]
        seen = seen & allowed
    if DOCUMENTS:
        of_query = tl.load(DOCUMENT + query_column, mask=query_column >= 0, other=0)
        of_key = tl.load(DOCUMENT + key_column, mask=key_column >= 0, other=0)
        seen = seen & (of_query[:, None] == of_key[None, :])
    return seen, sink


@triton.jit
def _pairs(
    m, QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, u, b, tq, tk, sinks,
    query_start, reach, stride_qib, stride_qil, stride_kib, stride_kil, stride_db,
    KIND: tl.constexpr, EDGED: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr, BM: tl.constexpr,
    BN: tl.constexpr,
):
    """What all heads of a level share, for the queries m.

    Visible pairs [BM, BN], sinks [BN], ids, table columns [BM, BN], logarithms of keys seen [BM].
    """
    level = tl.load(LEVEL_OF + u)
    n = tl.arange(0, BN)
    query_id = tl.load(
        QUERY_IDS + b * stride_qib + level * stride_qil + m, mask=m < tq, other=NO_ID
    )
    key_id = tl.load(KEY_IDS + b * stride_kib + level * stride_kil + n, mask=n < tk, other=NO_ID)
    low, high = id_bounds(query_id, tl.load(WINDOWS + 2 * u), tl.load(WINDOWS + 2 * u + 1))
    seen, sink = _visible_pairs(
        low, high, tl.where(m < tq, m + query_start, -1), key_id, tl.where(n < tk, n, -1),
        DOCUMENT + b * stride_db, PREFIX_OF, b, tk, sinks, query_start,
        CAUSAL, PREFIX, DOCUMENTS, SINKS,
    )
    growth = tl.full([BM], 1.0, tl.float32)
    if LOG_SCALE:
        growth = tl.log(tl.maximum(tl.sum(seen.to(tl.float32), 1), 1.0))
    column = tl.zeros([BM, BN], tl.int32)
    if KIND == TABLE:
        column = _table_place(query_id[:, None], key_id[None, :], reach, EDGES, EDGED)
    return seen, sink, query_id, key_id, column, growth


@triton.jit
def _columns(
    m, n, QUERY_IDS, KEY_IDS, EDGES, LEVEL_OF, u, b, tq, tk, reach, stride_qib, stride_qil,
    stride_kib, stride_kil, EDGED: tl.constexpr,
):
    """The columns of `_pairs`, from ids read anew, so that they need not be kept meanwhile."""
    level = tl.load(LEVEL_OF + u)
    query_at = QUERY_IDS + b * stride_qib + level * stride_qil + m
    key_at = KEY_IDS + b * stride_kib + level * stride_kil + n
    query_id = tl.load(query_at, mask=m < tq, other=NO_ID, volatile=True)
    key_id = tl.load(key_at, mask=n < tk, other=NO_ID, volatile=True)
    return _table_place(query_id[:, None], key_id[None, :], reach, EDGES, EDGED)


@triton.jit
def _row(X, at, end, stride, D: tl.constexpr, DP: tl.constexpr, UPCAST: tl.constexpr):
    """Rows of a matrix, 0 where they hold what is not finite; and per row NaN there, else 0."""
    x = load_rows(X, at, stride, at < end, D, DP, UPCAST)
    poison = tl.sum(x.to(tl.float32) * 0.0, 1)
    return tl.where((poison == 0.0)[:, None], x, 0.0).to(x.dtype), poison


@triton.jit
def _keys(
    K, V, K_PLAIN, k_at, v_at, n, tk, stride_kt, stride_vt,
    APART: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, UPCAST: tl.constexpr,
):
    """k, v and plain k, all of them 0 where k or v is not finite; NaN there, else 0."""
    k, bad_k = _row(K + k_at, n, tk, stride_kt, D, DP, UPCAST)
    v, bad_v = _row(V + v_at, n, tk, stride_vt, D, DP, UPCAST)
    poison = bad_k + bad_v
    good = (poison == 0.0)[:, None]
    k = tl.where(good, k, 0.0).to(k.dtype)
    v = tl.where(good, v, 0.0).to(v.dtype)
    plain = k
    if APART:
        plain, _ = _row(K_PLAIN + k_at, n, tk, stride_kt, D, DP, UPCAST)
        plain = tl.where(good, plain, 0.0).to(k.dtype)
    return k, v, plain, poison


@triton.jit
def _weights(
    q, k, plain_q, plain_k, poison, bad, seen, sink, query_id, key_id, column, growth, scale,
    first, second, table,
    KIND: tl.constexpr, SINKS: tl.constexpr, APART: tl.constexpr, PRECISION: tl.constexpr,
):
    """Softmax weights [BM, BN] before division, and their sums [BM]; a sum of NaN is poisoned."""
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    if APART:
        plain = tl.dot(plain_q, tl.trans(plain_k), input_precision=PRECISION)
        scores = tl.where(sink[None, :], plain, scores)
    factor = growth * (scale * LOG2E) + bad
    scores = scores * factor[:, None] + poison[None, :]
    if KIND != NONE:
        if KIND == TABLE:
            value = tl.reshape(tl.gather(table, tl.ravel(column), 0), column.shape)
        else:
            value = distance_bias(query_id[:, None], key_id[None, :], first, second, KIND)
        if SINKS:
            value = tl.where(sink[None, :], 0.0, value)
        scores += value
    scores = tl.where(seen, scores, float("-inf"))
    top = tl.max(scores, 1)
    weights = tl.exp2(scores - tl.where(top == float("-inf"), 0.0, top)[:, None])
    return weights, tl.sum(weights, 1)


@triton.jit
def short_forward(
    Q, K, V, Q_PLAIN, K_PLAIN, OUT, SCALE, FIRST, SECOND, QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF,
    EDGES, WINDOWS, LEVEL_OF, HEADS_OF, STARTS, stride_qb, stride_qh, stride_qt, stride_kb,
    stride_kh, stride_kt, stride_vb, stride_vh, stride_vt, stride_qib, stride_qil, stride_kib,
    stride_kil, stride_db, heads, levels, tq, tk, sinks, query_start, width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, EDGED: tl.constexpr, ROTARY: tl.constexpr,
    LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    SINKS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    BLOCKS: tl.constexpr, PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: one sequence, one level, all heads that read it.

    HEADS_OF: the heads in the order of their levels, then the level of each of these; the heads of
    level u are STARTS[u] .. STARTS[u + 1] - 1.
    """
    u = tl.program_id(0) % levels
    b = (tl.program_id(0) // levels).to(tl.int64)
    APART: tl.constexpr = ROTARY and SINKS
    n = tl.arange(0, BN)
    # A number that the compiler knows would make it unroll the loop, and spill.
    blocks = tl.cdiv(tq, BM) if BLOCKS > 1 else 1
    if BLOCKS == 1:
        seen, sink, query_id, key_id, column, growth = _pairs(
            tl.arange(0, BM), QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, u,
            b, tq, tk, sinks, query_start, reach, stride_qib, stride_qil, stride_kib, stride_kil,
            stride_db, KIND, EDGED, LOG_SCALE, CAUSAL, PREFIX, DOCUMENTS, SINKS, BM, BN,
        )
    for i in range(tl.load(STARTS + u), tl.load(STARTS + u + 1)):
        h = tl.load(HEADS_OF + i).to(tl.int64)
        q_at = b * stride_qb + h * stride_qh
        k, v, plain_k, poison = _keys(
            K, V, K_PLAIN, b * stride_kb + h * stride_kh, b * stride_vb + h * stride_vh, n, tk,
            stride_kt, stride_vt, APART, D, DP, UPCAST,
        )
        first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
        scale = tl.load(SCALE + h)
        for block in range(0, blocks):
            m = block * BM + tl.arange(0, BM)
            if BLOCKS > 1:
                # The level anew from memory, or the compiler keeps what it was to make again.
                seen, sink, query_id, key_id, column, growth = _pairs(
                    m, QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF,
                    tl.load(HEADS_OF + heads + i), b, tq, tk, sinks, query_start, reach,
                    stride_qib, stride_qil, stride_kib, stride_kil, stride_db, KIND, EDGED,
                    LOG_SCALE, CAUSAL, PREFIX, DOCUMENTS, SINKS, BM, BN,
                )
            q, bad = _row(Q + q_at, m, tq, stride_qt, D, DP, UPCAST)
            plain_q = q
            if APART:
                plain_q, _ = _row(Q_PLAIN + q_at, m, tq, stride_qt, D, DP, UPCAST)
            weights, total = _weights(
                q, k, plain_q, plain_k, poison, bad, seen, sink, query_id, key_id, column, growth,
                scale, first, second, table, KIND, SINKS, APART, PRECISION,
            )
            out = tl.dot(weights.to(v.dtype), v, input_precision=PRECISION)
            out = out / tl.where(total == 0.0, 1.0, total)[:, None]
            # A weight of NaN need not reach all of a row by way of tensor cores.
            out = tl.where((total == total)[:, None], out, float("nan"))
            store_rows(OUT + q_at, m, stride_qt, m < tq, out, D, DP)


@triton.jit
def short_backward(
    Q, K, V, Q_PLAIN, K_PLAIN, GRAD, DQ, DK, DV, DQ_PLAIN, DK_PLAIN, SUMS, SCALE, FIRST, SECOND,
    QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, HEADS_OF, STARTS,
    stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt, stride_vb, stride_vh,
    stride_vt, stride_qib, stride_qil, stride_kib, stride_kil, stride_db, heads, levels, tq, tk,
    sinks, query_start, width, reach, column0, columns,
    KIND: tl.constexpr, WIDTH: tl.constexpr, EDGED: tl.constexpr, ROTARY: tl.constexpr,
    LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    SINKS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BLOCKS: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """One program: all gradients of one sequence by the heads that read one level.

    SUMS [B, H, 3 + columns] gets what scale and bias sum up over a sequence: scale, first, second,
    and table columns column0 .. column0 + columns - 1, at most COLUMNS.
    """
    u = tl.program_id(0) % levels
    b = (tl.program_id(0) // levels).to(tl.int64)
    APART: tl.constexpr = ROTARY and SINKS
    n = tl.arange(0, BN)
    # A number that the compiler knows would make it unroll the loop, and spill.
    blocks = tl.cdiv(tq, BM) if BLOCKS > 1 else 1
    # Large tiles do not leave the registers to keep what heads share.
    AGAIN: tl.constexpr = BLOCKS > 1 or BM * BN >= 16384
    if not AGAIN:
        seen, sink, query_id, key_id, column, growth = _pairs(
            tl.arange(0, BM), QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, u,
            b, tq, tk, sinks, query_start, reach, stride_qib, stride_qil, stride_kib, stride_kil,
            stride_db, KIND, EDGED, LOG_SCALE, CAUSAL, PREFIX, DOCUMENTS, SINKS, BM, BN,
        )
    for i in range(tl.load(STARTS + u), tl.load(STARTS + u + 1)):
        h = tl.load(HEADS_OF + i).to(tl.int64)
        q_at = b * stride_qb + h * stride_qh
        k_at = b * stride_kb + h * stride_kh
        v_at = b * stride_vb + h * stride_vh
        k, v, plain_k, poison = _keys(
            K, V, K_PLAIN, k_at, v_at, n, tk, stride_kt, stride_vt, APART, D, DP, UPCAST
        )
        first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
        scale = tl.load(SCALE + h)
        dk = tl.zeros([BN, DP], tl.float32)
        dv = tl.zeros([BN, DP], tl.float32)
        plain_dk = tl.zeros([BN, DP], tl.float32)
        of_scale = 0.0
        one = 0.0
        two = 0.0
        of_table = tl.zeros([COLUMNS], tl.float32)
        for block in range(0, blocks):
            m = block * BM + tl.arange(0, BM)
            if AGAIN:
                seen, sink, query_id, key_id, column, growth = _pairs(
                    m, QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF,
                    tl.load(HEADS_OF + heads + i), b, tq, tk, sinks, query_start, reach,
                    stride_qib, stride_qil, stride_kib, stride_kil, stride_db, KIND, EDGED,
                    LOG_SCALE, CAUSAL, PREFIX, DOCUMENTS, SINKS, BM, BN,
                )
            q, bad = _row(Q + q_at, m, tq, stride_qt, D, DP, UPCAST)
            plain_q = q
            if APART:
                plain_q, _ = _row(Q_PLAIN + q_at, m, tq, stride_qt, D, DP, UPCAST)
            weights, total = _weights(
                q, k, plain_q, plain_k, poison, bad, seen, sink, query_id, key_id, column, growth,
                scale, first, second, table, KIND, SINKS, APART, PRECISION,
            )
            # Rows that saw nothing, or something not finite (a sum of NaN), take no part.
            alive = total > 0.0
            p = tl.where(alive[:, None], weights / tl.where(alive, total, 1.0)[:, None], 0.0)
            g = load_rows(GRAD + q_at, m, stride_qt, (m < tq) & alive, D, DP, UPCAST)
            dv = tl.dot(tl.trans(p.to(g.dtype)), g, dv, input_precision=PRECISION)
            # What is invisible may be large enough to make 0 * infinity of it.
            dp = tl.where(p > 0.0, tl.dot(g, tl.trans(v), input_precision=PRECISION), 0.0)
            ds = p * (dp - tl.sum(p * dp, 1)[:, None])
            factor = (growth * scale)[:, None]
            if APART:
                plain = tl.where(sink[None, :], ds, 0.0)
                ds = tl.where(sink[None, :], 0.0, ds)
                dq = tl.dot(plain.to(k.dtype), plain_k, input_precision=PRECISION)
                of_scale += tl.sum(tl.sum(dq * plain_q.to(tl.float32), 1) * growth, 0)
                store_rows(DQ_PLAIN + q_at, m, stride_qt, m < tq, dq * factor, D, DP)
                plain = tl.trans((plain * growth[:, None]).to(q.dtype))
                plain_dk = tl.dot(plain, plain_q, plain_dk, input_precision=PRECISION)
            dq = tl.dot(ds.to(k.dtype), k, input_precision=PRECISION)
            # dq . q is what the logit factor gets, for it is sum_j ds_ij (k_j . q_i).
            of_scale += tl.sum(tl.sum(dq * q.to(tl.float32), 1) * growth, 0)
            store_rows(DQ + q_at, m, stride_qt, m < tq, dq * factor, D, DP)
            spread = ds
            if LOG_SCALE:
                spread = ds * growth[:, None]
            dk = tl.dot(tl.trans(spread.to(q.dtype)), q, dk, input_precision=PRECISION)
            if KIND != NONE:
                if SINKS:
                    ds = tl.where(sink[None, :], 0.0, ds)
                if KIND == TABLE:
                    if AGAIN:
                        column = _columns(
                            m, n, QUERY_IDS, KEY_IDS, EDGES, LEVEL_OF, u, b, tq, tk, reach,
                            stride_qib, stride_qil, stride_kib, stride_kil, EDGED,
                        )
                    of_table = _sums_by_column(of_table, ds, column, column0, columns, COLUMNS)
                else:
                    more, more2 = bias_gradients(
                        ds, query_id[:, None], key_id[None, :], 0, first, second, 1, KIND
                    )
                    one += tl.sum(more, 0)
                    two += tl.sum(more2, 0)
        store_rows(DK + k_at, n, stride_kt, n < tk, dk * scale, D, DP)
        store_rows(DV + v_at, n, stride_vt, n < tk, dv, D, DP)
        if APART:
            store_rows(DK_PLAIN + k_at, n, stride_kt, n < tk, plain_dk * scale, D, DP)
        sums = SUMS + (b * heads + h) * (3 + columns)
        _store_sums(sums, of_scale, one, two, of_table, columns, KIND, COLUMNS)
