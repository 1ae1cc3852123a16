"""A rigorous bound on the rounding error of a model's logits, for every local context.

Each quantity is carried as a pair: its value in float64, and a bound on how far any conforming
float32 computation of it can be from the exact real number. The bounds follow N. Higham, Accuracy
and Stability of Numerical Algorithms, 2nd edition, chapter 3: with u = 2^-24 and
gamma(n) = n u / (1 - n u), a dot product of n terms errs by at most gamma(n) |x|.|y|, in whatever
order it is summed and with or without fused multiply-add.

Conforming means: IEEE float32 with round to nearest in every step (no TF32, no bfloat16), where

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

from arithtf.attention.mechanisms import Alibi, BiasTable, BucketBias, Content, LogScale
from arithtf.model import Transformer
from arithtf.model.local import Contexts
from arithtf.model.transformer import MLP, NORM_EPS, Attention

UNIT = 2.0**-24
ULPS = 4
FUNCTION = 2 * ULPS * UNIT  # relative error of exp, log, 1/sqrt: an ulp is at most 2 u
TINY = 2.0**-120  # absolute error of any result that underflows, flushed to zero or not
HUGE = 2.0**100  # beyond this a float32 intermediate might overflow, and no bound is given
SLACK = 1.0 + 2.0**-20


class Bounded(NamedTuple):
    """Values and bounds on the error of a float32 computation of them.

    Args:
        value: float64, any shape.
        error: float64 of the same shape, not negative; inf where nothing can be said.
    """

    value: Tensor
    error: Tensor


def gamma(n: int) -> float:
    """Relative error of n roundings in a row (Higham, lemma 3.1)."""
    return n * UNIT / (1 - n * UNIT)


def context_bounds(
    model: Transformer, contexts: Contexts, *, bos: int, chunk: int = 8192
) -> Bounded:
    """Exact logits of all contexts up to float64, and how far float32 can be from them.

    Args:
        model: one attention block; mechanism none, table, alibi, t5, shaw or disentangled.
        contexts: N contexts.
        bos: token of the sinks.
        chunk: contexts at a time.

    Returns:
        Values and bounds [N, V].
    """
    with torch.no_grad():
        evaluation = _Evaluation(model, contexts, bos)
        count = len(contexts.query_token)
        parts = [evaluation.logits(i, min(i + chunk, count)) for i in range(0, count, chunk)]
    if not parts:
        empty = torch.empty(0, model.config.vocabulary, dtype=torch.float64)
        return Bounded(empty, empty)
    return Bounded(torch.cat([p.value for p in parts]), torch.cat([p.error for p in parts]))


def margin_bounds(logits: Bounded, target: Tensor) -> tuple[Tensor, Tensor]:
    """Margins, and how much of them rounding can take away.

    Args:
        logits: [N, V].
        target: int64 [N], the right tokens.

    Returns:
        margin [N], logit of the right token minus the best other; bound [N] such that every
        conforming float32 computation keeps at least margin - bound.
    """
    right = target[:, None]
    value = logits.value.gather(1, right) - logits.value
    error = (logits.error.gather(1, right) + logits.error) * SLACK
    margin = value.scatter(1, right, math.inf).amin(1)
    lower = (value - error).scatter(1, right, math.inf).amin(1)
    return margin, margin - lower


def _bounded(value: Tensor, error: Tensor, magnitude: Tensor) -> Bounded:
    """A result, without a bound where an intermediate of that magnitude might overflow."""
    safe = torch.isfinite(error) & (magnitude < HUGE)
    return Bounded(value, torch.where(safe, error * SLACK, math.inf))


def linear(x: Bounded, weight: Tensor) -> Bounded:
    """x W^T, W exact.

    Args:
        x: [..., n].
        weight: float64 [m, n], entries that are float32 numbers.
    """
    n, size = weight.shape[1], weight.abs().T
    reach = x.value.abs() + x.error
    error = (x.error + gamma(n) * reach) @ size + n * TINY
    return _bounded(x.value @ weight.T, error, error / gamma(n))


def add(x: Bounded, y: Bounded) -> Bounded:
    """x + y."""
    value, error = x.value + y.value, x.error + y.error
    reach = value.abs() + error
    return _bounded(value, error + UNIT * reach + TINY, x.value.abs() + y.value.abs() + error)


def relu(x: Bounded) -> Bounded:
    """max(x, 0): no rounding, and no error at all where x is surely not positive."""
    return Bounded(x.value.clamp(min=0), torch.where(x.value + x.error <= 0, 0.0, x.error))


def rms_norm(x: Bounded, gain: Tensor) -> Bounded:
    """x / sqrt(mean(x^2) + eps) * gain.

    sqrt(mean(x^2) + eps) is a Euclidean norm, so errors e in x move it by at most |e| / sqrt(n);
    the computed mean is a sum of positive terms, good to gamma(n + 4), and its root to half that.

    Args:
        x: [..., n].
        gain: float64 [n].
    """
    n = gain.shape[0]
    root = (x.value.square().mean(-1, keepdim=True) + NORM_EPS).sqrt()
    moved = x.error.norm(dim=-1, keepdim=True) / (math.sqrt(n) * root)
    summed = gamma(n + 4) + n * TINY / NORM_EPS
    computed = summed / (2 - summed) + FUNCTION
    ratio = 1 / ((1 - moved) * (1 - computed) * (1 - gamma(4))) - 1
    ratio = torch.where(moved < 1, ratio, math.inf)
    reach = x.value.abs() + x.error
    error = gain.abs() / root * (x.error + reach * ratio) + TINY * (1 + gain.abs() / root)
    return _bounded(x.value / root * gain, error, reach.square().sum(-1, keepdim=True))


def mlp(block: MLP, x: Bounded) -> Bounded:
    """x plus an MLP block's output."""
    hidden = relu(linear(rms_norm(x, _exact(block.norm.weight)), _exact(block.up.weight)))
    return add(x, linear(hidden, _exact(block.down.weight)))


