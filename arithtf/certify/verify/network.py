"""A transformer's margins in NumPy, with what float32 rounding can take from them.

All values are computed in float64 from the formulas. Beside each goes a bound on the error of any
float32 computation of it, as in N. Higham, Accuracy and Stability of Numerical Algorithms, chapter
3: k roundings in a row change a number by a factor within 1 +- gamma(k), and a dot product of n
terms, in any order and with or without fused multiply-add, errs by gamma(n) |x|.|y| at most.
Assumed are IEEE float32 with round to nearest, exp, log and 1/sqrt within 4 units in the last
place, and that numbers below 2^-120 may be flushed to zero.

The bounds go forward only, from operation to operation. They are larger than those of a
certificate, which follow the derivatives back from the margin, but leave margins of trained models
positive; the verdict of the second path rests on them alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arithtf.certify.verify.contexts import ABSENT, Contexts, Ints

Floats = NDArray[np.float64]
Weights = Mapping[str, Floats]
UNIT = 2.0**-24
FUNCTION = 8  # roundings that exp, log and 1/sqrt count for: 4 units in the last place
TINY = 2.0**-120
HUGE = 2.0**100
EPSILON = 1e-6  # of the norms
SLACK = 1 + 2.0**-10  # float64's own rounding, here and in the bounds


def gamma(roundings: float) -> float:
    """Relative error of so many roundings in a row."""
    return roundings * UNIT / (1 - roundings * UNIT)


class Near(NamedTuple):
    """Vectors, and how far float32 can be from them.

    Args:
        value: float64 [..., n].
        error: float64 [..., n], for each entry.
        length: float64 [..., 1], for the Euclidean norm of the error, often less than that of
            `error`: a matrix makes it longer by no more than its largest singular value.
    """

    value: Floats
    error: Floats
    length: Floats

    def rows(self, index: Ints | slice) -> Near:
        """Some of the vectors."""
        return Near(*(part[index] for part in self))

    @property
    def most(self) -> Floats:
        """The largest absolute values that float32 can have."""
        most: Floats = np.abs(self.value) + self.error
        return most


class Margins(NamedTuple):
    """Of N contexts.

    Args:
        exact: [N], logit of the right token less the largest other.
        lower: [N], the least that is left of it after rounding; -inf where nothing can be said.
        largest: the largest logit's absolute value.
    """

    exact: Floats
    lower: Floats
    largest: float


def margins(
    model: Mapping[str, Any], weights: Weights, contexts: Contexts, bos: int, chunk: int = 8192
) -> Margins:
    """The margins of all contexts.

    Args:
        model: its configuration, in JSON form.
        weights: float64 arrays by name.
        contexts: N contexts.
        bos: the token of the sinks.
        chunk: contexts at a time.

    Raises:
        KeyError, ValueError: the weights do not fit the configuration.
    """
    network = _Network(model, weights, contexts, bos)
    parts = []
    for i in range(0, len(contexts.query), chunk):
        part = slice(i, i + chunk)
        logits = network.logits(part)
        rows, target = np.arange(len(logits.value)), contexts.target[part]
        gap = logits.value[rows, target][:, None] - logits.value
        lost = (logits.error[rows, target][:, None] + logits.error) * SLACK
        gap[rows, target], lost[rows, target] = np.inf, 0
        least = np.where(np.isfinite(lost), gap - lost, -np.inf)
        parts.append((gap.min(1), least.min(1), np.abs(logits.value).max(1)))
    exact, lower, largest = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Margins(exact, lower, float(largest.max()))


def _near(value: Floats, carried: Floats, added: Floats, length: Floats | None = None) -> Near:
    """Values with errors that were carried over (of this length), and those that were added.

    There is no bound where float32 might overflow.
    """
    with np.errstate(invalid="ignore"):
        error = np.where(np.abs(value) + carried + added < HUGE, (carried + added) * SLACK, np.inf)
    found = np.linalg.norm(error, axis=-1, keepdims=True)
    if length is not None:
        found = np.fmin(found, length + np.linalg.norm(added, axis=-1, keepdims=True))
    return Near(value, error, found * SLACK)


def _linear(x: Near, weight: Floats) -> Near:
    """x W^T."""
    size, terms = np.abs(weight), weight.shape[1]
    entries = x.error @ size.T
    carried = np.minimum(entries, x.length * np.linalg.norm(weight, axis=1))
    added = gamma(terms) * (np.abs(x.value) @ size.T + entries) + terms * TINY
    return _near(x.value @ weight.T, carried, added, x.length * np.linalg.norm(weight, 2))


def _add(x: Near, y: Near) -> Near:
    value, error = x.value + y.value, x.error + y.error
    return _near(value, error, UNIT * (np.abs(value) + error) + TINY, x.length + y.length)


def _relu(x: Near) -> Near:
    error = np.where(x.value + x.error <= 0, 0, x.error)
    return _near(np.maximum(x.value, 0), error, np.zeros_like(error), x.length)


def _norm(x: Near, gain: Floats) -> Near:
    """x / r * gain with r = sqrt(mean(x^2) + EPSILON).

    r is the length of (x / sqrt(n), sqrt(EPSILON)), so it moves by at most |error| / sqrt(n). A sum
    of n positive terms, the constant, the root and three products are n + 6 roundings and a
    function. The derivative is gain / r times a projection, which makes nothing longer.
    """
    n, size = len(gain), np.abs(gain)
    root = np.sqrt((x.value**2).mean(axis=-1, keepdims=True) + EPSILON)
    moved = x.length / (math.sqrt(n) * root)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(moved < 1, root * (1 - moved), 0)
        # x'/r' - x/r = (x' - x)/r + x' (1/r' - 1/r)
        carried = size * (x.error / root + x.most * (1 / least - 1 / root))
        added = size * (x.most / least * gamma(n + 6 + FUNCTION) + TINY) + TINY
        length = x.length * size.max() / least
    return _near(x.value / root * gain, carried, added, length)


class _Network:
    """A model, and what it makes of each token before attention.

    Shapes: V vocabulary, H heads, D head dimension, W visible tokens and sinks of a context.
    """

    def __init__(
        self, model: Mapping[str, Any], weights: Weights, contexts: Contexts, bos: int
    ) -> None:
        self.weights, self.contexts, self.encoding = weights, contexts, model["encoding"]
        self.heads, self.tied, blocks = model["heads"], model["tied"], model["blocks"]
        self.at = blocks.index("attention")
        self.later = range(self.at + 1, len(blocks))
        given = weights["embedding.weight"]
        self.stream = _near(given, np.zeros_like(given), np.zeros_like(given))
        for i in range(self.at):
            self.stream = self._mlp(self.stream, i)
        normed = _norm(self.stream, self._of("norm.weight"))
        self.query, self.key, self.value = (
            self._split(_linear(normed, self._of(f"{name}.weight")))
            for name in ("query", "key", "value")
        )
        constant = np.full(self.heads, self.query[0].value.shape[1] ** -0.5)
        self.scale = weights.get(f"blocks.{self.at}.mechanism.logit_scale", constant)
        # Sinks are visible tokens of the level -1, which all heads read.
        shape = (len(contexts.query), self.encoding["sinks"])
        sinks = [np.full(shape, value) for value in (-1, 0, bos)]
        self.level, difference, self.token = (
            np.concatenate([sink, contexts.seen[:, :, i]], 1) for i, sink in enumerate(sinks)
        )
        self.seen = self.token != ABSENT
        self.differences, place = np.unique(difference, return_inverse=True)
        self.relation = np.where(
            self.level < 0, len(self.differences), place.reshape(difference.shape)
        )
        self.scores = [self._scores(head) for head in range(self.heads)]

    def _of(self, name: str) -> Floats:
        """A weight of the attention block."""
        return self.weights[f"blocks.{self.at}.{name}"]

    def _split(self, x: Near) -> list[Near]:
        """The heads of vectors [..., C]: [..., D] each."""
        values, errors = (np.split(part, self.heads, axis=-1) for part in x[:2])
        pairs = zip(values, errors, strict=True)
        return [_near(value, error, np.zeros_like(error)) for value, error in pairs]

    def _mlp(self, x: Near, i: int) -> Near:
        gain, up, down = (
            self.weights[f"blocks.{i}.{part}.weight"] for part in ("norm", "up", "down")
        )
        return _add(x, _linear(_relu(_linear(_norm(x, gain), up)), down))

    def logits(self, part: slice) -> Near:
        """[n, V] of some contexts."""
        query = self.contexts.query[part]
        heads = [self._attend(head, part) for head in range(self.heads)]
        value, error = (np.concatenate([h[i] for h in heads], axis=-1) for i in (0, 1))
        mixed = _near(value, error, np.zeros_like(error))
        x = _add(self.stream.rows(query), _linear(mixed, self._of("out.weight")))
        for i in self.later:
            x = self._mlp(x, i)
        normed = _norm(x, self.weights["norm.weight"])
        name = "embedding.weight" if self.tied else "unembedding.weight"
        return _linear(normed, self.weights[name])

    def _scores(self, head: int) -> tuple[Near, Floats]:
        """Scores of a head without scale [R + 1, V, V], and biases [R + 1], by difference.

        The last entry is for sinks, whose difference does not count. The scale and log2(e) may be
        multiplied into either factor, and a term of the mechanism be added: 8 roundings more.
        """
        query, key = self.query[head], self.key[head]
        dim = query.value.shape[1]
        value, most = query.value @ key.value.T, query.most @ key.most.T
        error = query.error @ key.most.T + np.abs(query.value) @ key.error.T
        values, errors, biases = [], [], []
        for difference in [*self.differences.tolist(), None]:
            by_query, by_key, bias = self._relative(head, difference)
            asked, has = np.abs(by_query), np.abs(by_key)
            values.append(value + (query.value @ by_query)[:, None] + key.value @ by_key)
            carried = error + (query.error @ asked)[:, None] + key.error @ has
            size = most + (query.most @ asked)[:, None] + key.most @ has
            errors.append(carried + gamma(dim + 8) * size + dim * TINY)
            biases.append(bias)
        value, error = np.stack(values), np.stack(errors)
        return _near(value, error, np.zeros_like(error)), np.array(biases)

    def _relative(self, head: int, difference: int | None) -> tuple[Floats, Floats, float]:
        """What a difference adds to scores: vectors that meet query and key [D], and a bias."""
        mechanism = self.encoding["mechanism"]
        name, reach = mechanism["name"], mechanism.get("reach", 0)
        none = np.zeros(self.query[head].value.shape[1])
        if difference is None or name == "none":
            return none, none, 0.0
        if name == "alibi":
            slopes = self._of("mechanism.slopes") if mechanism["learned"] else _slopes(self.heads)
            return none, none, -float(slopes[head]) * abs(difference)
        if name == "t5":
            sizes = (mechanism[n] for n in ("buckets", "max_distance", "bidirectional"))
            bucket = _bucket(difference, *sizes)
            return none, none, float(self._of("mechanism.table")[head, bucket])
        column = min(max(difference, -reach), reach) + reach
        if name == "table":
            return none, none, float(self._of("mechanism.table")[head, column])
        by_query = self._of("mechanism.key_vectors")[head, column]
        both = name == "disentangled"
        by_key = self._of("mechanism.query_vectors")[head, column] if both else none
        return by_query, by_key, 0.0

    def _attend(self, head: int, part: slice) -> Near:
        """Mixed values [n, D] of a head."""
        query, relation = self.contexts.query[part], self.relation[part]
        seen = self.seen[part]
        levels = self.encoding["head_levels"] or range(self.heads)
        level = levels[head] % len(self.encoding["windows"])
        seen = seen & ((self.level[part] == level) | (self.level[part] == -1))
        token = np.where(seen, self.token[part], 0)
        count = seen.sum(axis=1, keepdims=True)
        table, biases = self.scores[head]
        raw, off = (x[relation, query[:, None], token] for x in table[:2])
        scale, extra = float(self.scale[head]), 0.0
        if self.encoding["logit_scale"] == "log":
            scale, extra = scale * np.log(np.maximum(count, 1)), FUNCTION * UNIT
        factor, bias = np.abs(scale), biases[relation]
        added = (gamma(5) + extra) * (factor * (np.abs(raw) + off) + np.abs(bias))
        added += factor * off * extra + TINY * (1 + factor)
        weight = _softmax(_near(scale * raw + bias, factor * off, added), seen, count)
        # Weights are added up by token, so that values are mixed by one product.
        value, rows = self.value[head], np.arange(len(query))
        by_token = np.zeros((2, len(query), len(value.value)))
        for i in range(token.shape[1]):
            by_token[0, rows, token[:, i]] += weight.value[:, i]
            by_token[1, rows, token[:, i]] += weight.error[:, i]
        exact, off = by_token
        added = (off + gamma(token.shape[1] + 4) * (exact + off)) @ value.most
        tiny = 2 * token.shape[1] * TINY * (1 + value.most.max())
        return _near(exact @ value.value, exact @ value.error, added + tiny)


def _softmax(score: Near, seen: NDArray[np.bool_], count: Ints) -> Near:
    """Weights [n, W] of what is seen, 0 of the rest, and of a head that sees nothing.

    With s + t in place of s a weight is p_j exp(t_j) / sum p_k exp(t_k), so |t| <= h bounds it by
    exp(h_j) / sum p_k exp(-h_k). A common shift changes nothing, but is rounded, in units of the
    scores; so is log2(e). Running maxima rescale once a key.
    """
    size = np.where(seen, score.most, 0)
    h = score.error + 8 * UNIT * (size + size.max(axis=1, keepdims=True, initial=0))
    h = np.where(seen, h + (count + 1) * gamma(FUNCTION + 2), 0)
    value = np.where(seen, score.value, -np.inf)
    top = value.max(axis=1, keepdims=True, initial=-np.inf)
    value = np.exp(value - np.where(count > 0, top, 0))
    value /= np.maximum(value.sum(axis=1, keepdims=True), 1)
    least = np.maximum((value * np.exp(-h)).sum(axis=1, keepdims=True), TINY)
    with np.errstate(over="ignore"):
        most = np.exp(np.minimum(h, 700)) / least * (1 + gamma(4) * (count + 4)) ** 2
    error = np.where(seen, value * (most - 1) + TINY, 0)
    return _near(value, error, np.zeros_like(error))


def _slopes(heads: int) -> NDArray[np.float32]:
    """ALiBi's slopes (arXiv 2108.12409), as the float32 numbers that a model holds."""
    power = 2 ** int(math.log2(heads))
    near = [2.0 ** (-8.0 * (h + 1) / power) for h in range(power)]
    between = [2.0 ** (-8.0 * (2 * h + 1) / (2 * power)) for h in range(heads - power)]
    return np.array(near + between, np.float32)


def _bucket(difference: int, buckets: int, max_distance: int, bidirectional: bool) -> int:
    """T5's bucket (arXiv 1910.10683): e exact ones, then bucket e + j from e (max / e)^(j / m) on.

    Decided in integers: n^m >= e^(m - j) max^j.
    """
    side = buckets // 2 if bidirectional else buckets
    far, n = side - side // 2, abs(difference) if bidirectional else max(-difference, 0)
    exact = side // 2
    if n >= exact:
        least = [exact ** (far - j) * max_distance**j for j in range(far)]
        n = exact - 1 + sum(n**far >= bound for bound in least)
    return n + side * (bidirectional and difference > 0)
