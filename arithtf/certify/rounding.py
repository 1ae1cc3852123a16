"""A rigorous bound on the rounding error of a model's logits, for every local context.

Values are carried in float64 with bounds on how far any conforming float32 computation of them can
be from the exact real numbers (`arithtf.certify.bounded`); this module does so for attention, where
a context is a few tokens at a few id differences, so that all depends on tables over the
vocabulary. Conforming means: IEEE float32 with round to nearest in every step (no TF32, no
bfloat16), where

* sums and dot products are evaluated in any order, blocking or number of partial sums;
* exp, log and 1/sqrt err by at most 4 units in the last place (exp and exp2 alike, and scores may
  be multiplied by log2 e first); division and square root are correctly rounded or within that;
* softmax subtracts a maximum, the final one or running ones that are rescaled at every key; the
  division by its sum may come before or after the mix of values;
* the logit scale is applied to query, key or score;
* results below 2^-120 may be flushed to zero.

float64 itself obeys the same analysis with 2^-53 in place of 2^-24: what it adds is 2^-29 of what
is bounded here. Each bound is enlarged by SLACK, which covers that and the rounding of the bounds.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from arithtf.attention import Alibi, BiasTable, BucketBias, Content, LogScale, NoMechanism
from arithtf.certify.bounded import (
    FUNCTION,
    HUGE,
    SLACK,
    TINY,
    UNIT,
    Bounded,
    add,
    bounded,
    exact,
    gamma,
    known,
    linear,
    own_share,
    prepare,
    rms_norm,
)
from arithtf.certify.sensitivity import Tail, layers, mlp
from arithtf.model import ContextSet, Transformer
from arithtf.model.transformer import MLP, Attention
from arithtf.threads import in_parallel

BOUNDED = (NoMechanism, BiasTable, BucketBias, Alibi, Content)
"""Mechanisms whose scores have a bound here; not classes derived from them, which may differ."""


class ContextBounds(NamedTuple):
    """N contexts in exact arithmetic, and what rounding can do.

    Args:
        logits: float64 [N, V], exact but for float64's own rounding.
        error: float64 [N, V]; no conforming float32 logit is further from the exact one.
        margin: float64 [N], logit of the right token minus the best other.
        lower: float64 [N]; every conforming float32 computation keeps at least this margin.
        upper: float64 [N]; and at most this one.
    """

    logits: Tensor
    error: Tensor
    margin: Tensor
    lower: Tensor
    upper: Tensor


class _Scores(NamedTuple):
    """Numbers with bounds of their error, of any shape."""

    value: Tensor
    error: Tensor


@torch.no_grad()
def context_bounds(
    model: Transformer, contexts: ContextSet, *, bos: int, moved: float = 0.0, chunk: int = 256
) -> ContextBounds:
    """Exact logits and margins of all contexts, and how far float32 can be from them.

    Args:
        model: one attention block, its mechanism one of BOUNDED.
        contexts: N contexts with their targets.
        bos: token of the sinks.
        moved: share of each weight by which it may be another.
        chunk: contexts at a time.
    """
    evaluation = _Evaluation(model, contexts, bos, moved)
    count = len(contexts.query_token)
    jobs = [(first, min(first + chunk, count)) for first in range(0, count, chunk)]
    parts = list(in_parallel(evaluation.bounds, jobs, torch.device("cpu")))
    if not parts:
        empty = torch.empty(0, len(model.readout), dtype=torch.float64)
        return ContextBounds(empty, empty, empty[:, 0], empty[:, 0], empty[:, 0])
    return ContextBounds(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


class _Evaluation:
    """What all contexts share: the stream of each token, and the scores of each pair of tokens.

    Shape letters: V vocabulary, C width, H heads, D head dim, R relations (a level and a
    difference each; the last one is "sink"), N contexts of a chunk, W columns of a context.
    """

    def __init__(
        self, model: Transformer, contexts: ContextSet, bos: int, moved: float = 0.0
    ) -> None:
        blocks = list(model.blocks)
        at = next(i for i, block in enumerate(blocks) if isinstance(block, Attention))
        block = blocks[at]
        assert isinstance(block, Attention)
        self.config, self.block, self.contexts, self.bos = model.config, block, contexts, bos
        self.head_levels = model.config.encoding.levels_of_heads(model.config.heads)
        self.moved, self.out = moved, prepare(block.out.weight, moved)
        self.tail = Tail(model, [b for b in blocks[at + 1 :] if isinstance(b, MLP)], moved)
        stream = known(exact(model.embedding.weight), moved)
        for earlier in blocks[:at]:
            assert isinstance(earlier, MLP)
            stream = mlp(stream, layers(earlier, moved)).out
        self.stream_VC = stream
        normed = rms_norm(stream, exact(block.norm.weight), moved)
        self.query_HVD, self.key_HVD, self.value_HVD = (
            self._heads(linear(normed, prepare(projection.weight, moved)))
            for projection in (block.query, block.key, block.value)
        )
        self._find_relations()
        self._score_pairs()

    def _heads(self, x_VC: Bounded) -> _Scores:
        """Value and error of vectors, by heads: [H, V, D]."""
        shape = (len(x_VC.value), self.config.heads, -1)
        return _Scores(*(x.reshape(shape).transpose(0, 1) for x in (x_VC.value, x_VC.error)))

    def _find_relations(self) -> None:
        """Number the (level, difference) pairs that occur."""
        level = self.contexts.level.astype(np.int64)
        difference = self.contexts.difference.astype(np.int64)
        codes, relation = np.unique(level * 2**33 + difference + 2**32, return_inverse=True)
        self.relation = relation.reshape(-1)
        self.relations = [(int(c >> 33), int(c % 2**33) - 2**32) for c in codes]

    def _score_pairs(self) -> None:
        """q . k + content of all pairs without scale [H, R+1, V, V]; biases [H, R+1].

        A relation on another level than a head's is never read by it; its entry does not matter.
        """
        key = self.key_HVD
        plain = _products(self.query_HVD, _transposed(key))
        none = torch.zeros(self.config.heads, dtype=torch.float64)
        scores, biases = [], []
        for _, difference in self.relations:
            score, bias = self._relate(plain, none, difference)
            scores.append(score)
            biases.append(bias)
        scores.append(plain)
        biases.append(none)
        self.scores_HRVV = _Scores(*(torch.stack(p, 1) for p in zip(*scores, strict=True)))
        self.bias_HR = torch.stack(biases, 1)

    def _relate(self, plain: _Scores, none: Tensor, difference: int) -> tuple[_Scores, Tensor]:
        """Scores and biases of one difference."""
        mechanism = self.block.mechanism()
        if type(mechanism) not in BOUNDED:
            raise TypeError(f"the rounding of {type(mechanism).__name__} has no bound")
        if isinstance(mechanism, Content):
            return self._with_content(plain, mechanism, difference), none
        if isinstance(mechanism, BiasTable):
            return plain, exact(mechanism.table)[:, _clipped(mechanism.table, difference)]
        if isinstance(mechanism, BucketBias):
            bucket = int(mechanism.buckets(torch.tensor([difference])))
            return plain, exact(mechanism.table)[:, bucket]
        if isinstance(mechanism, Alibi):
            return plain, -exact(mechanism.slopes) * abs(difference)
        return plain, none

    def _with_content(self, plain: _Scores, mechanism: Content, difference: int) -> _Scores:
        """Scores plus q . key_vector and query_vector . k of one difference."""
        value, error = plain
        if (vectors := mechanism.key_vectors) is not None:
            column = exact(vectors)[:, _clipped(vectors, difference), :, None]
            term = _products(self.query_HVD, _Scores(column, column.abs() * self.moved))
            value, error = value + term.value, error + term.error
        if (vectors := mechanism.query_vectors) is not None:
            column = exact(vectors)[:, _clipped(vectors, difference), :, None]
            term = _transposed(_products(self.key_HVD, _Scores(column, column.abs() * self.moved)))
            value, error = value + term.value, error + term.error
        return _Scores(value, error)

    def _columns(self, first: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of contexts first .. end-1: relation, token and "is filled" of every column [N, W]."""
        offsets = self.contexts.offsets[first : end + 1]
        begin, stop = int(offsets[0]), int(offsets[-1])
        visible = np.diff(offsets)
        sinks = self.config.encoding.sinks
        shape = (end - first, sinks + int(visible.max(initial=0)))
        token, relation = np.full(shape, self.bos), np.full(shape, len(self.relations))
        filled = np.arange(shape[1]) < (sinks + visible)[:, None]
        row = np.repeat(np.arange(end - first), visible)
        column = sinks + np.arange(begin, stop) - np.repeat(offsets[:-1], visible)
        token[row, column] = self.contexts.token[begin:stop]
        relation[row, column] = self.relation[begin:stop]
        return torch.from_numpy(relation), torch.from_numpy(token), torch.from_numpy(filled)

    @torch.no_grad()  # once more, as it holds for one thread only
    def bounds(self, job: tuple[int, int]) -> ContextBounds:
        """Contexts first .. end-1."""
        first, end = job
        query = torch.from_numpy(self.contexts.query_token[first:end].astype(np.int64))
        target = torch.from_numpy(self.contexts.target[first:end].astype(np.int64))
        mixed = linear(self._attend(query, *self._columns(first, end)), self.out)
        x = add(self.stream_VC.rows(query), mixed)
        logits, margin, lower, upper = self.tail.margins(x, target)
        return ContextBounds(logits.value, logits.error, margin, lower, upper)

    def _attend(self, query: Tensor, relation: Tensor, token: Tensor, filled: Tensor) -> Bounded:
        """Mixed values [N, C] of queries [N] over columns [N, W]."""
        levels = torch.tensor([level for level, _ in self.relations] + [-1])[relation]
        seen_HNW = torch.stack(
            [filled & ((levels == level) | (levels == -1)) for level in self.head_levels]
        )
        weight = _softmax(self._scores(query, relation, token, seen_HNW), seen_HNW)
        # Weights added up per token: mixing V values is one product instead of a gather.
        heads, count, width = seen_HNW.shape
        index = token.expand(heads, -1, -1)
        zeros = torch.zeros(heads, count, len(self.stream_VC.value), dtype=torch.float64)
        p_HNV, ep_HNV = (zeros.scatter_add(2, index, part) for part in weight)
        mixed = self.value_HVD
        reach = mixed.value.abs() + mixed.error
        local = (ep_HNV + gamma(width + 4) * (p_HNV + ep_HNV)) @ reach
        local = local + 2 * width * TINY * (1 + reach.amax())
        empty = ~seen_HNW.any(-1, keepdim=True)
        parts = (p_HNV @ mixed.value, p_HNV @ mixed.error, local.masked_fill(empty, 0.0))
        value, carried, local = (part.transpose(0, 1).flatten(1) for part in parts)
        return bounded(value, carried, local, None, reach.amax())

    def _scores(self, query: Tensor, relation: Tensor, token: Tensor, seen: Tensor) -> _Scores:
        """Scores [H, N, W] with scale and bias."""
        raw = _Scores(*(part[:, relation, query[:, None], token] for part in self.scores_HRVV))
        bias = self.bias_HR[:, relation]
        scale, extra = self.block.mechanism.scale(), 0.0
        if isinstance(scale, LogScale):  # the log of a count is not exact
            keys = seen.sum(-1, keepdim=True).clamp(min=1).double()
            factor = exact(scale.scale)[:, None, None] * keys.log()
            extra = FUNCTION
        elif isinstance(scale, Tensor):
            factor = exact(scale)[:, None, None]
        else:
            dim = self.config.width // self.config.heads
            factor = torch.tensor(dim**-0.5, dtype=torch.float64)
        size = factor.abs() * (raw.value.abs() + raw.error) + bias.abs()
        # A bias rounds once itself (ALiBi's product), scale and sums once each.
        extra = own_share(extra, self.moved)
        error = (1 + extra) * factor.abs() * raw.error + (gamma(5) + extra) * size
        error = (error + TINY * (1 + factor.abs())) * SLACK
        error = torch.where(torch.isfinite(error) & (size < HUGE), error, math.inf)
        return _Scores(factor * raw.value + bias, error)


