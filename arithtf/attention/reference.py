"""The reference: dense masked softmax attention in plain PyTorch. It defines correctness.

    score[i, j] = s * (q_i . k_j + content) + bias,    out_i = sum_j softmax_j(score)[i, j] v_j

over visible j. What is invisible has exactly no influence, forward and backward:

* finite keys and values: their scores are replaced by -inf, so their weights are exactly 0;
* NaN and inf: rows of q, k, v that contain one are replaced by 0 before any product (0 * NaN
  would spread), and NaN is put back into exactly those outputs whose query sees such a row.

A query that sees nothing gives exactly 0 and zero gradients.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arithtf.attention.call import Call, Scale
from arithtf.attention.mechanism import LogScale

Touch = Callable[[str, Tensor], Tensor]


def attention(call: Call, *, look: bool = True, touch: Touch | None = None) -> Tensor:
    """Attention as the module docstring defines it, in the dtype of the inputs.

    Args:
        call: what is asked.
        look: look at the data to skip the treatment of NaN and inf where there is none; False
            while a tracer runs this on tensors without data.
        touch: called with "attn_scores" and the scores [B, H, Tq, Tk], -inf where not visible (but
            in rows that see nothing, which are finite), then with "pattern" and the weights, which
            are 0 there. What it returns is gone on with.

    Returns:
        [B, H, Tq, D].
    """
    query, key, value, positions, mechanism, scale, _ = call
    differences = positions.differences()
    visible, sink = positions.visibility(differences)
    tame = look and _is_tame(query, key, value)
    poisoned = None
    if not tame:
        query, key, value, poisoned = _without_non_finite(query, key, value, visible)

    factor = _logit_factor(scale, visible)
    if mechanism.acts_by == "rotation":
        scores = _rotated_products(query * factor, key, call, sink)
    else:
        scores = _products(query * factor, key)
    if mechanism.acts_by in ("content", "bias"):
        acting = visible if sink is None else visible & ~sink
        if mechanism.acts_by == "content":
            scores += factor * mechanism.content(query, key, differences, acting)
        else:
            scores += mechanism.bias(differences, acting, positions)

    # A row without visible keys would be softmax over nothing: let it see all, then zero it.
    # With sinks there is no such row: the first column of a document comes before all others.
    empty = None if positions.sinks else ~visible.any(-1, keepdim=True)
    shown = visible if empty is None else visible | empty
    if tame:
        # Same result as the line below for finite scores, at a tenth of the time.
        scores += torch.zeros_like(shown, dtype=scores.dtype).masked_fill_(~shown, float("-inf"))
    else:
        scores = scores.masked_fill(~shown, float("-inf"))
    if touch is None:
        out = scores.softmax(-1) @ value
        out = out if empty is None else out.masked_fill(empty, 0.0)
    else:
        weights = touch("attn_scores", scores).softmax(-1)
        weights = weights if empty is None else weights.masked_fill(empty, 0.0)
        out = touch("pattern", weights) @ value
    return out if poisoned is None else out.masked_fill(poisoned, float("nan"))


def _is_tame(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """True if all entries and all dot products are surely finite; asks only where that is cheap."""
    if torch.compiler.is_compiling() or query.device.type != "cpu" or not key.numel():
        return False
    extremes = [x.detach().aminmax() for x in (query, key, value)]
    # The limit leaves room for scale, content and bias; NaN and inf fail the comparison.
    limit = torch.finfo(query.dtype).max ** 0.25
    return all(max(-float(low), float(high)) < limit for low, high in extremes)


def _products(query: Tensor, key: Tensor) -> Tensor:
    """q . k for all pairs. Copying keys row by row beats the transposing copy of `@`."""
    return query @ key.contiguous().transpose(-1, -2)


def _rotated_products(query: Tensor, key: Tensor, call: Call, sink: Tensor | None) -> Tensor:
    """Products of rotated vectors; of the vectors themselves in sink columns."""
    query_ids, key_ids = call.positions.ids_of_heads()
    turned_key = call.mechanism.rotated(key, key_ids).transpose(-1, -2)
    scores = call.mechanism.rotated(query, query_ids) @ turned_key
    if sink is None:
        return scores
    return torch.where(sink, query @ key.transpose(-1, -2), scores)


def _without_non_finite(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v with rows that hold NaN or inf zeroed, and bool [B, H, Tq, 1]: who sees one."""
    bad_query = ~torch.isfinite(query).all(-1, keepdim=True)
    bad_key = ~(torch.isfinite(key) & torch.isfinite(value)).all(-1, keepdim=True)
    sees = visible & (bad_query | bad_key.transpose(-1, -2))
    return (
        query.masked_fill(bad_query, 0.0),
        key.masked_fill(bad_key, 0.0),
        value.masked_fill(bad_key, 0.0),
        sees.any(-1, keepdim=True),
    )


def _logit_factor(scale: Scale, visible: Tensor) -> float | Tensor:
    """The factor of q . k: a number, [H, 1, 1], or [B or 1, H, Tq, 1]."""
    if isinstance(scale, LogScale):
        seen = visible.sum(-1, keepdim=True).clamp(min=1).to(scale.scale.dtype)
        return scale.scale[:, None, None] * seen.log()
    return scale[:, None, None] if isinstance(scale, Tensor) else scale
