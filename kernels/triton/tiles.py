"""What kernels share: visibility and bias of a tile of pairs.

Ids of queries and keys come as vectors made broadcastable by the caller ([M, 1] and [1, N], or
transposed), so that forward and backward use the same lines. Scores are in units of log 2.
"""

import triton
import triton.language as tl

from .forms import Form

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)
NO_ID = tl.constexpr(-(2**31))
GREATEST = tl.constexpr(2**31 - 1)

NONE = tl.constexpr(Form.NONE.value)
TABLE = tl.constexpr(Form.TABLE.value)
ALIBI = tl.constexpr(Form.ALIBI.value)
KERPLE_LOG = tl.constexpr(Form.KERPLE_LOG.value)
FIRE = tl.constexpr(Form.FIRE.value)
BY_QUERY = tl.constexpr(Form.BY_QUERY.value)
BY_KEY = tl.constexpr(Form.BY_KEY.value)


@triton.jit
def id_bounds(ids, back, ahead):
    """Least and greatest key id that each query id sees; none for NO_ID. Exact for all int32."""
    wide = ids.to(tl.int64)
    low = tl.maximum(wide - back, NO_ID + 1)
    high = tl.minimum(wide + ahead, GREATEST)
    low = tl.where(ids == NO_ID, GREATEST, low)
    high = tl.where(ids == NO_ID, NO_ID, high)
    return low.to(tl.int32), high.to(tl.int32)


@triton.jit
def visible(
    low, high, query_column, query_document, key_id, key_column, key_document, prefix,
    SINK: tl.constexpr, CAUSAL: tl.constexpr, PREFIX: tl.constexpr, DOCUMENTS: tl.constexpr,
):
    """Which pairs are visible; a key column of -1 stands for no key."""
    seen = (key_id >= low) & (key_id <= high)
    if SINK:
        seen = (key_column >= 0) & (query_column >= 0)
    if CAUSAL:
        earlier = key_column <= query_column
        if PREFIX:
            earlier = earlier | (key_column < prefix)
        seen = seen & earlier
    if DOCUMENTS:
        seen = seen & (key_document == query_document)
    return seen


@triton.jit
def distance(query_id, key_id):
    """|key_id - query_id| in float32; the difference of two int32 may need 32 bits."""
    near = tl.maximum(query_id, key_id) - tl.minimum(query_id, key_id)
    return near.to(tl.uint32, bitcast=True).to(tl.float32)


@triton.jit
def table_column(query_id, key_id, reach):
    """min(max(key_id - query_id, -reach), reach) + reach without overflow."""
    wide = query_id.to(tl.int64)
    low = tl.maximum(wide - reach, NO_ID).to(tl.int32)
    high = tl.minimum(wide + reach, GREATEST).to(tl.int32)
    return tl.minimum(tl.maximum(key_id, low), high) - (query_id - reach)


@triton.jit
def head_numbers(FIRST, SECOND, h, width, KIND: tl.constexpr, WIDTH: tl.constexpr):
    """The mechanism's numbers of head h: two scalars and, for a table that fits, its row."""
    first = 0.0
    second = 0.0
    row = tl.zeros([16], tl.float32)
    if KIND == TABLE:
        if WIDTH > 0:
            at = tl.arange(0, WIDTH)
            row = tl.load(FIRST + h.to(tl.int64) * width + at, mask=at < width, other=0.0) * LOG2E
    elif KIND != NONE and KIND < FIRE:
        first = tl.load(FIRST + h)
        if KIND != ALIBI:
            second = tl.load(SECOND + h)
    return first, second, row


@triton.jit
def bias(
    query_id, key_id, FIRST, h, width, reach, first, second, row,
    KIND: tl.constexpr, WIDTH: tl.constexpr,
):
    """Bias of every pair in units of log 2."""
    if KIND == TABLE:
        column = table_column(query_id, key_id, reach)
        if WIDTH > 0:
            value = tl.reshape(tl.gather(row, tl.ravel(column), 0), column.shape)
        else:
            value = tl.load(FIRST + h.to(tl.int64) * width + column) * LOG2E
    elif KIND == FIRE:
        value = fire(query_id, key_id, FIRST + h * (3 * width + 3), width) * LOG2E
    else:
        value = distance_bias(query_id, key_id, first, second, KIND)
    return value