def _clipped(table: Tensor, difference: int) -> int:
    """Column of a difference in a table [H, 2R+1, ...]."""
    reach = table.shape[1] // 2
    return min(max(difference, -reach), reach) + reach


def _transposed(x: _Scores) -> _Scores:
    return _Scores(x.value.transpose(1, 2), x.error.transpose(1, 2))


def _products(x: _Scores, y: _Scores) -> _Scores:
    """Dot products [H, V, V'] of x [H, V, D] and y [H, D, V'], neither exact.

    Eight roundings more than terms: the scale and log2 e may be multiplied into either side, and
    two content terms be added.
    """
    dim = x.value.shape[-1]
    size = (x.value.abs() + x.error) @ (y.value.abs() + y.error)
    carried = x.error @ (y.value.abs() + y.error) + x.value.abs() @ y.error
    # The same by norms (Cauchy-Schwarz) can be the smaller one.
    ex, ey = x.error.norm(dim=-1, keepdim=True), y.error.norm(dim=1, keepdim=True)
    nx, ny = x.value.norm(dim=-1, keepdim=True), y.value.norm(dim=1, keepdim=True)
    carried = torch.minimum(carried, ex * (ny + ey) + nx * ey)
    error = (carried + gamma(dim + 8) * size + dim * TINY) * SLACK
    return _Scores(x.value @ y.value, torch.where(size < HUGE, error, math.inf))


