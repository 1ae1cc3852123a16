"""Short sequences that no single tile holds: blocks of queries and keys, one program a sequence.

One program takes one sequence and one level, and walks the heads that read it, as in `short`, but
its tiles are [BM, BN] blocks: forward with a running softmax, backward in two rounds, dq by blocks
of queries and then dk and dv by blocks of keys. Nothing is sorted, and every program writes what no
other does, so that sums have one order.
"""

import triton
import triton.language as tl

from .short import _keys, _row, _store_sums, _sums_by_column, _table_place
from .tiles import (
    LOG2E,
    NO_ID,
    NONE,
    TABLE,
    bias_gradients,
    distance_bias,
    head_numbers,
    id_bounds,
    load_documents,
    load_rows,
    store_rows,
)


@triton.jit
def _query_side(m, tq, IDS, DOCUMENT, WINDOWS, u, query_start, DOCUMENTS: tl.constexpr):
    """Ids, bounds of the ids that are seen, columns and documents of the queries m."""
    ids = tl.load(IDS + m, mask=m < tq, other=NO_ID)
    low, high = id_bounds(ids, tl.load(WINDOWS + 2 * u), tl.load(WINDOWS + 2 * u + 1))
    column = tl.where(m < tq, m + query_start, -1)
    return ids, low, high, column, load_documents(DOCUMENT, column, DOCUMENTS)


@triton.jit
def _key_side(
    n, tk, IDS, DOCUMENT, prefix, sinks,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
):
    """Ids, first columns that see them, documents of the keys n; and which of them are sinks."""
    ids = tl.load(IDS + n, mask=n < tk, other=NO_ID)
    document = load_documents(DOCUMENT, tl.where(n < tk, n, -1), DOCUMENTS)
    sink = n < 0
    if SINKS:
        sink = n < tl.minimum(sinks, tk)
        if DOCUMENTS:
            late = (n >= sinks) & (n < tk)
            sink = sink | (late & (document != tl.load(DOCUMENT + n - sinks, mask=late, other=0)))
    return ids, tl.where(n < prefix, -1, n) if PREFIX else n, document, sink


@triton.jit
def _visible(
    low, high, query_column, query_document, key_id, key_column, key_document, sink,
    CAUSAL: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr, APART: tl.constexpr,
    PLAIN: tl.constexpr,
):
    """Which pairs are visible. Keys that are none have NO_ID and are no sinks.

    APART: of sinks alone if PLAIN, of other keys alone if not.
    """
    seen = (key_id >= low) & (key_id <= high)
    if PLAIN:
        seen = sink
    elif APART:
        seen = seen & (sink == 0)
    elif SINKS:
        seen = seen | sink
    if CAUSAL:
        seen = seen & (key_column <= query_column)
    if DOCUMENTS:
        seen = seen & (key_document == query_document)
    return seen


@triton.jit
def _end(tk, sinks, PLAIN: tl.constexpr, DOCUMENTS: tl.constexpr):
    """Where the keys end that a round looks at: sinks without documents are the first columns."""
    return tl.minimum(sinks, tk) if PLAIN and not DOCUMENTS else tk


@triton.jit
def _scores(
    scores, query_id, key_id, seen, sink, EDGES, reach, first, second, table,
    KIND: tl.constexpr, EDGED: tl.constexpr, SINKS: tl.constexpr,
):
    """Scores with the bias where visible, else -inf."""
    if KIND != NONE:
        if KIND == TABLE:
            column = _table_place(query_id, key_id, reach, EDGES, EDGED)
            value = tl.reshape(tl.gather(table, tl.ravel(column), 0), column.shape)
        else:
            value = distance_bias(query_id, key_id, first, second, KIND)
        if SINKS:
            value = tl.where(sink, 0.0, value)
        scores += value
    return tl.where(seen, scores, float("-inf"))


