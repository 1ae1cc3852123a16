"""Rotary encoding on arbitrary ids (RoPE, arXiv 2104.09864): rotate once, before attention."""

import triton
import triton.language as tl


@triton.jit
def rotate(
    X, OUT, ADD, IDS, LEVELS, FREQUENCIES, stride_xb, stride_xh, stride_xt, heads, levels, length,
    blocks, per_batch, sign, HALF: tl.constexpr, HALF_P: tl.constexpr, BT: tl.constexpr,
    HAS_ADD: tl.constexpr,
):  # fmt: skip
    """OUT = X rotated by sign * id * frequency per adjacent pair, plus ADD.

    The angle is reduced to one turn in float64; ids by row, int32 [P, U, T].
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
    angle = ids[:, None] * frequency[None, :]
    turn = angle - tl.floor(angle / 6.283185307179586) * 6.283185307179586
    turn = turn.to(tl.float32)
    cos = tl.cos(turn)
    sin = tl.sin(turn) * sign
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
