"""How an id difference acts on attention scores: one frozen dataclass of tensors per mechanism.

All differences are `key_id - query_id` on the level that the head reads. With `s` the logit scale,

    score = s * (q . k + content(q, k, difference)) + bias(difference)

Sinks take part with the plain `s * q . k`: no bias, no content term, no rotation.
Every tensor of a mechanism gets gradients through the reference implementation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

NO_ID = -(2**31)
"""The id of a token that has none on a level; it matches nothing, whatever the window."""


def _shape(what: str, tensor: Tensor, dims: int, text: str) -> None:
    if tensor.dim() != dims:
        raise ValueError(f"expected {what} of shape {text}, got {tuple(tensor.shape)}")
    if not tensor.is_floating_point():
        raise TypeError(f"expected floating-point {what}, got {tensor.dtype}; convert it")


@dataclass(frozen=True)
class Mechanism:
    """Base of all mechanisms; `kind` names it in the registered operator."""

    kind: ClassVar[str] = ""

    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that get gradients, in the order of the fields."""
        values = (getattr(self, f.name) for f in dataclasses.fields(self))
        return tuple(v for v in values if isinstance(v, Tensor))

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""


def _heads(what: str, tensor: Tensor, heads: int) -> None:
    if tensor.shape[0] != heads:
        raise ValueError(
            f"expected {what} for {heads} heads, got {tensor.shape[0]} rows; "
            "build the mechanism for the model's number of heads"
        )


@dataclass(frozen=True)
class NoMechanism(Mechanism):
    """Scores do not depend on ids (NoPE, arXiv 2305.19466); ids act by the window only."""

    kind: ClassVar[str] = "none"


NONE = NoMechanism()


@dataclass(frozen=True)
class BiasTable(Mechanism):
    """A learned number per head and id difference, differences clipped to [-R, R].

    Args:
        table: [H, 2R+1]; column R + difference.
    """

    table: Tensor
    kind: ClassVar[str] = "table"

    def __post_init__(self) -> None:
        _shape("table", self.table, 2, "[H, 2R+1]")
        if self.table.shape[1] % 2 == 0:
            raise ValueError(
                f"expected a table of odd width 2R+1, got {self.table.shape[1]}; "
                "differences -R..R each have a column"
            )

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        _heads("table", self.table, heads)


@dataclass(frozen=True)
class BucketBias(Mechanism):
    """T5's relative bias: exact buckets near, logarithmic ones far (arXiv 1910.10683, 2.1).

    Args:
        table: [H, NB].
        max_distance: distances from here on share the last bucket.
        bidirectional: half of the buckets for keys ahead; otherwise those all share bucket 0.
    """

    table: Tensor
    max_distance: int = 128
    bidirectional: bool = False
    kind: ClassVar[str] = "buckets"

    def __post_init__(self) -> None:
        _shape("table", self.table, 2, "[H, buckets]")
        buckets = self.table.shape[1]
        least = 4 if self.bidirectional else 2
        if buckets < least or (self.bidirectional and buckets % 2):
            raise ValueError(
                f"expected at least {least} buckets, an even number if bidirectional, got {buckets}"
            )
        if self.max_distance <= self.exact:
            raise ValueError(
                f"expected max_distance > {self.exact} (the exact buckets), got {self.max_distance}"
            )

    @property
    def side(self) -> int:
        """Buckets of one direction."""
        return self.table.shape[1] // 2 if self.bidirectional else self.table.shape[1]

    @property
    def exact(self) -> int:
        """Distances below this have a bucket of their own."""
        return self.side // 2

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        _heads("table", self.table, heads)

    def thresholds(self) -> list[int]:
        """The smallest distance of each bucket after the first, ascending.

        Bucket e + j (e exact buckets, m others) starts at the smallest n with
        n >= e * (max_distance / e)^(j / m), decided in integers: n^m >= e^(m-j) * max_distance^j.
        """
        exact, far = self.exact, self.side - self.exact
        starts = list(range(1, exact + 1))
        for j in range(1, far):
            bound = exact ** (far - j) * self.max_distance**j
            n = max(int(exact * (self.max_distance / exact) ** (j / far)) - 1, exact)
            while n**far < bound:
                n += 1
            starts.append(n)
        return starts

    def buckets(self, difference: Tensor) -> Tensor:
        """Bucket of every difference: int64 tensor of the same shape."""
        distance = difference.abs() if self.bidirectional else (-difference).clamp(min=0)
        edges = torch.tensor(self.thresholds(), device=difference.device)
        bucket = torch.bucketize(distance, edges, right=True)
        return bucket + (difference > 0) * self.side if self.bidirectional else bucket


@dataclass(frozen=True)
class Alibi(Mechanism):
    """Linear penalty: bias = -slope * |difference| (ALiBi, arXiv 2108.12409, section 3).

    Args:
        slopes: [H].
    """

    slopes: Tensor
    kind: ClassVar[str] = "alibi"

    def __post_init__(self) -> None:
        _shape("slopes", self.slopes, 1, "[H]")

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        _heads("slopes", self.slopes, heads)


