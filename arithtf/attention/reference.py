"""The reference: dense masked softmax attention in plain PyTorch. It defines correctness.

    score[i, j] = s * (q_i . k_j + content) + bias,    out_i = sum_j softmax_j(score)[i, j] v_j

over visible j. What is invisible has exactly no influence, forward and backward:

* finite keys and values: their scores are replaced by -inf, so their weights are exactly 0;
* NaN and inf: rows of q, k, v that contain one are replaced by 0 before any product (0 * NaN
  would spread), and NaN is put back into exactly those outputs whose query sees such a row.

A query that sees nothing gives exactly 0 and zero gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from arithtf.attention.geometry import Geometry
from arithtf.attention.mechanisms import (
    Alibi,
    BiasTable,
    BucketBias,
    Content,
    Fire,
    Kerple,
    LogScale,
    Mechanism,
    NoMechanism,
    Rotary,
)

Scale = float | Tensor | LogScale


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mechanism: Mechanism,
    geometry: Geometry,
    scale: Scale,
    *,
    look: bool = True,
) -> Tensor:
    """Attention as the module docstring defines it, in the dtype of the inputs.

    Args:
        query: [B, H, Tq, D]. key: [B, H, Tk, D]. value: [B, H, Tk, D].
        mechanism: tensors of the score function.
        geometry: ids and visibility.
        scale: logit scale: a number, [H], or LogScale.
        look: look at the data to skip the treatment of NaN and inf where there is none; False
            while a tracer runs this on tensors without data.

    Returns:
        [B, H, Tq, D].
    """
    differences = geometry.differences()
    visible, sink = geometry.visibility(differences)
    tame = look and _is_tame(query, key, value)
    poisoned = None
    if not tame:
        query, key, value, poisoned = _without_non_finite(query, key, value, visible)

    factor = _logit_factor(scale, visible)
    if isinstance(mechanism, Rotary):
        scores = _rotary_scores(query * factor, key, mechanism, geometry, sink)
    else:
        scores = _dots(query * factor, key)
    if not isinstance(mechanism, NoMechanism | Rotary):
        acting = visible if sink is None else visible & ~sink
        if isinstance(mechanism, Content):
            scores += factor * _content(query, key, mechanism, differences, acting)
        else:
            scores += _bias(mechanism, differences, acting, geometry)

    # A row without visible keys would be softmax over nothing: let it see all, then zero it.
    # With sinks there is no such row: the first column of a document comes before all others.
    empty = None if geometry.sinks else ~visible.any(-1, keepdim=True)
    shown = visible if empty is None else visible | empty
    if tame:
        # Same result as the line below for finite scores, at a tenth of the time.
        scores += torch.zeros_like(shown, dtype=scores.dtype).masked_fill_(~shown, float("-inf"))
    else:
        scores = scores.masked_fill(~shown, float("-inf"))
    out = scores.softmax(-1) @ value
    out = out if empty is None else out.masked_fill(empty, 0.0)
    return out if poisoned is None else out.masked_fill(poisoned, float("nan"))


def _is_tame(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """True if all entries and all dot products are surely finite; asks only where that is cheap."""
    if torch.compiler.is_compiling() or query.device.type != "cpu" or not key.numel():
        return False
    largest = [max(-float(low), float(high)) for low, high in
               (x.detach().aminmax() for x in (query, key, value))]  # fmt: skip
    # The limit leaves room for scale, content and bias; NaN and inf fail the comparison.
    limit = torch.finfo(query.dtype).max ** 0.25
    return all(x < limit for x in largest)


def _dots(query: Tensor, key: Tensor) -> Tensor:
    """q . k for all pairs. Copying keys row by row beats the transposing copy of `@`."""
    return query @ key.contiguous().transpose(-1, -2)


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


def _bias(mechanism: Mechanism, differences: Tensor, acting: Tensor, geometry: Geometry) -> Tensor:
    """Bias of every pair, exactly 0 where the mechanism does not act: [B or 1, H, Tq, Tk]."""
    if isinstance(mechanism, BiasTable):
        reach = mechanism.table.shape[1] // 2
        column = differences.clamp(-reach, reach) + reach
        return _look_up(mechanism.table, column, acting)
    if isinstance(mechanism, BucketBias):
        return _look_up(mechanism.table, mechanism.buckets(differences), acting)
    near = differences.masked_fill(~acting, 0).abs()
    if isinstance(mechanism, Alibi):
        return -mechanism.slopes[:, None, None] * near
    if isinstance(mechanism, Kerple):
        r1, r2 = mechanism.r1[:, None, None], mechanism.r2[:, None, None]
        distance = near.to(r1.dtype)
        grown = (r2 * distance).log1p() if mechanism.form == "log" else distance**r2
        return -r1 * grown
    if isinstance(mechanism, Fire):
        return _fire(mechanism, near, geometry).masked_fill(~acting, 0.0)
    raise TypeError(f"expected a mechanism of arithtf.attention, got {type(mechanism).__name__}")


def _look_up(table: Tensor, column: Tensor, acting: Tensor) -> Tensor:
    """table[h, column] where `acting`, else 0.

    A gather from an expanded table: its backward is a scatter per row and one sum, which is
    deterministic for any number of threads (`table[:, column]` is not) and the fastest found.

    Args:
        table: [H, N]. column: int64 [B, H or 1, Tq, Tk]. acting: bool, broadcastable to column.

    Returns:
        [B, H, Tq, Tk].
    """
    heads, width = table.shape
    index = torch.where(acting, column, width)
    rows = torch.nn.functional.pad(table, (0, 1)).expand(index.shape[0], -1, -1)
    picked = rows.gather(2, index.flatten(2).expand(-1, heads, -1))
    return picked.view(-1, heads, *index.shape[2:])


def _fire(mechanism: Fire, distance: Tensor, geometry: Geometry) -> Tensor:
    """FIRE's network on every pair: [B or 1, H, Tq, Tk]."""
    c = mechanism.c
    ids = (
        geometry.query_ids[:, geometry.read_levels]
        if len(geometry.windows) > 1
        else (geometry.query_ids)
    )
    length = torch.maximum(ids.to(c.dtype), mechanism.threshold).unsqueeze(-1)
    x = (c * distance).abs().log1p() / ((c * length).abs().log1p() + 1e-6)
    hidden = torch.relu(x.unsqueeze(-1) * mechanism.w1 + mechanism.b1)
    if hidden.shape[1] == 1:
        return (hidden[:, 0] @ mechanism.w2.T + mechanism.b2).permute(0, 3, 1, 2)
    return torch.einsum("bhqkw,hw->bhqk", hidden, mechanism.w2) + mechanism.b2[:, None, None]