@triton.jit
def content(
    query_id, key_id, query_row, key_row, FIRST, SECOND, width, width2, KIND: tl.constexpr
):
    """Terms of q and of k by difference, looked up in FIRST [Tq, width], SECOND [Tk, width2].

    Rows of -1 give 0.
    """
    there = (query_row >= 0) & (key_row >= 0)
    if KIND == BY_KEY:
        value = tl.zeros(there.shape, tl.float32)
    else:
        column = table_column(query_id, key_id, width // 2)
        value = tl.load(FIRST + query_row.to(tl.int64) * width + column, mask=there, other=0.0)
    if KIND != BY_QUERY:
        column = table_column(query_id, key_id, width2 // 2)
        value += tl.load(SECOND + key_row.to(tl.int64) * width2 + column, mask=there, other=0.0)
    return value


@triton.jit
def scores_of(
    products, factor, query_id, key_id, query_row, key_row, FIRST, SECOND, h, width, reach, first,
    second, row, KIND: tl.constexpr, WIDTH: tl.constexpr,
):
    """(q . k + content) * factor + bias; the content; and q . k + content."""
    shift = products
    if KIND >= BY_QUERY:
        shift = content(query_id, key_id, query_row, key_row, FIRST, SECOND, width, reach, KIND)
        products += shift
    scores = products * factor
    if KIND != NONE and KIND < BY_QUERY:
        scores += bias(query_id, key_id, FIRST, h, width, reach, first, second, row, KIND, WIDTH)
    return scores, shift, products


@triton.jit
def fire_position(query_id, key_id, NUMBERS, width):
    """FIRE's x and the parts of its formula: x, |difference|, |c|, threshold, |length|, divisor."""
    c = tl.abs(tl.load(NUMBERS + 3 * width + 1))
    threshold = tl.load(NUMBERS + 3 * width + 2)
    length = tl.maximum(query_id.to(tl.float32), threshold)
    divisor = tl.log(1.0 + c * tl.abs(length)) + 1e-6
    far = distance(query_id, key_id)
    return tl.log(1.0 + c * far) / divisor, far, c, threshold, length, divisor


@triton.jit
def fire(query_id, key_id, NUMBERS, width):
    """FIRE's network (arXiv 2310.04418, equation 3); NUMBERS: w1, b1, w2, b2, c, threshold."""
    x, _, _, _, _, _ = fire_position(query_id, key_id, NUMBERS, width)
    value = x * 0.0 + tl.load(NUMBERS + 3 * width)
    for j in range(0, width):
        hidden = tl.load(NUMBERS + j) * x + tl.load(NUMBERS + width + j)
        value += tl.load(NUMBERS + 2 * width + j) * tl.maximum(hidden, 0.0)
    return value


@triton.jit
def distance_bias(query_id, key_id, first, second, KIND: tl.constexpr):
    """Bias that is a formula of |key_id - query_id|, in units of log 2."""
    if KIND == ALIBI:
        value = distance(query_id, key_id) * (-first * LOG2E)
    elif KIND == KERPLE_LOG:
        value = tl.log2(1.0 + second * distance(query_id, key_id)) * -first
    else:
        value = power(distance(query_id, key_id), second) * (-first * LOG2E)
    return value


@triton.jit
def power(base, exponent):
    """base^exponent for base >= 0, exponent > 0."""
    return tl.where(base > 0.0, tl.exp2(exponent * tl.log2(tl.maximum(base, 1.0))), 0.0)


@triton.jit
def bias_gradients(
    ds, query_id, key_id, reach, first, second, axis: tl.constexpr, KIND: tl.constexpr
):
    """Sums over `axis` of ds * d bias / d (first, second); for a table those of its two ends."""
    if KIND == TABLE:
        column = table_column(query_id, key_id, reach)
        one = tl.sum(tl.where(column == 0, ds, 0.0), axis)
        two = tl.sum(tl.where((column == 2 * reach) & (column > 0), ds, 0.0), axis)
    else:
        far = distance(query_id, key_id)
        if KIND == ALIBI:
            one = -tl.sum(ds * far, axis)
            two = one
        elif KIND == KERPLE_LOG:
            one = -tl.sum(ds * (tl.log2(1.0 + second * far) * LN2), axis)
            two = -tl.sum(ds * (far / (1.0 + second * far)), axis) * first
        else:
            grown = power(far, second)
            one = -tl.sum(ds * grown, axis)
            two = -tl.sum(ds * (grown * (tl.log2(tl.maximum(far, 1.0)) * LN2)), axis) * first
    return one, two


@triton.jit
def rows_at(ROWS, at, end, GATHER: tl.constexpr):
    """Row of each position, -1 from `end` on."""
    row = tl.load(ROWS + at, mask=at < end, other=-1) if GATHER else tl.where(at < end, at, -1)
    return row


@triton.jit
def load_rows(X, row, stride, live, D: tl.constexpr, DP: tl.constexpr, UPCAST: tl.constexpr):
    """Rows of a matrix of D columns padded to DP; zeros where not `live`."""
    d = tl.arange(0, DP)
    pointers = X + row.to(tl.int64)[:, None] * stride + d[None, :]
    if DP == D:
        x = tl.load(pointers, mask=live[:, None], other=0.0)
    else:
        x = tl.load(pointers, mask=live[:, None] & (d < D)[None, :], other=0.0)
    if UPCAST:
        x = x.to(tl.float32)
    return x


@triton.jit
def store_rows(X, row, stride, live, x, D: tl.constexpr, DP: tl.constexpr):
    """The inverse of `load_rows`."""
    d = tl.arange(0, DP)
    pointers = X + row.to(tl.int64)[:, None] * stride + d[None, :]
    if DP == D:
        tl.store(pointers, x.to(X.dtype.element_ty), mask=live[:, None])
    else:
        tl.store(pointers, x.to(X.dtype.element_ty), mask=live[:, None] & (d < D)[None, :])


@triton.jit
def load_documents(DOCUMENT, column, DOCUMENTS: tl.constexpr):
    """Documents of columns; without documents anything."""
    number = tl.load(DOCUMENT + column, mask=column >= 0, other=-1) if DOCUMENTS else column
    return number