def _softmax(score: _Scores, seen: Tensor) -> _Scores:
    """Softmax weights [H, N, W] over seen columns, 0 elsewhere.

    With s + t in place of s, a weight is p_j exp(t_j) / sum_k p_k exp(t_k), so |t| <= h bounds it
    by exp(h_j) / sum_k p_k exp(-h_k). A common shift changes nothing; its rounding and log2 e's
    (running maxima add up to twice the largest score) are proportional to the scores, and every
    exponential and rescaling adds its own.
    """
    count = seen.sum(-1, keepdim=True)
    size = torch.where(seen, score.value.abs() + score.error, 0.0)
    shift = 8 * UNIT * (size + size.amax(-1, keepdim=True))
    h = score.error + shift + (count + 1) * (FUNCTION + gamma(2))
    h = torch.where(seen, h * SLACK, 0.0)
    value = score.value.masked_fill(~seen, -math.inf)
    value = (value - value.amax(-1, keepdim=True).nan_to_num(neginf=0.0)).exp()
    value = value / value.sum(-1, keepdim=True).clamp(min=1.0)
    least = (value * torch.exp(-h)).sum(-1, keepdim=True)
    most = torch.exp(h) / least * (1 + gamma(4) * (count + 4)) ** 2
    error = (value * (most - 1) + TINY) * SLACK
    error = torch.where(torch.isfinite(error), error, math.inf)
    return _Scores(value, torch.where(seen, error, 0.0))