def _content(
    query: Tensor, key: Tensor, mechanism: Content, differences: Tensor, acting: Tensor
) -> Tensor:
    """q . key_vectors[difference] + query_vectors[difference] . k, 0 where not acting."""
    terms = []
    if mechanism.key_vectors is not None:
        reach = mechanism.key_vectors.shape[1] // 2
        by_query = query @ mechanism.key_vectors.transpose(-1, -2)
        terms.append(_pick(by_query, differences.clamp(-reach, reach) + reach, acting))
    if mechanism.query_vectors is not None:
        reach = mechanism.query_vectors.shape[1] // 2
        by_key = key @ mechanism.query_vectors.transpose(-1, -2)
        column = (differences.clamp(-reach, reach) + reach).transpose(-1, -2)
        terms.append(_pick(by_key, column, acting.transpose(-1, -2)).transpose(-1, -2))
    return sum(terms[1:], terms[0])


def _pick(dots: Tensor, column: Tensor, acting: Tensor) -> Tensor:
    """dots[b, h, i, column[b, h, i, j]] where `acting`, else 0.

    Args:
        dots: [B, H, T1, N]. column: int64 [B or 1, H or 1, T1, T2]. acting: as column.
    """
    padded = torch.nn.functional.pad(dots, (0, 1))
    index = column.masked_fill(~acting, dots.shape[-1])
    return padded.gather(3, index.expand(*dots.shape[:2], -1, -1))


def _rotary_scores(
    query: Tensor, key: Tensor, mechanism: Rotary, geometry: Geometry, sink: Tensor | None
) -> Tensor:
    """Dot products of rotated vectors; of the vectors themselves in sink columns."""
    query_ids, key_ids = geometry.query_ids, geometry.key_ids
    if len(geometry.windows) > 1:
        levels = geometry.read_levels
        query_ids, key_ids = query_ids[:, levels], key_ids[:, levels]
    turned_key = _rotate(key, key_ids, mechanism.inv_freq).transpose(-1, -2)
    scores = _rotate(query, query_ids, mechanism.inv_freq) @ turned_key
    if sink is None:
        return scores
    return torch.where(sink, query @ key.transpose(-1, -2), scores)


def _rotate(x: Tensor, ids: Tensor, inv_freq: Tensor) -> Tensor:
    """Rotate adjacent pairs of x [B, H, T, D] by ids [B or 1, H or 1, T] * inv_freq [D/2].

    The angle is reduced to one turn in float64: ids of a million times a float32 frequency would
    be wrong by a tenth of a radian.
    """
    turn = (ids.double().unsqueeze(-1) * inv_freq.double()).remainder(2 * torch.pi).to(x.dtype)
    cos, sin = turn.cos(), turn.sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)