def _exact(weight: Tensor) -> Tensor:
    return weight.detach().cpu().double()


class _Evaluation:
    """What all contexts share: the stream of each token, and the scores of each pair of tokens.

    Shape letters: V vocabulary, C width, H heads, D head dim, R relations (a level and a
    difference each; the last one is "sink"), N contexts of a chunk, W columns of a context.
    """

    def __init__(self, model: Transformer, contexts: Contexts, bos: int) -> None:
        blocks = list(model.blocks)
        at = next(i for i, block in enumerate(blocks) if isinstance(block, Attention))
        self.model, self.contexts, self.bos = model, contexts, bos
        self.block, self.after = blocks[at], blocks[at + 1 :]
        self.head_levels = model.config.encoding.levels_of_heads(model.config.heads)
        table = _exact(model.embedding.weight)
        stream = Bounded(table, torch.zeros_like(table))
        for block in blocks[:at]:
            stream = mlp(block, stream)
        self.stream_VC = stream
        normed = rms_norm(stream, _exact(self.block.norm.weight))
        self.query_HVD, self.key_HVD, self.value_HVD = (
            self._heads(linear(normed, _exact(projection.weight)))
            for projection in (self.block.query, self.block.key, self.block.value)
        )
        self._find_relations()
        self._score_pairs()

    def _heads(self, x_VC: Bounded) -> Bounded:
        heads = self.model.config.heads
        return Bounded(*(part.unflatten(-1, (heads, -1)).transpose(0, 1) for part in x_VC))

    def _find_relations(self) -> None:
        """Number the (level, difference) pairs that occur."""
        level = self.contexts.level.astype(np.int64)
        difference = self.contexts.difference.astype(np.int64)
        codes, self.relation = np.unique(level * 2**33 + difference + 2**32, return_inverse=True)
        self.relation = self.relation.reshape(-1)
        self.relations = [(int(c >> 33), int(c % 2**33) - 2**32) for c in codes]

    def _score_pairs(self) -> None:
        """q . k + content of all pairs without scale [H, R+1, V, V]; biases [H, R+1]."""
        query, key = self.query_HVD, self.key_HVD
        plain = _products(query, Bounded(key.value.transpose(1, 2), key.error.transpose(1, 2)))
        mechanism = self.block.mechanism()
        scores, biases = [], []
        for level, difference in self.relations:
            score, bias = plain, torch.zeros(len(self.head_levels), dtype=torch.float64)
            # A relation on another level is never read by a head; its entry does not matter.
            if isinstance(mechanism, Content):
                score = self._with_content(plain, mechanism, difference)
            elif isinstance(mechanism, BiasTable):
                reach = mechanism.table.shape[1] // 2
                bias = _exact(mechanism.table)[:, min(max(difference, -reach), reach) + reach]
            elif isinstance(mechanism, BucketBias):
                bias = _exact(mechanism.table)[:, int(mechanism.buckets(torch.tensor(difference)))]
            elif isinstance(mechanism, Alibi):
                bias = -_exact(mechanism.slopes) * abs(difference)
            scores.append(score)
            biases.append(bias)
        scores.append(plain)
        biases.append(torch.zeros(len(self.head_levels), dtype=torch.float64))
        self.scores_HRVV = Bounded(*(torch.stack(parts, 1) for parts in zip(*scores, strict=True)))
        self.bias_HR = torch.stack(biases, 1)

    def _with_content(self, plain: Bounded, mechanism: Content, difference: int) -> Bounded:
        """Scores plus q . key_vector and query_vector . k of one difference."""
        value, error = plain
        for vectors, side in ((mechanism.key_vectors, 2), (mechanism.query_vectors, 1)):
            if vectors is None:
                continue
            reach = vectors.shape[1] // 2
            column = _exact(vectors)[:, min(max(difference, -reach), reach) + reach, :, None]
            rows = self.query_HVD if side == 2 else self.key_HVD
            term = _products(rows, Bounded(column, torch.zeros_like(column)))
            value = value + (term.value if side == 2 else term.value.transpose(1, 2))
            error = error + (term.error if side == 2 else term.error.transpose(1, 2))
        return Bounded(value, error)

    def _columns(self, first: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
        """Relation and token [N, W] of every column of contexts first .. end-1, and what is there."""
        offsets = self.contexts.offsets[first : end + 1]
        visible = np.diff(offsets)
        sinks = self.model.config.encoding.sinks
        shape = (end - first, sinks + int(visible.max(initial=0)))
        token, relation = np.full(shape, self.bos), np.full(shape, len(self.relations))
        filled = np.arange(shape[1]) < (sinks + visible)[:, None]
        row = np.repeat(np.arange(end - first), visible)
        column = sinks + np.arange(offsets[-1] - offsets[0]) - np.repeat(
            offsets[:-1] - offsets[0], visible
        )
        token[row, column] = self.contexts.token[offsets[0] : offsets[-1]]
        relation[row, column] = self.relation[offsets[0] : offsets[-1]]
        return torch.from_numpy(relation), torch.from_numpy(token), torch.from_numpy(filled)

    def logits(self, first: int, end: int) -> Bounded:
        """Logits [N, V] of contexts first .. end-1."""
        query = torch.from_numpy(self.contexts.query_token[first:end].astype(np.int64))
        mixed_NC = self._attend(query, *self._columns(first, end))
        x = Bounded(*(part[query] for part in self.stream_VC))
        x = add(x, linear(mixed_NC, _exact(self.block.out.weight)))
        for block in self.after:
            x = mlp(block, x)
        x = rms_norm(x, _exact(self.model.norm.weight))
        return linear(x, _exact(self.model.unembedding.weight))

    def _attend(self, query: Tensor, relation: Tensor, token: Tensor, filled: Tensor) -> Bounded:
        """Mixed values [N, C] of queries [N] over columns [N, W]."""
        levels = torch.tensor([level for level, _ in self.relations] + [-1])[relation]
        seen_HNW = torch.stack(
            [filled & ((levels == level) | (levels == -1)) for level in self.head_levels]
        )
        score = self._scores(query, relation, token, seen_HNW)
        weight = _softmax(score, seen_HNW)
        # Weights added up per token: mixing V values is one product instead of a gather.
        heads, count, width = seen_HNW.shape
        index = token.expand(heads, -1, -1)
        room = torch.zeros(heads, count, self.model.config.vocabulary, dtype=torch.float64)
        p_HNV, ep_HNV = (room.scatter_add(2, index, part) for part in weight)
        value = self.value_HVD
        reach = value.value.abs() + value.error
        error = (ep_HNV + gamma(width + 4) * (p_HNV + ep_HNV)) @ reach + p_HNV @ value.error
        error = error + 2 * width * TINY * (1 + reach.amax())
        error = torch.where(seen_HNW.any(-1, keepdim=True), error, 0.0)
        mixed = _bounded(p_HNV @ value.value, error, reach.amax().expand_as(error))
        return Bounded(*(part.transpose(0, 1).flatten(1) for part in mixed))

    def _scores(self, query: Tensor, relation: Tensor, token: Tensor, seen: Tensor) -> Bounded:
        """Scores [H, N, W] with scale and bias."""
        raw = Bounded(*(part[:, relation, query[:, None], token] for part in self.scores_HRVV))
        bias = self.bias_HR[:, relation]
        scale, extra = self.block.mechanism.scale(), 0.0
        if isinstance(scale, LogScale):  # a log and a product more, before the dot product's end
            counted = seen.sum(-1, keepdim=True).clamp(min=1).double()
            factor = _exact(scale.scale)[:, None, None] * counted.log()
            extra = FUNCTION + gamma(2)
        elif isinstance(scale, Tensor):
            factor = _exact(scale)[:, None, None]
        else:
            dim = self.model.config.width // self.model.config.heads
            factor = torch.full((1, 1, 1), float(dim**-0.5 if scale is None else scale))
        factor = factor.double()
        size = factor.abs() * (raw.value.abs() + raw.error)
        # Bias: a rounding of its own (ALiBi's product), two sums, and the scale's last products.
        error = factor.abs() * raw.error + (gamma(4) + extra * (1 + extra)) * size
        error = error * (1 + extra) + gamma(4) * (size + bias.abs()) + TINY * (1 + factor.abs())
        return _bounded(factor * raw.value + bias, error, size + bias.abs())


def _products(x: Bounded, y: Bounded) -> Bounded:
    """Dot products x y [H, V, V'] of x [H, V, D] and y [H, D, V'], neither exact.

    Eight roundings more than terms: the scale and log2 e may be multiplied into either side, and
    two content terms be added.
    """
    dim = x.value.shape[-1]
    size = (x.value.abs() + x.error) @ (y.value.abs() + y.error)
    carried = x.error @ (y.value.abs() + y.error) + x.value.abs() @ y.error
    error = carried + gamma(dim + 8) * size + dim * TINY
    return _bounded(x.value @ y.value, error, size)


def _softmax(score: Bounded, seen: Tensor) -> Bounded:
    """Softmax weights [H, N, W] over seen columns, 0 elsewhere.

    Softmax does not change if all scores are shifted, so only relative errors of the exponentials
    count: exp(s + t) = exp(s) exp(t) with |t| <= h, of which the shift's and log2 e's roundings
    (running maxima add up to twice the largest score) are proportional to the scores, and every
    exponential and rescaling adds its own.
    """
    count = seen.sum(-1, keepdim=True)
    size = torch.where(seen, score.value.abs() + score.error, 0.0)
    shift = 8 * UNIT * (size + size.amax(-1, keepdim=True))
    h = score.error + shift + (count + 1) * (FUNCTION + gamma(2))
    worst = torch.where(seen, h, 0.0).amax(-1, keepdim=True)
    relative = torch.expm1((h + worst + 2 * gamma(4) * (count + 4)) * SLACK)
    value = score.value.masked_fill(~seen, -math.inf)
    value = (value - value.amax(-1, keepdim=True).nan_to_num(neginf=0.0)).exp()
    value = value / value.sum(-1, keepdim=True).clamp(min=1.0)
    error = torch.where(seen, (value * relative + TINY) * SLACK, 0.0)
    return Bounded(value, error)