@triton.jit
def _seen_by(
    tk, low, high, column, document, KEY_IDS, DOCUMENT, prefix, sinks,
    CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):
    """How many keys each of the queries m sees: float32 [BM]."""
    count = tl.zeros([BM], tl.float32)
    for start in range(0, tk, BN):
        key_id, key_column, key_document, sink = _key_side(
            start + tl.arange(0, BN), tk, KEY_IDS, DOCUMENT, prefix, sinks, PREFIX, DOCUMENTS, SINKS
        )
        seen = _visible(
            low[:, None], high[:, None], column[:, None], document[:, None], key_id[None, :],
            key_column[None, :], key_document[None, :], sink[None, :], CAUSAL, DOCUMENTS, SINKS,
            False, False,
        )
        count += tl.sum(seen.to(tl.float32), 1)
    return count


@triton.jit
def split_forward(
    Q, K, V, Q_PLAIN, K_PLAIN, OUT, LSE, SEEN, SCALE, FIRST, SECOND, QUERY_IDS, KEY_IDS, DOCUMENT,
    PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, HEADS_OF, STARTS, stride_qb, stride_qh, stride_qt,
    stride_kb, stride_kh, stride_kt, stride_vb, stride_vh, stride_vt, stride_qib, stride_qil,
    stride_kib, stride_kil, stride_db, heads, levels, tq, tk, sinks, query_start, width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, EDGED: tl.constexpr, ROTARY: tl.constexpr,
    LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    SINKS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: one sequence, one level, all heads that read it; heads as in `short_forward`.

    LSE [B, H, Tq] gets logarithms of the sums in units of log 2, inf where a row takes no part in
    the backward; SEEN [B, levels, Tq] how many keys a query sees, with LOG_SCALE.
    """
    u = tl.program_id(0) % levels
    b = (tl.program_id(0) // levels).to(tl.int64)
    APART: tl.constexpr = ROTARY and SINKS
    level = tl.load(LEVEL_OF + u)
    QUERY_IDS += b * stride_qib + level * stride_qil
    KEY_IDS += b * stride_kib + level * stride_kil
    DOCUMENT += b * stride_db
    prefix = tl.load(PREFIX_OF + b) if PREFIX else 0
    for i in range(tl.load(STARTS + u), tl.load(STARTS + u + 1)):
        h = tl.load(HEADS_OF + i).to(tl.int64)
        q_at = b * stride_qb + h * stride_qh
        first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
        scale = tl.load(SCALE + h)
        for begin in range(0, tq, BM):
            m = begin + tl.arange(0, BM)
            query_id, low, high, column, document = _query_side(
                m, tq, QUERY_IDS, DOCUMENT, WINDOWS, u, query_start, DOCUMENTS
            )
            growth = tl.full([BM], 1.0, tl.float32)
            if LOG_SCALE:
                count = _seen_by(
                    tk, low, high, column, document, KEY_IDS, DOCUMENT, prefix, sinks,
                    CAUSAL, PREFIX, DOCUMENTS, SINKS, BM, BN,
                )
                tl.store(SEEN + (b * levels + u) * tq + m, count, mask=m < tq)
                growth = tl.log(tl.maximum(count, 1.0))
            acc = tl.zeros([BM, DP], tl.float32)
            top = tl.full([BM], float("-inf"), tl.float32)
            total = tl.zeros([BM], tl.float32)
            for PLAIN in tl.static_range(2 if APART else 1):
                q, bad = _row((Q_PLAIN if PLAIN else Q) + q_at, m, tq, stride_qt, D, DP, UPCAST)
                factor = (bad + scale * LOG2E) * growth
                for start in range(0, _end(tk, sinks, PLAIN, DOCUMENTS), BN):
                    n = start + tl.arange(0, BN)
                    key_id, key_column, key_document, sink = _key_side(
                        n, tk, KEY_IDS, DOCUMENT, prefix, sinks, PREFIX, DOCUMENTS, SINKS
                    )
                    k, v, _, poison = _keys(
                        K_PLAIN if PLAIN else K, V, K, b * stride_kb + h * stride_kh,
                        b * stride_vb + h * stride_vh, n, tk, stride_kt, stride_vt, False, D, DP,
                        UPCAST,
                    )
                    seen = _visible(
                        low[:, None], high[:, None], column[:, None], document[:, None],
                        key_id[None, :], key_column[None, :], key_document[None, :],
                        sink[None, :], CAUSAL, DOCUMENTS, SINKS, APART, PLAIN,
                    )
                    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
                    scores = _scores(
                        scores * factor[:, None] + poison[None, :], query_id[:, None],
                        key_id[None, :], seen, sink[None, :], EDGES, reach, first, second, table,
                        KIND, EDGED, SINKS,
                    )
                    higher = tl.maximum(top, tl.max(scores, 1))
                    base = tl.where(higher == float("-inf"), 0.0, higher)
                    weights = tl.exp2(scores - base[:, None])
                    shrink = tl.exp2(top - base)
                    total = total * shrink + tl.sum(weights, 1)
                    acc = acc * shrink[:, None]
                    acc = tl.dot(weights.to(v.dtype), v, acc, input_precision=PRECISION)
                    top = higher
            out = acc / tl.where(total == 0.0, 1.0, total)[:, None]
            # A weight of NaN need not reach all of a row by way of tensor cores.
            out = tl.where((total == total)[:, None], out, float("nan"))
            out = tl.where((total == 0.0)[:, None], 0.0, out)
            store_rows(OUT + q_at, m, stride_qt, m < tq, out, D, DP)
            some = total > 0.0
            lse = tl.where(some, top + tl.log2(tl.where(some, total, 1.0)), float("inf"))
            tl.store(LSE + (b * heads + h) * tq + m, lse, mask=m < tq)


@triton.jit
def _rows_of(
    m, tq, Q, OUT, GRAD, LSE, SEEN, stride_qt,
    LOG_SCALE: tl.constexpr, D: tl.constexpr, DP: tl.constexpr, UPCAST: tl.constexpr,
):
    """q, g, lse, delta and growth of the queries m; those that take no part have lse = inf."""
    lse = tl.load(LSE + m, mask=m < tq, other=float("inf"))
    live = lse < float("inf")
    q = load_rows(Q, m, stride_qt, live, D, DP, UPCAST)
    g = load_rows(GRAD, m, stride_qt, live, D, DP, UPCAST)
    out = load_rows(OUT, m, stride_qt, live, D, DP, True)
    delta = tl.sum(g.to(tl.float32) * out, 1)
    growth = tl.full(m.shape, 1.0, tl.float32)
    if LOG_SCALE:
        growth = tl.log(tl.maximum(tl.load(SEEN + m, mask=m < tq, other=1.0), 1.0))
    return q, g, lse, delta, growth


@triton.jit
def _keys_of_block(
    start, Q, K, V, Q_PLAIN, K_PLAIN, OUT, GRAD, LSE, SEEN, DK, DV, DK_PLAIN, QUERY_IDS, KEY_IDS,
    DOCUMENT, EDGES, WINDOWS, u, stride_qt, stride_kt, stride_vt, tq, tk, sinks, query_start,
    prefix, reach, first, second, table, scale,
    KIND: tl.constexpr, EDGED: tl.constexpr, LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr,
    PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr, SINKS: tl.constexpr, APART: tl.constexpr,
    D: tl.constexpr, DP: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
    PRECISION: tl.constexpr, UPCAST: tl.constexpr,
):
    """dk and dv of the keys from `start` on; the pointers are those of one head."""
    n = start + tl.arange(0, BN)
    dv = tl.zeros([BN, DP], tl.float32)
    for PLAIN in tl.static_range(2 if APART else 1):
        key_id, key_column, key_document, sink = _key_side(
            n, tk, KEY_IDS, DOCUMENT, prefix, sinks, PREFIX, DOCUMENTS, SINKS
        )
        k, v, _, _ = _keys(
            K_PLAIN if PLAIN else K, V, K, 0, 0, n, tk, stride_kt, stride_vt,
            False, D, DP, UPCAST,
        )
        dk = tl.zeros([BN, DP], tl.float32)
        end = tl.where(start < _end(tk, sinks, PLAIN, DOCUMENTS), tq, 0)
        for begin in range(0, end, BM):
            m = begin + tl.arange(0, BM)
            query_id, low, high, column, document = _query_side(
                m, tq, QUERY_IDS, DOCUMENT, WINDOWS, u, query_start, DOCUMENTS
            )
            q, g, lse, delta, growth = _rows_of(
                m, tq, Q_PLAIN if PLAIN else Q, OUT, GRAD,
                LSE, SEEN, stride_qt, LOG_SCALE, D, DP, UPCAST,
            )
            seen = _visible(
                low[None, :], high[None, :], column[None, :], document[None, :],
                key_id[:, None], key_column[:, None], key_document[:, None],
                sink[:, None], CAUSAL, DOCUMENTS, SINKS, APART, PLAIN,
            )
            scores = tl.dot(k, tl.trans(q), input_precision=PRECISION)
            scores = _scores(
                scores * (growth * (scale * LOG2E))[None, :], query_id[None, :],
                key_id[:, None], seen, sink[:, None], EDGES, reach, first, second, table,
                KIND, EDGED, SINKS,
            )
            p = tl.exp2(scores - lse[None, :])
            dp = tl.dot(v, tl.trans(g), input_precision=PRECISION)
            dv = tl.dot(p.to(g.dtype), g, dv, input_precision=PRECISION)
            ds = p * tl.where(p > 0.0, dp - delta[None, :], 0.0)
            if LOG_SCALE:
                ds = ds * growth[None, :]
            dk = tl.dot(ds.to(q.dtype), q, dk, input_precision=PRECISION)
        target = DK_PLAIN if PLAIN else DK
        store_rows(target, n, stride_kt, n < tk, dk * scale, D, DP)
    store_rows(DV, n, stride_vt, n < tk, dv, D, DP)


@triton.jit
def split_backward(
    Q, K, V, Q_PLAIN, K_PLAIN, OUT, GRAD, LSE, SEEN, DQ, DK, DV, DQ_PLAIN, DK_PLAIN, SUMS, SCALE,
    FIRST, SECOND, QUERY_IDS, KEY_IDS, DOCUMENT, PREFIX_OF, EDGES, WINDOWS, LEVEL_OF, HEADS_OF,
    STARTS, stride_qb, stride_qh, stride_qt, stride_kb, stride_kh, stride_kt, stride_vb, stride_vh,
    stride_vt, stride_qib, stride_qil, stride_kib, stride_kil, stride_db, heads, levels, tq, tk,
    sinks, query_start, width, reach, column0, columns,
    KIND: tl.constexpr, WIDTH: tl.constexpr, EDGED: tl.constexpr, ROTARY: tl.constexpr,
    LOG_SCALE: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
    SINKS: tl.constexpr, COLUMNS: tl.constexpr, D: tl.constexpr, DP: tl.constexpr,
    CENTRED: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """One program: all gradients of one sequence by the heads that read one level.

    SUMS as in `short_backward`; CENTRED as in `backward.queries`. First dq and sums by blocks of
    queries, then dk and dv by blocks of keys; rotary's sinks in rounds of their own.
    """
    u = tl.program_id(0) % levels
    b = (tl.program_id(0) // levels).to(tl.int64)
    APART: tl.constexpr = ROTARY and SINKS
    ROUNDS: tl.constexpr = 2 if APART else 1
    level = tl.load(LEVEL_OF + u)
    QUERY_IDS += b * stride_qib + level * stride_qil
    KEY_IDS += b * stride_kib + level * stride_kil
    DOCUMENT += b * stride_db
    SEEN += (b * levels + u) * tq
    prefix = tl.load(PREFIX_OF + b) if PREFIX else 0
    for i in range(tl.load(STARTS + u), tl.load(STARTS + u + 1)):
        h = tl.load(HEADS_OF + i).to(tl.int64)
        q_at = b * stride_qb + h * stride_qh
        k_at = b * stride_kb + h * stride_kh
        v_at = b * stride_vb + h * stride_vh
        head = b * heads + h
        first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
        scale = tl.load(SCALE + h)
        of_scale = 0.0
        one = 0.0
        two = 0.0
        of_table = tl.zeros([COLUMNS], tl.float32)
        for begin in range(0, tq, BM):
            m = begin + tl.arange(0, BM)
            moved = tl.zeros([BM], tl.float32)
            rest = tl.zeros([BM], tl.float32)
            mean = tl.zeros([BM], tl.float32)
            for PLAIN in tl.static_range(ROUNDS):
                q, g, lse, delta, growth = _rows_of(
                    m, tq, (Q_PLAIN if PLAIN else Q) + q_at, OUT + q_at, GRAD + q_at,
                    LSE + head * tq, SEEN, stride_qt, LOG_SCALE, D, DP, UPCAST,
                )
                query_id, low, high, column, document = _query_side(
                    m, tq, QUERY_IDS, DOCUMENT, WINDOWS, u, query_start, DOCUMENTS
                )
                dq = tl.zeros([BM, DP], tl.float32)
                for start in range(0, _end(tk, sinks, PLAIN, DOCUMENTS), BN):
                    n = start + tl.arange(0, BN)
                    key_id, key_column, key_document, sink = _key_side(
                        n, tk, KEY_IDS, DOCUMENT, prefix, sinks, PREFIX, DOCUMENTS, SINKS
                    )
                    k, v, _, _ = _keys(
                        K_PLAIN if PLAIN else K, V, K, k_at, v_at, n, tk, stride_kt, stride_vt,
                        False, D, DP, UPCAST,
                    )
                    seen = _visible(
                        low[:, None], high[:, None], column[:, None], document[:, None],
                        key_id[None, :], key_column[None, :], key_document[None, :],
                        sink[None, :], CAUSAL, DOCUMENTS, SINKS, APART, PLAIN,
                    )
                    raw = tl.dot(q, tl.trans(k), input_precision=PRECISION)
                    scores = _scores(
                        raw * (growth * (scale * LOG2E))[:, None], query_id[:, None],
                        key_id[None, :], seen, sink[None, :], EDGES, reach, first, second, table,
                        KIND, EDGED, SINKS,
                    )
                    p = tl.exp2(scores - lse[:, None])
                    dp = tl.dot(g, tl.trans(v), input_precision=PRECISION)
                    # What is invisible may be large enough to make 0 * infinity of it.
                    ds = p * tl.where(p > 0.0, dp - delta[:, None], 0.0)
                    if CENTRED:
                        raw = tl.where(p > 0.0, raw, 0.0)
                        moved += tl.sum(ds * raw, 1)
                        rest += tl.sum(ds, 1)
                        mean += tl.sum(p * raw, 1)
                    dq = tl.dot(ds.to(k.dtype), k, dq, input_precision=PRECISION)
                    if KIND != NONE:
                        if SINKS:
                            ds = tl.where(sink[None, :], 0.0, ds)
                        if KIND == TABLE:
                            place = _table_place(
                                query_id[:, None], key_id[None, :], reach, EDGES, EDGED
                            )
                            of_table = _sums_by_column(
                                of_table, ds, place, column0, columns, COLUMNS
                            )
                        else:
                            more, more2 = bias_gradients(
                                ds, query_id[:, None], key_id[None, :], 0, first, second, 1, KIND
                            )
                            one += tl.sum(more, 0)
                            two += tl.sum(more2, 0)
                if not CENTRED:
                    # What the logit factor gets, for it is sum_j ds_ij (k_j . q_i).
                    moved += tl.sum(dq * q.to(tl.float32), 1)
                dq = dq * (growth * scale)[:, None]
                store_rows((DQ_PLAIN if PLAIN else DQ) + q_at, m, stride_qt, m < tq, dq, D, DP)
            of_scale += tl.sum((moved - rest * mean) * growth, 0)
        sums = SUMS + head * (3 + columns)
        _store_sums(sums, of_scale, one, two, of_table, columns, KIND, COLUMNS)
        for start in range(0, tk, BN):
            _keys_of_block(
                start, Q + q_at, K + k_at, V + v_at, Q_PLAIN + q_at, K_PLAIN + k_at, OUT + q_at,
                GRAD + q_at, LSE + head * tq, SEEN, DK + k_at, DV + v_at, DK_PLAIN + k_at,
                QUERY_IDS, KEY_IDS, DOCUMENT, EDGES, WINDOWS, u, stride_qt, stride_kt, stride_vt,
                tq, tk, sinks, query_start, prefix, reach, first, second, table, scale,
                KIND, EDGED, LOG_SCALE, CAUSAL, PREFIX, DOCUMENTS, SINKS, APART, D, DP, BM, BN,
                PRECISION, UPCAST,
            )