@dataclass(frozen=True)
class Kerple(Mechanism):
    """Kernelised relative bias (arXiv 2205.09921, equations 6 and 7), r1 > 0 and r2 > 0.

    "log": -r1 * log(1 + r2 * |difference|); "power": -r1 * |difference|^r2 with r2 <= 2.

    Args:
        r1: [H].
        r2: [H].
        form: "log" or "power".
    """

    r1: Tensor
    r2: Tensor
    form: str = "log"
    kind: ClassVar[str] = "kerple"

    def __post_init__(self) -> None:
        _shape("r1", self.r1, 1, "[H]")
        _shape("r2", self.r2, 1, "[H]")
        if self.form not in ("log", "power"):
            raise ValueError(f"expected form 'log' or 'power', got {self.form!r}")

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        _heads("r1", self.r1, heads)
        _heads("r2", self.r2, heads)


@dataclass(frozen=True)
class Fire(Mechanism):
    """A small network of the normalised log distance (FIRE, arXiv 2310.04418, equation 3).

    x = log(1 + |c * difference|) / (log(1 + |c * max(query_id, threshold)|) + 1e-6),
    bias = w2 relu(w1 x + b1) + b2.

    Args:
        w1: [K]. b1: [K]. w2: [H, K]. b2: [H]. c: []. threshold: [] (the paper's L).
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    c: Tensor
    threshold: Tensor
    kind: ClassVar[str] = "fire"

    def __post_init__(self) -> None:
        _shape("w1", self.w1, 1, "[K]")
        _shape("b1", self.b1, 1, "[K]")
        _shape("w2", self.w2, 2, "[H, K]")
        _shape("b2", self.b2, 1, "[H]")
        _shape("c", self.c, 0, "[]")
        _shape("threshold", self.threshold, 0, "[]")

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        _heads("w2", self.w2, heads)
        _heads("b2", self.b2, heads)
        width = self.w1.shape[0]
        if self.b1.shape[0] != width or self.w2.shape[1] != width:
            raise ValueError(
                f"expected b1 [{width}] and w2 [H, {width}] as wide as w1, "
                f"got {tuple(self.b1.shape)} and {tuple(self.w2.shape)}"
            )


@dataclass(frozen=True)
class Content(Mechanism):
    """A vector per difference, met by the query or the key; differences clipped to [-R, R].

    content = q . key_vectors[difference] + query_vectors[difference] . k. With `key_vectors` alone
    this is Shaw et al. (arXiv 1803.02155, equation 4, keys only); with both, DeBERTa's
    content-to-position and position-to-content terms (arXiv 2006.03654, equation 4).

    Args:
        query_vectors: [H, 2R+1, D] or None.
        key_vectors: [H, 2R+1, D] or None.
    """

    query_vectors: Tensor | None
    key_vectors: Tensor | None
    kind: ClassVar[str] = "content"

    def __post_init__(self) -> None:
        if not self.tensors():
            raise ValueError("expected query_vectors or key_vectors, got neither; use NoMechanism")
        for vectors in self.tensors():
            _shape("vectors", vectors, 3, "[H, 2R+1, D]")
            if vectors.shape[1] % 2 == 0:
                raise ValueError(f"expected 2R+1 vectors, an odd number, got {vectors.shape[1]}")

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        for vectors in self.tensors():
            _heads("vectors", vectors, heads)
            if vectors.shape[2] != head_dim:
                raise ValueError(f"expected vectors of width {head_dim}, got {vectors.shape[2]}")


@dataclass(frozen=True)
class Rotary(Mechanism):
    """Rotate the pair (2i, 2i+1) of q and k by id * inv_freq[i] (RoPE, arXiv 2104.09864, eq. 34).

    Args:
        inv_freq: [D/2], radians per id. `Rotary.from_base(D, base)` gives the paper's.
    """

    inv_freq: Tensor
    kind: ClassVar[str] = "rotary"

    def __post_init__(self) -> None:
        _shape("inv_freq", self.inv_freq, 1, "[D/2]")

    @staticmethod
    def from_base(head_dim: int, base: float = 10000.0) -> Rotary:
        """The paper's frequencies base^(-2i/D), in float64."""
        if head_dim % 2:
            raise ValueError(f"expected an even head_dim for rotary, got {head_dim}")
        return Rotary(base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim))

    def validate(self, heads: int, head_dim: int) -> None:
        """Raise ValueError if the tensors do not fit `heads` and `head_dim`."""
        if 2 * self.inv_freq.shape[0] != head_dim:
            raise ValueError(
                f"expected inv_freq of {head_dim // 2} entries for an even head_dim {head_dim}, "
                f"got {self.inv_freq.shape[0]}"
            )


@dataclass(frozen=True)
class LogScale:
    """Logit scale that grows with what is seen: s_h * log(n), n the keys this query sees.

    n counts visible keys, sinks included, on the head's level; so a windowed head has a bounded
    scale at every length, and a dense causal head has log of its column number
    (Scalable-Softmax, arXiv 2501.19399, which multiplies by 1/sqrt(D) as well: put it into s).

    Args:
        scale: [H].
    """

    scale: Tensor

    def __post_init__(self) -> None:
        _shape("scale", self.scale, 1, "[H]")
