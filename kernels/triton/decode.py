"""One new query per head against a cache of keys: split over programs, within the query's window.

Keys of a level with a window are walked in the order of their ids, which was made once for all
steps; a binary search finds the range that the query sees, so that a step costs what its window
holds. Each program leaves a partial softmax, and a sum in one order joins them.
"""

import triton
import triton.language as tl

from .table import first_at_least
from .tiles import (
    LOG2E,
    NO_ID,
    NONE,
    bias,
    head_numbers,
    id_bounds,
)


@triton.jit
def _range(IDS, low, high, end, SORTED):
    """Positions [lo, hi) that may be visible: by id where they are sorted, else all columns."""
    searched = tl.where(SORTED, end, 0)
    lo = first_at_least(IDS, searched * 0, searched, low.to(tl.int64))
    hi = first_at_least(IDS, lo, tl.maximum(lo, searched), high.to(tl.int64) + 1)
    return lo, tl.where(SORTED, hi, end)


@triton.jit
def _visible_keys(at, stop, ROWS, IDS, SORTED, low, high, column, sinks):
    """Columns at positions, -1 where the query does not see them, and their ids."""
    row = tl.load(ROWS + at, mask=at < tl.where(SORTED, stop, 0), other=-1)
    row = tl.where(at < tl.where(SORTED, 0, stop), at, row)
    ids = tl.load(IDS + at, mask=at < stop, other=NO_ID)
    seen = (ids >= low) & (ids <= high) & (row <= column) & (row >= sinks)
    return tl.where(seen, row, -1), ids


@triton.jit
def step_count(
    SEEN, COLUMN, WINDOWS, SORTED_LEVELS, QUERY_IDS, ROWS, IDS, LEVELS_READ, stride_qib,
    stride_qil, stride_ib, stride_il, levels, length, sinks, BN: tl.constexpr,
):
    """Keys that the new query of each batch row sees on each level that is read: [B, U]."""
    program = tl.program_id(0)
    u = program % levels
    b = (program // levels).to(tl.int64)
    level = tl.load(LEVELS_READ + u)
    column = tl.load(COLUMN)
    query_id = tl.load(QUERY_IDS + b * stride_qib + level * stride_qil)
    low, high = id_bounds(query_id, tl.load(WINDOWS + 2 * u), tl.load(WINDOWS + 2 * u + 1))
    at_ids = b * stride_ib + level * stride_il
    ordered = tl.load(SORTED_LEVELS + u) != 0
    lo, hi = _range(IDS + at_ids, low, high, tl.where(ordered, length, column + 1), ordered)
    total = tl.minimum(sinks, column + 1)
    for n in range(lo, hi, BN):
        row, _ = _visible_keys(
            n + tl.arange(0, BN), hi, ROWS + at_ids, IDS + at_ids, ordered, low, high, column, sinks
        )
        total += tl.sum((row >= 0).to(tl.int32), 0)
    tl.store(SEEN + program, total.to(tl.float32))


@triton.jit
def _take(
    q, factor, row, key_id, query_id, K, V, stride_kt, stride_vt, FIRST, h, width, reach, first,
    second, table, acc, top, total,
    KIND: tl.constexpr, WIDTH: tl.constexpr, SINK: tl.constexpr, D: tl.constexpr,
    DP: tl.constexpr, BN: tl.constexpr, UPCAST: tl.constexpr,
):
    """Take the keys in columns `row` (-1: none) into the running softmax."""
    d = tl.arange(0, DP)
    mask = (row >= 0)[:, None] & (d < D)[None, :]
    there = row.to(tl.int64)[:, None]
    k = tl.load(K + there * stride_kt + d[None, :], mask=mask, other=0.0).to(tl.float32)
    v = tl.load(V + there * stride_vt + d[None, :], mask=mask, other=0.0).to(tl.float32)
    # NaN where a key is not finite: it makes the whole row NaN.
    scores = tl.sum(q[None, :] * k, 1) * factor + tl.sum(k * 0.0 + v * 0.0, 1)
    if KIND != NONE and not SINK:
        # A function of vectors of pairs: one query, BN keys.
        scores += tl.reshape(
            bias(
                tl.full([1, 1], 0, tl.int32) + query_id, key_id[None, :], FIRST, h, width, reach,
                first, second, table, KIND, WIDTH,
            ),
            [BN],
        )
    scores = tl.where(row >= 0, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, 0))
    base = tl.where(higher == float("-inf"), 0.0, higher)
    weights = tl.exp2(scores - base)
    shrink = tl.exp2(top - base)
    acc = acc * shrink + tl.sum(weights[:, None] * v, 0)
    return acc, higher, total * shrink + tl.sum(weights, 0)


