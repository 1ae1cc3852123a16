"""Rotary encoding on arbitrary ids (RoPE, arXiv 2104.09864): rotate once, before attention."""

import triton
import triton.language as tl


@triton.jit
def cos_sin(angle):
    """Cosine and sine in float32 of an angle in float64, of any size.

    Quarter turns are taken off in float64; for what is left, at most pi/4, the polynomials of the
    Cephes library (sinf.c) err by about one unit in the last place. The compiler's own functions
    reduce large angles once more, in local memory.
    """
    quarters = angle * 0.6366197723675814
    whole = tl.floor(quarters + 0.5)
    x = ((quarters - whole) * 1.5707963267948966).to(tl.float32)
    quadrant = (whole - tl.floor(whole * 0.25) * 4.0).to(tl.int32)
    z = x * x
    sin = x + x * z * (-1.6666654611e-1 + z * (8.3321608736e-3 - 1.9515295891e-4 * z))
    cos = z * z * (4.166664568298827e-2 + z * (-1.388731625493765e-3 + 2.443315711809948e-5 * z))
    cos = 1.0 - 0.5 * z + cos
    odd = (quadrant & 1) == 1
    of_sin = tl.where(odd, cos, sin)
    of_cos = tl.where(odd, sin, cos)
    of_sin = tl.where(quadrant >= 2, -of_sin, of_sin)
    return tl.where((quadrant == 1) | (quadrant == 2), -of_cos, of_cos), of_sin


@triton.jit
def rotate(
    X, OUT, ADD, IDS, LEVELS, FREQUENCIES, stride_xb, stride_xh, stride_xt, heads, levels, length,
    blocks, per_batch, sign, HALF: tl.constexpr, HALF_P: tl.constexpr, BT: tl.constexpr,
    HAS_ADD: tl.constexpr,
):
    """OUT = X rotated by sign * id * frequency per adjacent pair, plus ADD.

    Angles are in float64; ids by row, int32 [P, U, T].
    """
    program = tl.program_id(0)
    h = ((program // blocks) % heads).to(tl.int64)
    b = (program // blocks // heads).to(tl.int64)
    plan = (b * per_batch) * levels + tl.load(LEVELS + h)
    t = (program % blocks) * BT + tl.arange(0, BT)
    i = tl.arange(0, HALF_P)
    mask = (t < length)[:, None] & (i < HALF)[None, :]
    ids = tl.load(IDS + plan * length + t, mask=t < length, other=0).to(tl.float64)
    frequency = tl.load(FREQUENCIES + i, mask=i < HALF, other=0.0).to(tl.float64)
    cos, sin = cos_sin(ids[:, None] * frequency[None, :])
    sin = sin * sign
    at = b * stride_xb + h * stride_xh + t.to(tl.int64)[:, None] * stride_xt + 2 * i[None, :]
    even = tl.load(X + at, mask=mask, other=0.0).to(tl.float32)
    odd = tl.load(X + at + 1, mask=mask, other=0.0).to(tl.float32)
    new_even = even * cos - odd * sin
    new_odd = even * sin + odd * cos
    if HAS_ADD:
        new_even += tl.load(ADD + at, mask=mask, other=0.0).to(tl.float32)
        new_odd += tl.load(ADD + at + 1, mask=mask, other=0.0).to(tl.float32)
    tl.store(OUT + at, new_even.to(OUT.dtype.element_ty), mask=mask)
    tl.store(OUT + at + 1, new_odd.to(OUT.dtype.element_ty), mask=mask)