@triton.jit
def step(
    Q, K, V, ACC, TOP, TOTAL, COLUMN, LEVELS, WINDOWS, SORTED_LEVELS, LEVELS_READ, SCALE, SEEN,
    FIRST, SECOND, QUERY_IDS, ROWS, IDS, stride_qb, stride_qh, stride_kb, stride_kh, stride_kt,
    stride_vb, stride_vh, stride_vt, stride_qib, stride_qil, stride_ib, stride_il, heads, levels,
    length, sinks, splits, width, reach,
    KIND: tl.constexpr, WIDTH: tl.constexpr, LOG_SCALE: tl.constexpr, SINKS: tl.constexpr,
    D: tl.constexpr, DP: tl.constexpr, BN: tl.constexpr, BS: tl.constexpr, UPCAST: tl.constexpr,
):
    """One program: one head of one batch row, one of `splits` parts of what it sees.

    ACC [B, H, splits, D], TOP and TOTAL [B, H, splits] get the partial softmax.
    """
    program = tl.program_id(0)
    part = program % splits
    h = ((program // splits) % heads).to(tl.int64)
    b = (program // splits // heads).to(tl.int64)
    u = tl.load(LEVELS + h)
    level = tl.load(LEVELS_READ + u)
    column = tl.load(COLUMN)
    query_id = tl.load(QUERY_IDS + b * stride_qib + level * stride_qil)
    low, high = id_bounds(query_id, tl.load(WINDOWS + 2 * u), tl.load(WINDOWS + 2 * u + 1))
    at_ids = b * stride_ib + level * stride_il
    ordered = tl.load(SORTED_LEVELS + u) != 0
    lo, hi = _range(IDS + at_ids, low, high, tl.where(ordered, length, column + 1), ordered)
    share = tl.cdiv(tl.cdiv(hi - lo, BN), splits) * BN
    start = lo + part * share
    stop = tl.minimum(hi, start + share)
    d = tl.arange(0, DP)
    q = tl.load(Q + b * stride_qb + h * stride_qh + d, mask=d < D, other=0.0).to(tl.float32)
    factor = tl.load(SCALE + h) * LOG2E
    if LOG_SCALE:
        factor = factor * tl.log(tl.maximum(tl.load(SEEN + b * levels + u), 1.0))
    first, second, table = head_numbers(FIRST, SECOND, h, width, KIND, WIDTH)
    K += b * stride_kb + h * stride_kh
    V += b * stride_vb + h * stride_vh
    acc = tl.zeros([DP], tl.float32)
    top = tl.max(tl.full([BN], float("-inf"), tl.float32), 0)
    total = 0.0
    for n in range(start, stop, BN):
        row, key_id = _visible_keys(
            n + tl.arange(0, BN), stop, ROWS + at_ids, IDS + at_ids, ordered, low, high, column,
            sinks,
        )
        acc, top, total = _take(
            q, factor, row, key_id, query_id, K, V, stride_kt, stride_vt, FIRST, h, width, reach,
            first, second, table, acc, top, total, KIND, WIDTH, False, D, DP, BN, UPCAST,
        )
    if SINKS:
        for n in range(0, tl.where(part == 0, tl.minimum(sinks, column + 1), 0), BS):
            at = n + tl.arange(0, BS)
            row = tl.where(at < tl.minimum(sinks, column + 1), at, -1)
            acc, top, total = _take(
                q, factor, row, row, query_id, K, V, stride_kt, stride_vt, FIRST, h, width, reach,
                first, second, table, acc, top, total, KIND, WIDTH, True, D, DP, BS, UPCAST,
            )
    tl.store(ACC + program.to(tl.int64) * D + d, acc, mask=d < D)
    tl.store(TOP + program, top)
    tl.store(TOTAL + program, total)
